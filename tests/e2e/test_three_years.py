"""Three years of an organisation: one list reaches one of them, Search the others, and together they are all of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.kit import Month
from tests.webex_contract.front import StrictFront, strict_front
from wxrec_async.flow.summary import Summary
from wxrec_async.model import DAY_MS, SearchState, Window
from wxrec_async.sandbox import Options, Organisation, Sandbox

pytestmark = pytest.mark.anyio

DAYS = 1095
YEAR = 365
FEW = Window(0, 20 * DAY_MS)


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
    sandbox = Sandbox(Options(organisation=made, requests_per_minute=0, **options))
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


async def over(site: Years, window: Window) -> Summary:
    return await site.run(period=window)


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
        summary = await over(site, window)
        assert summary.exit_code == 3
        assert set(summary.ending.incomplete) == {Window(at, at + DAY_MS) for at in range(*_ends(window), DAY_MS)}
        assert site.rows("SELECT * FROM closed_windows") == []
        told = await site.reconcile(period=window)
        assert (told.report.exit_code, told.report.certified) == (3, False)
        if world == "absent":
            return
        site.sandbox.faults.clear()
        assert (await over(site, window)).exit_code == 0
        assert set(site.objects) == site.due(window)
        assert (await site.reconcile(period=window)).report.exit_code == 0


def _ends(window: Window) -> tuple[int, int]:
    return window.from_ms, window.to_ms
