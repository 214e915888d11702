"""When a period cannot be certified although nothing is missing, and what is said of it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.canaries import found_in
from wxrec_async import Backfill
from wxrec_async.errors import AuthError, LedgerError
from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.ledger import open_reader
from wxrec_async.model import DAY_MS, SearchState
from wxrec_async.reconciliation import opened_context
from wxrec_async.sandbox.faults import Rule

from .kit import Certificates, Month, month

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Month]:
    """An organisation of five days whose recordings are all stored."""
    async with month(tmp_path, monkeypatch, tasks=60, days=5) as site:
        assert (await site.run()).exit_code == 0
        yield site


async def test_an_untouched_period_is_certified(site: Month) -> None:
    """Every object is looked at once, captures is asked only where silence was early, nothing written."""
    before = {name: site.requests(name) for name in ("captures", "s3.HeadObject", "s3.PutObject")}
    told = await site.reconcile(certify=False)
    assert told.differences == []
    assert (told.report.exit_code, told.report.certified, told.report.search) == (0, True, "asked")
    counts = told.report.counts
    assert counts["tasks"] == counts["stored"] + counts["no_recording"] == counts["listed"] == counts["searched"]
    assert counts["recordings"] == len(site.objects)
    assert site.requests("s3.HeadObject") - before["s3.HeadObject"] == len(site.objects)
    assert site.requests("s3.PutObject") == before["s3.PutObject"]
    assert site.requests("captures") == before["captures"]


async def test_a_tenant_without_search_is_certified_by_the_one_list(site: Month) -> None:
    """It is said plainly, once; when Search is required it keeps every day from a certificate."""
    site.sandbox.faults.extend([Rule("search", "error", attempts=None, parameters={"status": 403})])
    certificates = Certificates()
    told = await site.reconcile(certifier=certificates)
    assert (told.report.exit_code, told.report.search) == (0, "absent")
    assert {basis.witnesses["tasks"] for basis in certificates.bases.values()} == {"present"}
    assert {basis.witnesses["search"] for basis in certificates.bases.values()} == {"refused"}
    assert all(issued[-1]["searched"] is None for issued in certificates.issued.values())
    assert "403" in told.report.search_words
    assert site.requests("search") == 2, "once more, for a gateway's slip, and for no further day"
    site.change("webex", search="required")
    told = await site.reconcile()
    assert told.report.exit_code == 3
    assert all("required" in day.troubles[0] for day in told.report.days)
    site.change("webex", search="off")
    told = await site.reconcile(certifier=certificates)
    assert (told.report.exit_code, told.report.search, told.report.counts["searched"]) == (0, "off", 0)
    assert {basis.witnesses["search"] for basis in certificates.bases.values()} == {"not_asked"}


async def test_errors_in_a_200_are_tried_again_and_then_mean_that_there_is_none(site: Month) -> None:
    """GraphQL tells its errors with status 200."""
    text = '{"data": null, "errors": [{"message": "Search is not enabled for +15550100123"}]}'
    site.sandbox.faults.extend([Rule("search", "json", attempts=None, parameters={"text": text})])
    told = await site.reconcile()
    assert (told.report.exit_code, told.report.search) == (0, "absent")
    assert "not enabled" in told.report.search_words
    assert "5550100123" not in told.report.search_words
    assert site.requests("search") == 3


async def test_a_day_that_search_cannot_be_read_for_is_not_certified(site: Month) -> None:
    """A second list that was there and breaks off proves nothing of that day."""
    site.sandbox.faults.extend(
        [
            Rule("search", "json", attempts=None, limit=1, parameters={"text": page_with_cursor("")}),
            Rule("search", "error", attempts=None, parameters={"status": 422}),
        ]
    )
    told = await site.reconcile()
    first, *others = told.report.days
    assert first.certified
    assert all("Search: http_422" in day.troubles[0] for day in others)
    assert told.report.exit_code == 3


@pytest.mark.fault("W18")
async def test_a_cursor_that_leads_in_a_circle_ends(site: Month) -> None:
    """The same cursor twice, and empty pages with a next one, are named as stuck, not believed as the end."""
    site.sandbox.faults.extend([Rule("search", "json", attempts=None, parameters={"text": page_with_cursor(AGAIN)})])
    told = await site.reconcile()
    assert told.report.exit_code == 3
    assert all("paging is stuck" in day.troubles[0] for day in told.report.days)
    assert site.requests("search") == 2 * len(told.report.days)


AGAIN = base64.b64encode(b"rows:1").decode()  # a cursor as the sandbox makes them


def page_with_cursor(cursor: str) -> str:
    info = {"hasNextPage": bool(cursor), "endCursor": cursor}
    return json.dumps({"data": {"taskDetails": {"tasks": [], "pageInfo": info}}})


async def test_a_window_that_cannot_be_listed_is_not_certified(site: Month) -> None:
    """What was not read to its end may hold anything."""
    site.sandbox.faults.extend([Rule("tasks", "error", attempts=None, parameters={"status": 418})])
    told = await site.reconcile()
    assert told.report.exit_code == 3
    assert not any(day.certified for day in told.report.days)
    assert {day.tasks_heard for day in told.report.days} == {SearchState.PARTIAL}
    assert all("not listed to its end: http_418" in day.troubles[0] for day in told.report.days)


async def test_calls_that_are_too_young_keep_the_day_open(site: Month) -> None:
    """With an end given, the last moments cannot be judged: 5, said plainly; without one, the end is where they can."""
    site.change("backfill", to="2100-01-01")
    told = await site.reconcile()
    assert told.report.exit_code == 5
    assert told.report.days[-1].why_not() == ["too young: calls and captures can still appear"]
    site.change("backfill", to="")
    told = await site.reconcile()
    assert told.report.exit_code == 0
    assert any("younger calls cannot be judged" in note for note in told.report.notes)


@pytest.mark.fault("W27")
async def test_what_webex_no_longer_lists_is_never_certified(site: Month) -> None:
    """A period that begins before any list does is clamped, said so, and not proven."""
    site.change("backfill", days_back=500)
    site.change("webex", lookback_days=6, search="off")
    told = await site.reconcile()
    assert told.report.begins_late
    assert (told.report.certified, told.report.exit_code) == (False, 3)
    assert any("lists no calls older than" in note for note in told.report.notes)


async def test_only_whole_days_get_a_certificate(site: Month) -> None:
    """Part of a day can be proven complete, but a certificate is for a UTC day."""
    certificates = Certificates()
    told = await site.reconcile(certifier=certificates)
    assert all(each % DAY_MS == 0 for each in certificates.issued)
    assert len(certificates.issued) == sum(day.is_whole_day for day in told.report.days) == len(told.report.days) - 2


async def test_what_filters_leave_out_is_counted_and_named(site: Month) -> None:
    """A certificate under filters names them; tasks that are left out are no part of it."""
    site.lose_ledger()
    site.change("filters", queues=("Support",))
    assert (await site.run()).exit_code == 0
    told = await site.reconcile()
    counts = told.report.counts
    assert (told.report.exit_code, counts["left_out"] > 0) == (0, True)
    assert told.report.filters == {"channel_types": ["telephony"], "queues": ["Support"]}
    assert counts["tasks"] + counts["left_out"] == counts["listed"]


async def test_the_bucket_that_may_not_be_looked_at_leaves_everything_unknown(site: Month) -> None:
    """Without s3:GetObject nothing is known: 4, and no task is called stored."""
    site.sandbox.s3.denied = frozenset({"s3:GetObject"})
    site.change("backfill", max_failures_in_row=1000)
    told = await site.reconcile()
    assert told.report.exit_code == 4
    assert told.report.counts["stored"] == 0
    assert told.report.counts["unknown"] > 0
    assert not told.report.certified
    site.change("backfill", max_failures_in_row=5)
    with pytest.raises(AuthError, match="5 objects in a row"):
        await site.reconcile()


async def test_captures_that_cannot_be_asked_leave_the_task_unknown(
    site: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Search contradicts the ledger and nobody can say who is right: unknown is not certified."""
    silent = next(task.id for task in site.organisation.tasks if task.channel == "telephony" and not task.recordings)
    row = site.organisation.search_row
    monkeypatch.setattr(
        site.organisation,
        "search_row",
        lambda each, now_ms: row(each, now_ms) | ({"recordingCount": 1} if each.id == silent else {}),
    )
    site.sandbox.faults.extend([Rule("captures", "error", attempts=None, parameters={"status": 418})])
    told = await site.reconcile()
    assert told.reasons() == {silent: "captures_unanswered"}
    assert (told.report.exit_code, told.report.counts["unknown"]) == (3, 1)
    site.sandbox.faults.clear()
    told = await site.reconcile()
    assert told.reasons() == {silent: "capture_awaited"}
    assert told.report.exit_code == 5


async def test_more_rows_than_one_query_serves_are_split_by_time(site: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    """No query passes the limit: a day with more rows is asked for in halves, and every task is found."""
    monkeypatch.setattr(opened_context, "SearchReader", lambda search: SearchReader(search, max_rows=10))
    told = await site.reconcile()
    assert (told.report.exit_code, told.differences) == (0, [])
    assert told.report.counts["searched"] == told.report.counts["tasks"]
    assert site.requests("search") > 2 * len(told.report.days)


async def test_it_needs_a_ledger_and_holds_it_alone(site: Month) -> None:
    """Beside a run it is refused, without a ledger it says where it looked; nothing is left lying beside the ledger."""
    async with Backfill(site.settings):
        with pytest.raises(LedgerError, match="in use"):
            await site.reconcile()
    await site.reconcile()
    assert not list(site.ledger.parent.glob("*.sightings*"))
    site.lose_ledger()
    with pytest.raises(LedgerError, match="there is no ledger at"):
        await site.reconcile()


async def test_the_reconciliation_is_a_run_in_the_ledger(site: Month) -> None:
    """Who looked, when and with what result stays written down."""
    told = await site.reconcile()
    async with open_reader(site.ledger) as reader:
        last = await reader.last_run()
    assert last is not None
    assert (last.run_id, last.exit_code) == (told.report.run_id, 0)
    assert last.summary["certified"] is True


async def test_the_command_names_and_counts(site: Month) -> None:
    """JSON lines: a difference each, a day each, the summary; the exit code is that of the summary."""
    key = min(site.objects)
    await site.tampering.objects({"remove": [key]})
    told = await site.call("reconcile", "--json", "-q")
    differences = [line for line in told.lines if line["event"] == "difference"]
    assert [(line["reason"], line["state"], line["work"]) for line in differences] == [
        ("missing_in_bucket", "failed", True)
    ]
    assert differences[0]["task_id"] in key
    summary = told.lines[-1]
    assert (told.code, summary["exit_code"], summary["certified"]) == (3, 3, False)
    assert sum(summary["counts"].values()) == summary["tasks_listed"]
    assert len(summary["certified_days"]) == len([day for day in summary["windows"] if day["certified"]]) - 2
    assert (await site.run()).exit_code == 0
    assert found_in(told.out + told.err) == []
    told = await site.call("reconcile", "-q")
    assert found_in(told.out + told.err) == []
    assert (told.code, told.out.splitlines()[-1][:7]) == (0, "exit 0:")
