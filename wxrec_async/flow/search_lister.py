"""Reads a window of contacts from Search to its end, in queries that Search can serve.

`SearchReader` hears it as a witness beside the list of tasks; `SearchLister` lists by it what is older.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from wxrec_async.flow import task_lister
from wxrec_async.model import DAY_MS, SearchPage, SearchRow, SearchState, TaskPage, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.rules.search_paging import MAX_ROWS, CursorPager
from wxrec_async.rules.selection import of_channel
from wxrec_async.rules.windows import cut, halves

REFUSED, ABSENT = "search_refused", "search_absent"
TOO_MUCH_ASKED = (REFUSED, "http_413", "http_422", "answer_too_large")
MAX_HALVINGS = 3  # after refusals and changes of order; a window with too many rows is halved as often as it takes

TakeIn = Callable[[Sequence[SearchRow]], Awaitable[None]]


class SearchSource(Protocol):
    """Webex, as far as Search goes."""

    async def search_page(self, window: Window, cursor: str = "") -> SearchPage:
        """Return one page; `OperationFailed` when it cannot be had."""
        ...


class SearchReader:
    """Reads windows one after the other.

    ``absent`` is empty while Search answers; when the very first question finds
    none, or one that refuses us, ``absent`` says so in its words and ``state``
    which of the two.  ``state`` is how the last window was read.
    """

    def __init__(self, search: SearchSource, max_rows: int = MAX_ROWS) -> None:
        self._search, self._max_rows = search, max_rows
        self._length_ms = DAY_MS  # what one query can hold, as far as is known
        self._answered = False
        self.absent = ""
        self.state = SearchState.NOT_ASKED

    async def read(self, window: Window, take_in: TakeIn) -> str | None:
        """Hand every page to ``take_in``; return why the end was not reached, None when it was.

        A row may be handed over more than once.  Nothing is read once ``absent``.
        """
        for piece in list(cut(window, self._length_ms)):
            trouble = None if self.absent else await self._read(piece, take_in, MAX_HALVINGS)
            if trouble:
                self.state = SearchState.PARTIAL
                return trouble
        if not self.absent:
            self.state = SearchState.PRESENT
        return None

    async def _read(self, window: Window, take_in: TakeIn, halvings: int) -> str | None:
        pager = CursorPager(window, self._max_rows)
        try:
            trouble = await self._read_pages(pager, take_in)
        except OperationFailed as given_up:
            reason = given_up.decision.reason if isinstance(given_up.decision, GiveUp) else "error"
            # Only before the first answer: after it Search is there, and what it refuses is this one query.
            if reason in (REFUSED, ABSENT) and not self._answered:
                self.absent = str(given_up)
                self.state = SearchState.ABSENT if reason == ABSENT else SearchState.REFUSED
                return None
            trouble, halve = f"Search: {reason}: {given_up}", reason in TOO_MUCH_ASKED and halvings > 0
            halvings -= 1
        else:
            # Each half has fewer pages whose order could change, and a single one has none between them.
            again = pager.reordered and halvings > 0
            halve, halvings = pager.overfull or again, halvings - again
        if not halve or window.length_ms < 2:
            return trouble
        # Kept for the windows that follow, which would be refused or overfull likewise.
        if not pager.reordered:
            self._length_ms = min(self._length_ms, max(1, window.length_ms // 2))
        # Both halves, even if the first one fails: every row that comes is of use.
        found = [await self._read(half, take_in, halvings) for half in halves(window)]
        return next(filter(None, found), None)

    async def _read_pages(self, pager: CursorPager, take_in: TakeIn) -> str | None:
        trouble: str | None = None
        while True:
            page = await self._search.search_page(pager.window, pager.cursor)
            self._answered = True
            witnesses, wrong = pager.take(page)
            trouble = trouble or (f"Search: {wrong}" if wrong else None)
            await take_in(witnesses)
            if pager.done:
                return trouble


class SearchLister:
    """Lists windows by Search, as `task_lister.Lister` does by ``GET /v1/tasks``.

    Where Search is not to be had no window is at its end: nothing else lists it.
    """

    def __init__(self, search: SearchSource, channel_types: Collection[str], max_rows: int = MAX_ROWS) -> None:
        self._reader, self._channel_types = SearchReader(search, max_rows), channel_types

    async def read(self, window: Window, take_in: task_lister.TakeIn) -> str | None:
        """See `task_lister.TaskLister`; a page shows the contacts of every channel."""

        async def take_rows(rows: Sequence[SearchRow]) -> None:
            tasks = tuple(each.task for each in rows)
            ours = [task for task in tasks if of_channel(task, self._channel_types)]
            await take_in(window, TaskPage(tasks, len(tasks)), ours)

        trouble = await self._reader.read(window, take_rows)
        if not trouble and self._reader.absent:
            return f"only Search lists calls of that age, and it is not to be had: {self._reader.absent}"
        return trouble
