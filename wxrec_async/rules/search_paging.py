"""Where the next page of Search is, and when a list with a cursor cannot be believed.

A server may send the same cursor twice, or empty pages for ever.  And it serves
at most so many rows to one query: whether it then says so, fails or just stops
is not documented, so a list is believed only while it is well below that.
"""

from __future__ import annotations

from wxrec_async.model import DAY_MS, SearchPage, SearchRow, Window

MAX_EMPTY_PAGES = 20
MAX_ROWS = 90_000  # Webex serves 100,000 to one query
MAX_BACK_MS = 1095 * DAY_MS  # Search knows 36 months


class CursorPager:
    """Reads one query page by page.

    It ends: every page brings a cursor not seen before, and only so many of them in a row may be empty.
    """

    def __init__(self, window: Window, max_rows: int = MAX_ROWS) -> None:
        self.window = window
        self.cursor = ""
        self.overfull = False
        self._max_rows = max_rows
        self._rows = self._empty = 0
        self._seen: set[str] = set()

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
        return [each for each in page.witnesses if self._inside(each)], self._trouble(page, stuck=stuck)

    def _trouble(self, page: SearchPage, *, stuck: bool) -> str | None:
        if self.overfull:
            return "more rows than Search serves to one query"
        if page.cursor and stuck:
            return "paging is stuck: the cursor leads nowhere new"
        if page.trouble:
            return page.trouble
        return f"{page.unreadable} of its rows have no usable id" if page.unreadable else None

    def _inside(self, witness: SearchRow) -> bool:
        created = witness.task.created_ms
        return created is None or self.window.from_ms <= created < self.window.to_ms


def searchable(window: Window, now_ms: int) -> bool:
    """Say whether Search looks back as far as this window, all of it."""
    return window.from_ms > now_ms - MAX_BACK_MS + DAY_MS
