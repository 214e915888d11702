"""Where the next page of Search is, and when a list with a cursor cannot be believed.

A server may send the same cursor twice, or empty pages for ever.  It serves at
most so many rows to one query: whether it then says so, fails or just stops is
not documented, so a list is believed only while it is well below that.  And it
may sort anew between two pages: what moves back over the border between them is
then shown by neither, and what moves forward is shown by both.  So a row that comes
twice means that others are lost; in a long list, of which not all is remembered, so does one out of order.
"""

from __future__ import annotations

from collections.abc import Sequence

from wxrec_async.model import DAY_MS, SearchPage, SearchRow, Task, Window

MAX_EMPTY_PAGES = 20
MAX_ROWS = 90_000  # Webex serves 100,000 to one query
MAX_BACK_MS = 1095 * DAY_MS  # Search knows 36 months
KEPT = 1_000  # four pages in order: a server that has sorted so many sorts them all
REORDERED = "its order changed between pages"


class CursorPager:
    """Reads one query page by page, which asks for its rows in order of their creation.

    It ends: every page brings a cursor not seen before, and only so many of them in a row may be empty.
    It stays small: of more than `KEPT` rows that come in order, only the ids of the newest moment are kept.
    """

    def __init__(self, window: Window, max_rows: int = MAX_ROWS) -> None:
        self.window = window
        self.cursor = ""
        self.overfull = self.reordered = False
        self._max_rows = max_rows
        self._rows = self._empty = 0
        self._seen: set[str] = set()
        self._newest_ms = 0
        self._sorted, self._forgets = True, False
        self._ids: dict[str, int | None] = {}  # id: when it was created

    @property
    def done(self) -> bool:
        return not self.cursor or self.overfull

    def take(self, page: SearchPage) -> tuple[list[SearchRow], str | None]:
        """Return the rows of the window, and why the list cannot be read to its end; go on while not ``done``."""
        self._rows += page.rows
        self._empty = 0 if page.rows else self._empty + 1
        self.overfull = self._rows >= self._max_rows
        stuck = page.cursor in self._seen or self._empty > MAX_EMPTY_PAGES
        self._seen.add(page.cursor)
        self.cursor = "" if stuck else page.cursor
        self._hold_order([each.task for each in page.witnesses])
        return [each for each in page.witnesses if self._inside(each)], self._trouble(page, stuck=stuck)

    def _hold_order(self, tasks: Sequence[Task]) -> None:
        times = [task.created_ms for task in tasks if task.created_ms is not None]
        self._sorted &= times == sorted(times) and (not times or times[0] >= self._newest_ms)
        # Whatever the order is: a server that keeps to it shows no row twice, and as many rows as there are.
        self.reordered |= any(task.id in self._ids for task in tasks) or (self._forgets and not self._sorted)
        self._newest_ms = max([self._newest_ms, *times])
        self._ids |= {task.id: task.created_ms for task in tasks}
        if self._sorted and len(self._ids) > KEPT:
            self._forgets = True
            self._ids = {name: at for name, at in self._ids.items() if at is None or at == self._newest_ms}

    def _trouble(self, page: SearchPage, *, stuck: bool) -> str | None:
        if self.overfull:
            return "more rows than Search serves to one query"
        if page.cursor and stuck:
            return "paging is stuck: the cursor leads nowhere new"
        if page.trouble:
            return page.trouble
        if self.reordered:
            return REORDERED
        return f"{page.unreadable} of its rows have no usable id" if page.unreadable else None

    def _inside(self, witness: SearchRow) -> bool:
        created = witness.task.created_ms
        return created is None or self.window.from_ms <= created < self.window.to_ms


def searchable(window: Window, now_ms: int) -> bool:
    """Say whether Search looks back as far as this window, all of it."""
    return window.from_ms > now_ms - MAX_BACK_MS
