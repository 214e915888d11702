"""``runs`` and ``runs show``: who ran what, and how it ended."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from wxrec_async import events
from wxrec_async.ledger import Identity, Operator, open_ledger

from .kit import PERIOD, Cli

HOME = Identity("org", "b", "call-detail/{task_id}/recording{ext}")
ANN = Operator("1.2", "ann@host")


@pytest.fixture
def ran(cli: Cli) -> Cli:
    """Return the program beside a ledger of three runs, the last of which never ended."""

    async def fill() -> None:
        async with open_ledger(cli.folder / "wxrec.db", HOME, mask=str, emit=events.ignore) as ledger:
            await ledger.begin_run("aa11", PERIOD.from_ms, PERIOD, author=ANN, command="run --scheduled")
            await ledger.end_run("aa11", PERIOD.from_ms + 90_000, 3, {"stored": 7, "failed": 2, "notes": ["a\nb"]})
            await ledger.begin_run("aa22", PERIOD.from_ms + 100_000, None)
            await ledger.end_run("aa22", PERIOD.from_ms + 101_000, 0, {"stored": 0})
            await ledger.begin_run("bb33", PERIOD.from_ms + 200_000, PERIOD, author=ANN, command="retry")

    anyio.run(fill)
    return cli


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_last_runs_are_listed_the_latest_first(ran: Cli) -> None:
    """A line each, with what was asked for, how it ended and who it was; one that never ended says so."""
    done = ran("runs")
    assert done.exit_code == 0
    heading, last, nameless, first = done.stdout.splitlines()
    assert heading.split() == ["run", "begun", "took", "exit", "command", "stored", "failed", "who"]
    assert last.split() == ["bb33", "2024-10-04T00:03:20Z", "goes", "on,", "or", "was", "killed", "retry", "ann@host"]
    assert nameless.split()[:1] == ["aa22"]
    assert first.split()[2:] == ["1", "min", "30", "s", "3", "run", "--scheduled", "7", "2", "ann@host"]
    (only,) = ran("runs", "--last", "1").stdout.splitlines()[1:]
    assert only.split() == last.split()


def test_runs_for_machines_are_a_line_each_and_their_count(ran: Cli) -> None:
    """What an older ledger does not know is null."""
    last, nameless, first, end = lines_of(ran("runs", "--json").stdout)
    assert end == {"event": "runs", "schema": 1, "count": 3}
    assert (last["ended"], last["exit_code"], last["stored"]) == (None, None, None)
    assert (nameless["command"], nameless["who"], nameless["from"]) == (None, None, None)
    assert (first["run_id"], first["exit_code"], first["stored"], first["who"]) == ("aa11", 3, 7, "ann@host")


def test_one_run_is_shown_whole_by_how_its_id_begins(ran: Cli) -> None:
    """Every field of its summary, on lines of its own, and what its exit code means."""
    shown = ran("runs", "show", "aa1").stdout.splitlines()
    assert shown[0] == "run aa11   run --scheduled"
    assert {"  by          ann@host, version 1.2", "  stored = 7", '  notes = ["a\\nb"]'} <= set(shown)
    assert shown[-1].startswith("exit 3: ")
    (told,) = lines_of(ran("runs", "show", "aa11", "--json").stdout)
    assert (told["run_id"], told["summary"]["failed"]) == ("aa11", 2)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("zz",), "the ledger knows no run zz; `wxrec-async runs` lists them"),
        (("aa",), "2 runs begin with aa: aa22, aa11; write more of it"),
        ((), "name a run: wxrec-async runs show RUN; `wxrec-async runs` lists them"),
    ],
)
def test_a_run_that_cannot_be_told_is_refused_in_words(ran: Cli, asked: tuple[str, ...], words: str) -> None:
    """Nothing is guessed."""
    done = ran("runs", "show", *asked)
    assert (done.exit_code, done.stderr) == (2, f"error: {words}\n")


def test_without_a_run_there_is_nothing_to_list(cli: Cli) -> None:
    """A ledger that was only made says so; none at all is 7."""

    async def make() -> None:
        async with open_ledger(cli.folder / "wxrec.db", HOME, mask=str, emit=events.ignore):
            pass

    assert cli("runs").exit_code == 7
    anyio.run(make)
    assert cli("runs").stdout == "no run yet\n"
