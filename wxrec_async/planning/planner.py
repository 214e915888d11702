"""Goes through a period day by day, oldest first: what is listed, what the ledger has, what Search says of sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.flow.task_lister import TaskLister
from wxrec_async.ledger import TaskRow
from wxrec_async.model import DAY_MS, SearchCounts, SearchRow, Task, Window, iso
from wxrec_async.planning.plan import PlannedWindow, WindowListing
from wxrec_async.planning.planned_day import KnownWork, Outlook, PlannedDay
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.search_paging import searchable
from wxrec_async.rules.sources import Reach, Source, parts_of
from wxrec_async.rules.windows import cut

NO_SEARCH = Reach(search=False)
MAX_SEARCH_CALLS = 400  # of 250 tasks each: sizes are worth some minutes, no more


class TaskRows(Protocol):
    """The ledger, as far as reading tasks goes."""

    async def task_rows(self, window: Window, *, after: TaskRow | None = None, limit: int = 500) -> list[TaskRow]: ...


class CountSource(Protocol):
    """Search, as far as counting goes."""

    async def count(self, window: Window) -> SearchCounts: ...


@dataclass(frozen=True, slots=True)
class OlderCalls:
    """How calls are planned that ``GET /v1/tasks`` does not reach back to.

    ``counts`` is None where no number is of use: what filters leave out only a list can tell.
    """

    reach: Reach
    lister: TaskLister
    counts: CountSource | None = None


class Planner:
    """Plans one period, once; ``notes`` say what could not be known, and what comes from where, a sentence each."""

    def __init__(
        self,
        ledger: TaskRows,
        lister: TaskLister,
        search: SearchReader | None,
        outlook: Outlook,
        older: OlderCalls | None = None,
    ) -> None:
        self._ledger, self._lister, self._outlook = ledger, lister, outlook
        self._search, self._older = search, older
        self._counts = older.counts if older else None
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
            listings, counted = await self._listed(waiting.get(day.from_ms // DAY_MS, ()))
            numbers = [PlannedWindow.counted(*each) for each in counted]
            planned += sorted([*map(self._planned, listings), *numbers], key=lambda each: each.window)
            days.append(await self._day(day, listings, counted))
        self._say_where_from(planned)
        return tuple(planned), tuple(days)

    async def _listed(self, left: Iterable[Window]) -> tuple[list[WindowListing], list[tuple[Window, SearchCounts]]]:
        """List windows, or have Search count them."""
        older, listings, counted = self._older, [], []
        for source, window in parts_of(left, older.reach if older else NO_SEARCH, self._outlook.now_ms):
            if source is Source.TASKS or older is None:
                listings.append(await WindowListing(window).read(self._lister))
            elif (counts := await self._count(window)) is not None:
                counted.append((window, counts))
            else:
                listings.append(await WindowListing(window, source=source).read(older.lister))
        return listings, counted

    async def _count(self, window: Window) -> SearchCounts | None:
        """Return what Search counts; None when it does not, and is listed instead."""
        if self._counts is None:
            return None
        try:
            return await self._counts.count(window)
        except OperationFailed as given_up:
            # Sums are the smaller part of Search: what refuses them may well list.
            self._counts = None
            self.notes.append(f"older calls are listed page by page, for Search does not count them: {given_up}")
            return None

    def _say_where_from(self, planned: Sequence[PlannedWindow]) -> None:
        older = [each for each in planned if each.source is Source.SEARCH]
        if older:
            tasks, calls = sum(each.tasks for each in older), sum(each.pages for each in older)
            self.notes.append(
                f"up to {iso(older[-1].window.to_ms)} calls are listed by Search, 250 a page: {tasks} of them in "
                f"{calls} calls; what is newer by GET /v1/tasks"
            )

    def _planned(self, listing: WindowListing) -> PlannedWindow:
        outlook = self._outlook
        return listing.planned(outlook.ages, outlook.now_ms, outlook.filters)

    async def _day(
        self, day: Window, listings: Sequence[WindowListing], counted: Sequence[tuple[Window, SearchCounts]] = ()
    ) -> PlannedDay:
        listed: dict[str, Task] = {}
        for listing in listings:
            listed |= listing.tasks
        known = await self._known(day)
        before = self._search_calls
        # A day with nothing left to do needs no sizes, and Search costs calls of the budget that a run needs.
        sizes = await self._sizes(day) if self._outlook.has_work(listed, known) else {}
        calls = sum(listing.pages for listing in listings), self._search_calls - before
        planned = self._outlook.day(day, listed, known, sizes, calls)
        for window, counts in counted:
            pages = PlannedWindow.counted(window, counts).pages
            planned = self._outlook.counted(planned, window, counts, known, pages)
        return planned

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
