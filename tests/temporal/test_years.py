"""A fleet and calls that only Search lists: the same lists as on one machine, asked by whichever worker is free."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Replayer

from tests.e2e.world import finish, sandbox
from tests.temporal.kit import Server, fleet
from wxrec_async.model import DAY_MS, iso
from wxrec_async.temporal import contract
from wxrec_async.temporal.messages import PageAsk, PageRow, Span
from wxrec_async.temporal.worker import RUNNER, WORKFLOWS

from .test_fleet import histories, org_of

pytestmark = pytest.mark.anyio


def test_what_an_earlier_release_sent_is_read_as_it_was_meant() -> None:
    """It knew one list: nothing that it names is asked of Search."""
    span = {"from_ms": 1, "to_ms": 9}
    asked = PageAsk.read({"org": "o", "span": span, "from_ms": 1, "next_link": None, "others": False})
    assert (asked.source, asked.cursor) == ("tasks", "")
    assert not contract.Sizing().reach.search
    assert contract.WindowAsk("o", "q", "r", Span(1, 9), contract.Sizing(), Span(1, 9)).source == "tasks"
    assert (PageRow().cursor, PageRow().trouble) == ("", "")


async def test_a_fleet_lists_across_the_border(tmp_path: Path, server: Server) -> None:
    """Windows on both sides of it, each closed by the list that was asked; the histories replay."""
    today = round(time.time() * 1000) // DAY_MS * DAY_MS
    period = [str(iso(today - days * DAY_MS)) for days in (368, 362)]
    options = ("--tasks", "1200", "--days", "400", "--seconds", "0.2", "0.4", "--no-large")
    with sandbox(tmp_path, *options) as world, fleet(world, server) as crew:
        crew.workers(1)
        ended = finish(crew.run("--from", period[0], "--to", period[1]), 600)
        assert ended.code == 0, ended.err[-3000:] + crew.said()[-2000:]
        connection = sqlite3.connect(world.ledger)
        closed = connection.execute("SELECT source, from_ms, to_ms FROM closed_windows ORDER BY from_ms").fetchall()
        ids = connection.execute("SELECT source, id FROM tasks WHERE channel_type = 'telephony'").fetchall()
        connection.close()
        assert [source for source, _, _ in closed] == ["search", "tasks"]
        assert closed[0][1:] == (today - 368 * DAY_MS, closed[1][1])
        assert closed[1][2] == today - 362 * DAY_MS
        assert {source for source, _ in ids} == {"search", "tasks"}
        due = {row["key"] for row in world.ask("truth") if row["task_id"] in {each for _, each in ids}}
        assert set(world.bucket()) == due
        assert ended.summary["seen_and_left"]
        client = await Client.connect(server.address)
        replayer = Replayer(workflows=WORKFLOWS, workflow_runner=RUNNER)
        for history in await histories(client, org_of(world)):
            await replayer.replay_workflow(history)
