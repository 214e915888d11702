"""What an older ledger did not keep is fetched again, as far as Webex still says it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.verify.site import Site, open_site
from wxrec_async.ledger import migrations
from wxrec_async.maintenance.enrich import EnrichReport, enrich

pytestmark = pytest.mark.anyio
KEPT = "SELECT id, reason_code, said FROM tasks ORDER BY id"
HEARD = "SELECT task, id, file_name, channel1, channel2, participants, sensitive FROM recordings ORDER BY task, id"


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A backfill that was made by a program that kept less."""
    async with open_site(tmp_path, monkeypatch, tasks=25, s3={"sidecar": True}) as site:
        assert (await site.run()).exit_code == 0
        yield site


def ledger_of(site: Site, *statements: str) -> list[list[tuple[object, ...]]]:
    """Carry statements out on the ledger's file, and return what each of them answers."""
    with closing(sqlite3.connect(site.ledger, isolation_level=None)) as connection:
        migrations.register(connection)
        return [connection.execute(statement).fetchall() for statement in statements]


def forget(site: Site) -> None:
    """Make the ledger what migrating one of the first release makes of it."""
    ledger_of(
        site,
        "UPDATE tasks SET reason_code = NULL, said = NULL, active = NULL",
        "UPDATE recordings SET file_name = NULL, channel1 = NULL, channel2 = NULL, participants = NULL, "
        "sensitive = NULL, said = NULL",
    )


async def test_the_gaps_are_filled_and_nothing_else_is_changed(site: Site) -> None:
    """States, keys and times stay; a second time there is nothing to ask."""
    before = ledger_of(site, HEARD, "SELECT id, state, changed_ms, queue_name FROM tasks ORDER BY id")
    forget(site)
    report = await enrich(site.settings)
    assert (report.exit_code, report.failures, report.not_told, report.out_of_reach) == (0, 0, 0, 0)
    assert report.recordings == len(before[0])
    assert ledger_of(site, HEARD, "SELECT id, state, changed_ms, queue_name FROM tasks ORDER BY id") == before
    assert all(row[1] is not None for row in ledger_of(site, KEPT)[0])
    asked = site.requests("tasks"), site.requests("captures")
    assert min(asked) > 0
    again = await enrich(site.settings)
    assert (again.tasks, again.recordings, again.days) == (0, 0, 0)
    assert (site.requests("tasks"), site.requests("captures")) == asked


async def test_sidecars_tell_it_after_the_next_run(site: Site) -> None:
    """They are written again because there is something to tell, and only then."""
    forget(site)
    for key, body in site.objects.items():
        if key.endswith("/metadata.json"):
            told = json.loads(site.bytes_of(key))
            for each in told["recordings"]:
                each["file_name"] = None
            await site.overwrite(key, json.dumps(told).encode(), body.metadata)
    await enrich(site.settings)
    assert (await site.run()).exit_code == 0
    sidecars = [json.loads(site.bytes_of(key)) for key in site.objects if key.endswith("/metadata.json")]
    assert sidecars
    assert all(each["file_name"] for told in sidecars for each in told["recordings"])


async def test_what_webex_does_not_name_any_more_is_counted_and_not_asked_again(site: Site) -> None:
    """It was deleted meanwhile: the gap stays a gap."""
    forget(site)
    ledger_of(site, "INSERT INTO recordings (task, id, state, listed_ms, changed_ms) "
                    "SELECT min(task), 'deleted-since', 'stored', 1, 1 FROM recordings")  # fmt: skip
    report = await enrich(site.settings)
    assert (report.exit_code, report.not_told) == (0, 1)
    assert (await enrich(site.settings)).not_told == 0


async def test_the_command_says_what_it_did(site: Site) -> None:
    """In one line of JSON, and in words; a ledger that is not there is named."""
    forget(site)
    told = await site.call("ledger", "enrich", "--json")
    assert (told.code, told.lines[-1]["event"], told.lines[-1]["failed"]) == (0, "summary", 0)
    assert told.lines[-1]["recordings"] > 0
    told = await site.call("ledger", "enrich", "--no-progress")
    assert "filled in: 0 calls of 0 days, 0 recordings" in told.out
    site.lose_ledger()
    assert (await site.call("ledger", "enrich")).code == 7


def test_what_failed_is_named_up_to_a_bound_and_counted_beyond() -> None:
    """A month of refusals does not fill the memory."""
    report = EnrichReport()
    for number in range(1200):
        report.fail(f"task-{number}", "http_404")
    assert (report.failures, len(report.failed), report.exit_code) == (1200, 1000, 3)
