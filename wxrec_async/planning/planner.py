"""Goes through a period day by day, oldest first: what is listed, what the ledger has, what Search says of sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.flow.task_lister import Lister
from wxrec_async.ledger import TaskRow
from wxrec_async.model import DAY_MS, SearchRow, Task, Window
from wxrec_async.planning.plan import PlannedWindow, WindowListing
from wxrec_async.planning.planned_day import KnownWork, Outlook, PlannedDay
from wxrec_async.rules.search_paging import searchable
from wxrec_async.rules.windows import cut

MAX_SEARCH_CALLS = 400  # of 250 tasks each: sizes are worth some minutes, no more


class TaskRows(Protocol):
    """The ledger, as far as reading tasks goes."""

    async def task_rows(self, window: Window, *, after: TaskRow | None = None, limit: int = 500) -> list[TaskRow]: ...


class Planner:
    """Plans one period, once; ``notes`` say what could not be known, a sentence each."""

    def __init__(self, ledger: TaskRows, lister: Lister, search: SearchReader | None, outlook: Outlook) -> None:
        self._ledger, self._lister, self._outlook = ledger, lister, outlook
        self._search = search
        self._search_calls = 0
        self.notes: list[str] = []

    async def plan(
        self, period: Window, left: Iterable[Window]
    ) -> tuple[tuple[PlannedWindow, ...], tuple[PlannedDay, ...]]:
        """Return the windows that are still to be listed, listed, and all days of the period."""
        # Both are cut at UTC midnight, so a window lies in one day, and a day can have several that are left of it.
        waiting: dict[int, list[Window]] = {}
        for window in left:
            waiting.setdefault(window.from_ms // DAY_MS, []).append(window)
        planned: list[PlannedWindow] = []
        days: list[PlannedDay] = []
        for day in cut(period):
            # One after the other, and day by day: what is in memory is one day of tasks, however long the period.
            listings = [await WindowListing(each).read(self._lister) for each in waiting.get(day.from_ms // DAY_MS, ())]
            planned += [self._planned(listing) for listing in listings]
            days.append(await self._day(day, listings))
        return tuple(planned), tuple(days)

    def _planned(self, listing: WindowListing) -> PlannedWindow:
        outlook = self._outlook
        return listing.planned(outlook.ages, outlook.now_ms, outlook.filters)

    async def _day(self, day: Window, listings: Sequence[WindowListing]) -> PlannedDay:
        listed: dict[str, Task] = {}
        for listing in listings:
            listed |= listing.tasks
        known = await self._known(day)
        before = self._search_calls
        # A day with nothing left to do needs no sizes, and Search costs calls of the budget that a run needs.
        sizes = await self._sizes(day) if self._outlook.has_work(listed, known) else {}
        calls = sum(listing.pages for listing in listings), self._search_calls - before
        return self._outlook.day(day, listed, known, sizes, calls)

    async def _known(self, day: Window) -> dict[str, KnownWork]:
        known: dict[str, KnownWork] = {}
        last: TaskRow | None = None
        while rows := await self._ledger.task_rows(day, after=last):
            last = rows[-1]
            known |= {row.task.id: _standing(row) for row in rows}
        return known

    async def _sizes(self, day: Window) -> Mapping[str, int]:
        """Ask Search how large the recordings of a day are."""
        sizes: dict[str, int] = {}
        search = self._search
        if search is None or not searchable(day, self._outlook.now_ms):
            return sizes
        if self._search_calls >= MAX_SEARCH_CALLS:
            self._give_up(f"sizes were asked of Search in {self._search_calls} calls; the rest is estimated")
            return sizes

        async def take_in(witnesses: Sequence[SearchRow]) -> None:
            self._search_calls += 1
            sizes.update((each.task.id, each.bytes) for each in witnesses if each.bytes is not None)

        # Sizes from before the trouble are kept: each is right for its task, and the others are estimated.
        trouble = await search.read(day, take_in)
        if trouble:
            self._give_up(f"sizes are estimated: {trouble}")
        return sizes

    def _give_up(self, why: str) -> None:
        # For all days that follow, too: said once, and not asked again of a Search that refuses.
        self._search = None
        self.notes.append(why)


def _standing(row: TaskRow) -> KnownWork:
    return KnownWork(row.task, row.asked.state, tuple(each.state for each in row.recordings), row.witness_bytes)
