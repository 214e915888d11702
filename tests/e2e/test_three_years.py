"""Three years of an organisation: one list reaches one of them, Search the others, and together they are all of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.kit import Month
from tests.webex_contract.front import StrictFront, strict_front
from wxrec_async import Backfill
from wxrec_async.events import Event, Warned
from wxrec_async.flow import window_reader
from wxrec_async.flow.search_lister import SearchLister
from wxrec_async.model import DAY_MS, SearchState, Window
from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.webex import search as webex_search

pytestmark = pytest.mark.anyio

DAYS = 1095
YEAR = 365


class Years(Month):
    """An organisation whose calls lie in three years."""

    front: StrictFront

    @property
    def now_ms(self) -> int:
        return round(time.time() * 1000)

    def days_ago(self, oldest: int, newest: int) -> Window:
        """Return whole UTC days."""
        today = self.now_ms // DAY_MS * DAY_MS
        return Window(today - oldest * DAY_MS, today - newest * DAY_MS)

    def rows(self, query: str) -> list[Any]:
        connection = sqlite3.connect(self.ledger)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def due(self, window: Window) -> set[str]:
        """Return the keys that must be there of calls created in ``window``."""
        calls = {task.id for task in self.organisation.between(window.from_ms - 1, window.to_ms)}
        return {item.key for item in self.sandbox.truth() if item.task_id in calls}


@asynccontextmanager
async def three_years(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, tasks: int = 60, **options: Any
) -> AsyncIterator[Years]:
    made = Organisation(tasks, 5, days=DAYS, seconds=(0.2, 0.4), large=False, odd_names=False)
    sandbox = Sandbox(Options(**{"organisation": made, "requests_per_minute": 0, **options}))
    async with sandbox, strict_front(sandbox.api_url, sandbox.auth_url) as front:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        urls = {"base_url": front.api_url, "auth_url": front.api_url}
        site = Years(sandbox, sandbox.write_config(folder, webex={"requests_per_minute": 1_000_000, **urls}))
        site.change("backfill", days_back=DAYS)
        site.front = front
        yield site


async def test_every_recording_of_three_years_is_stored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, each from the list that reaches it; year three is certified, and a second run asks for nothing."""
    async with three_years(tmp_path, monkeypatch) as site:
        summary = await site.run()
        assert summary.exit_code == 0, summary.as_json()
        assert set(site.objects) == {item.key for item in site.sandbox.truth()}
        asked_for = [
            each for entry in site.sandbox.log.entries if entry.operation == "captures" for each in entry.key.split(",")
        ]
        assert len(asked_for) == len(set(asked_for))
        assert dict(site.rows("SELECT source, count(*) FROM tasks GROUP BY source")).keys() == {"tasks", "search"}
        (youngest,) = site.rows("SELECT max(created_ms) FROM tasks WHERE source = 'search'")[0]
        assert youngest < site.now_ms - (YEAR - 1) * DAY_MS
        closed = site.rows("SELECT source, from_ms, to_ms FROM closed_windows ORDER BY from_ms")
        assert [source for source, _, _ in closed] == ["search", "tasks"]
        assert closed[0][2] == closed[1][1]
        assert site.rows("SELECT count(*) FROM tasks WHERE source = 'search' AND origin IS NULL") == [(0,)]

        asked = site.requests("search")
        again = await site.run()
        assert (again.exit_code, again.counts.stored) == (0, 0)
        assert site.requests("search") - asked <= 1  # the oldest hour, which the first run's clock had not reached

        told = await site.reconcile(period=site.days_ago(800, 770))
        assert told.report.exit_code == 0, told.report.as_json()
        assert len(told.report.as_json()["attested_days"]) == 30  # type: ignore[arg-type]
        heard = {(day.tasks_heard, day.search_heard) for day in told.report.days}
        assert heard == {(SearchState.OUT_OF_REACH, SearchState.PRESENT)}
        assert told.differences == []
        assert site.front.findings.of(level="error") == []


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "refused": ("error", {"status": 403}),
    "broken": ("error", {"status": 418}),
    "partial": ("partial_data", {}),
}


@pytest.mark.parametrize("world", [*BAD, "absent"])
async def test_what_search_does_not_list_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: str
) -> None:
    """Refused, absent, broken or beside errors: named, exit 3, no window closed; and made good when it is well."""
    async with three_years(tmp_path, monkeypatch, tasks=400, searches=world != "absent") as site:
        window = site.days_ago(500, 495)
        if world != "absent":
            kind, parameters = BAD[world]
            site.sandbox.faults.add("search", kind, attempts=None, **parameters)
        summary = await site.run(period=window)
        assert summary.exit_code == 3
        assert set(summary.ending.incomplete) == {Window(at, at + DAY_MS) for at in range(*_ends(window), DAY_MS)}
        assert site.rows("SELECT * FROM closed_windows") == []
        told = await site.reconcile(period=window)
        assert (told.report.exit_code, told.report.certified) == (3, False)
        if world == "absent":
            return
        site.sandbox.faults.clear()
        assert (await site.run(period=window, scheduled=True)).exit_code == 0
        assert set(site.objects) == site.due(window)
        assert (await site.reconcile(period=window)).report.exit_code == 0


def _ends(window: Window) -> tuple[int, int]:
    return window.from_ms, window.to_ms


async def test_what_is_named_is_known_as_what_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of three years and of nobody: Search fills the row and the sidecar; what it does not know stays bare."""
    async with three_years(tmp_path, monkeypatch) as site:
        site.change("s3", sidecar=True)
        calls = [task for task in site.organisation.tasks if task.channel == "telephony" and task.recordings]
        named = [*(task.id for task in calls), "00000000-0000-4000-8000-000000000001"]
        async with Backfill(site.settings) as backfill:
            summary = await backfill.archive(named)
        assert {each.reason for each in summary.failures} <= {"unknown_task"}
        assert summary.counts.stored == len(site.sandbox.truth())
        assert site.requests("search") == 3  # a year each, for what is not found yet
        assert site.requests("tasks") == 0
        rows = site.rows("SELECT source, created_ms, ended_ms, agent_id, direction, origin FROM tasks")
        assert {source for source, *_ in rows} == {"file"}
        known = [row for row in rows if row[1] is not None]
        assert len(known) == len(calls) == len(rows) - 1
        assert all(None not in row for row in known)
        assert site.rows("SELECT count(*) > 0 FROM tasks WHERE queue_id IS NOT NULL AND queue_name IS NOT NULL") == [
            (1,)
        ]
        told = json.loads(site.bytes_of(next(key for key in site.objects if key.endswith("metadata.json"))))
        assert all(told[name] for name in ("created", "ended", "direction", "origin", "agent_id", "agent_name"))
        assert site.front.findings.of(level="error") == []


@pytest.mark.parametrize("searches", [False, True])
async def test_without_search_named_ids_go_on_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searches: bool
) -> None:
    """Absent or refused, it is said once, and every recording is stored all the same."""
    async with three_years(tmp_path, monkeypatch, tasks=600, searches=searches) as site:
        site.sandbox.faults.add("search", "error", attempts=None, status=403)
        ids = [task.id for task in site.organisation.tasks if task.channel == "telephony" and task.recordings]
        told: list[Event] = []
        async with Backfill(site.settings, on_event=told.append) as backfill:
            summary = await backfill.archive(ids)
        assert (summary.exit_code, summary.counts.stored) == (0, len(site.sandbox.truth()))
        assert len([each for each in told if isinstance(each, Warned) and each.code == "search_not_heard"]) == 1
        assert site.requests("search") <= 2
        assert site.rows("SELECT DISTINCT created_ms FROM tasks") == [(None,)]


async def test_ids_that_only_search_has_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captures knows nothing of a call that Search calls recorded: owed, then missing, and never certified."""
    async with three_years(tmp_path, monkeypatch, tasks=400) as site:
        window = site.days_ago(500, 490)
        lost = next(
            task
            for task in site.organisation.between(window.from_ms, window.to_ms)
            if task.channel == "telephony" and task.capture_requested
        )
        site.organisation.forget(lost.id)
        summary = await site.run(period=window)
        assert (summary.exit_code, summary.counts.owed) == (5, 1)
        assert site.rows("SELECT id, reason FROM tasks WHERE state = 'owed'") == [(lost.id, "capture_awaited")]
        told = await site.reconcile(period=window)
        assert told.reasons() == {lost.id: "capture_awaited"}
        assert told.report.exit_code == 5
        site.pass_days(2)
        again = await site.run(period=window)
        assert again.exit_code == 3
        assert site.rows("SELECT id, reason FROM tasks WHERE state = 'failed'") == [(lost.id, "missing")]


async def test_a_change_of_order_and_the_cap_on_rows_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More rows in a day than a query serves, or than a page holds while the order changes: asked for in halves."""
    made = Organisation(1, 5, days=DAYS, seconds=(0.2, 0.4), large=False, odd_names=False)
    async with three_years(tmp_path, monkeypatch, organisation=made, max_search_rows=350) as site:
        monkeypatch.setattr(window_reader, "SearchLister", lambda search, kinds: SearchLister(search, kinds, 300))
        day = site.days_ago(700, 699)
        for number in range(600):
            site.organisation.add(day.from_ms + number * 140_000, capture_requested=False)
        site.sandbox.faults.add("search", "reordered", attempts=None)
        summary = await site.run(period=day)
        assert (summary.exit_code, summary.counts.tasks_listed) == (0, 600)


async def test_plan_counts_all_three_years(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Search's sums for the older ones, a call a day; and page by page where they are refused, with one result."""
    async with three_years(tmp_path, monkeypatch, tasks=3000) as site:
        period = Window(site.days_ago(400, 0).from_ms, site.days_ago(340, 330).to_ms)
        calls = [
            task for task in site.organisation.between(period.from_ms - 1, period.to_ms) if task.channel == "telephony"
        ]
        sizes = {task.id: site.organisation.search_row(task, site.now_ms)["recordingFileSize"] for task in calls}
        async with Backfill(site.settings, read_only=True) as backfill:
            plan = await backfill.plan(period)
        assert plan.tasks == len(calls)
        assert plan.to_ask == sum(task.capture_requested is not False for task in calls)
        assert plan.total("bytes_likely") == pytest.approx(sum(filter(None, sizes.values())), rel=0.01)
        lists = {each.source.value for each in plan.windows}
        assert lists == {"tasks", "search"}
        assert any("listed by Search" in note for note in plan.notes)
        assert {each["source"] for each in plan.as_json()["windows"]} == lists  # type: ignore[attr-defined]
        monkeypatch.setattr(webex_search, "count_body", lambda *_: b'{"query":"{taskDetails(from:1){tasks{id}}}"}')
        async with Backfill(site.settings, read_only=True) as backfill:
            listed = await backfill.plan(period)
        assert any("Search does not count them" in note for note in listed.notes)
        assert (listed.tasks, listed.to_ask) == (plan.tasks, plan.to_ask)
