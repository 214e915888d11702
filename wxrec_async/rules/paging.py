"""Where the next page starts, for a list without a cursor, and what proves that there is none.

The API sorts by ``createdTime`` ascending and answers the first so many rows
from ``from`` on.  So the next page starts one millisecond before the newest row
seen, and rows seen before are dropped.  ``from_ms`` is the moment from which on
a page must show everything; whether the server takes its bounds as belonging to
the window is not known, so one millisecond less is asked for (`webex.client`),
and rows of that millisecond show that it does.

An empty or short page proves nothing by itself: the server may cut its pages
below what was asked for, by bytes, or before it filters.  A page that brings
nothing new ends the window when it is not full and shows the row again that it
was asked from: a page without that row is no page of this list.  Where it is
full it is stepped over, and if more tasks share one millisecond than a page
holds, that is said, because some cannot be reached.  Rows whose times cannot be
read lead nowhere, and that is said, too.  What a filter of the server may have
hidden is seen only without the filter: that last question is the lister's.
"""

from __future__ import annotations

from dataclasses import dataclass

from wxrec_async.model import Task, TaskPage, Window, iso

MAX_EMPTY_LINKED_PAGES = 20
SMALLEST_CAP = 100  # the documented default; no server is expected to cut pages below it
MAX_STUCK_PAGES = 20
ROUNDING_MS = 1_000  # a server may round `from` down; one that ignores it shows rows older than that


@dataclass(frozen=True, slots=True)
class PageStep:
    """What one page means: tasks not seen before, and how to go on (both None: the window has been read)."""

    new: tuple[Task, ...]
    next_from_ms: int | None = None
    next_link: str | None = None
    trouble: str | None = None

    @property
    def done(self) -> bool:
        return self.next_from_ms is None and self.next_link is None


class Pager:
    """Reads one window page by page.  Feed it each answer; ask ``from_ms`` where the first one starts.

    It ends: every step brings an id not seen before or moves ``from_ms`` on,
    and links are followed only a limited number of times without a new id.

    It stays small, however many tasks a window has: an id is kept only as long
    as a later page may show it again.  A list out of order may then name a task
    twice, and from there on nothing is forgotten.

    ``as_first_released`` judges as the first release does, which asked from ``from_ms`` itself on: a workflow
    that it began is replayed from what it was answered, and must come to the same next question.
    """

    def __init__(self, window: Window, page_size: int, *, as_first_released: bool = False) -> None:
        self.window = window
        self.from_ms = window.from_ms
        self.disordered = False
        self._page_size = page_size
        self._seen: dict[str, int | None] = {}  # id: when it was created
        # The largest page of the list that is read now, and of any list of this window (see `without_filter`).
        self._largest = self._most = 0
        self._cut_at = min(page_size, SMALLEST_CAP)
        self._last_rows = 0
        self._suspect_ms: int | None = None
        self._links: set[str] = set()
        self._idle_links = 0
        self._stuck = 0
        self._linked = False
        self._first = as_first_released

    def take(self, page: TaskPage) -> PageStep:
        """Judge one page and say how to go on."""
        # First, because `_unseen` adds the ids of this very page to those that are known.
        lost = self._lost(page)
        new = self._unseen(page)
        times = [task.created_ms for task in page.tasks if task.created_ms is not None]
        self._largest, self._most = max(self._largest, page.rows), max(self._most, page.rows)
        # After `_largest`: where this page is the larger one, no cap had cut the page before.
        self._learn_cap(page.rows, proof=new)
        self.disordered |= times != sorted(times) or any(time < self.from_ms - ROUNDING_MS for time in times)
        trouble = self._confirm_suspect(new) or lost
        # The next page comes from a link then: where it begins is the server's matter, so `_lost` leaves it alone.
        self._linked = bool(page.next_link)
        if page.next_link:
            return self._follow(page.next_link, new, trouble)
        step = self._advance(new, times, page.rows)
        if step.done and page.more:
            trouble = trouble or "Webex says that more tasks follow, and shows none of them"
        return step if trouble is None or step.trouble else PageStep(step.new, step.next_from_ms, None, trouble)

    def without_filter(self) -> None:
        """Go on in the list of all channels: what pages have shown of their size so far is not true of it."""
        self._largest = self._last_rows = 0
        self._cut_at = min(self._page_size, SMALLEST_CAP)
        self._suspect_ms = None

    def _lost(self, page: TaskPage) -> str | None:
        """Say that a page does not show any of the rows it was asked from: whatever it lists, it is not this window."""
        known = {name for name, at in self._seen.items() if at is not None and at >= self.from_ms}
        if self._linked or not known or any(task.id in known for task in page.tasks):
            return None
        return f"a page from {iso(self.from_ms)} on does not show the task that was listed there before"

    def _learn_cap(self, rows: int, *, proof: object) -> None:
        """More came after the last and largest page: so it had been cut, and the server gives no more than that."""
        if proof and 0 < self._last_rows == self._largest:
            self._cut_at = min(self._page_size, SMALLEST_CAP, self._largest)
        self._last_rows = rows

    def _unseen(self, page: TaskPage) -> tuple[Task, ...]:
        new = []
        for task in page.tasks:
            if task.id not in self._seen and self._inside(task):
                self._seen[task.id] = task.created_ms
                new.append(task)
        return tuple(new)

    def _inside(self, task: Task) -> bool:
        # A row without a time may belong here: it is taken rather than lost.
        return task.created_ms is None or self.window.from_ms <= task.created_ms < self.window.to_ms

    def _advance(self, new: tuple[Task, ...], times: list[int], rows: int) -> PageStep:
        if not times:
            return PageStep(new, trouble="tasks whose creation times cannot be read" if rows else None)
        # A page with something new: go on one millisecond before its newest row, but never back.
        # Nothing new, and not full or beyond the window: read to the end.
        # Nothing new on a full page, by where its rows lie against the bound that was asked for (`asked_ms`):
        #   all of them older: the server rounds or ignores `from`, and hides what follows; step over;
        #   of several milliseconds, up to a later one: nothing before the newest is hidden, go on at it;
        #   from the bound itself up to `from_ms`: the bound belongs to the window here, ask for the next;
        #   all of one millisecond: it may hold more than a page does; step on, and suspect it.
        newest = max(times)
        if new:
            return self._go_on(new, max(newest - 1, self.from_ms))
        if not self._full(rows) or newest >= self.window.to_ms:
            return PageStep(new)
        asked_ms = self.from_ms - (not self._first)
        if newest < asked_ms:
            return self._step_over()
        if newest > self.from_ms and min(times) < newest:
            return self._go_on(new, newest)
        if min(times) == asked_ms < newest:  # so the server shows the bound itself, and nothing is missed beyond it
            return self._go_on(new, self.from_ms + 1)
        return self._step_on(new, newest, rows)

    def _step_on(self, new: tuple[Task, ...], crowded_ms: int, rows: int) -> PageStep:
        """Leave a millisecond that fills a page.

        A server that leaves the bound out shows what follows when it is asked for
        this very millisecond; one that shows it, shows it again, and is asked for the next.
        """
        self._suspect_ms = crowded_ms
        trouble = self._confirm_suspect(rows >= self._cut_at)
        step = self._go_on(new, max(crowded_ms, self.from_ms) + 1)
        return PageStep(step.new, step.next_from_ms, None, trouble)

    def _step_over(self) -> PageStep:
        """A full page of what is known, all of it older than asked for: behind it nothing can be seen from here."""
        self._stuck += 1
        trouble = f"a page from {iso(self.from_ms)} on shows older tasks only"
        if self._stuck > MAX_STUCK_PAGES:
            return PageStep((), trouble=trouble)
        step = self._go_on((), self.from_ms + ROUNDING_MS)
        return PageStep((), step.next_from_ms, None, trouble)

    def _go_on(self, new: tuple[Task, ...], from_ms: int) -> PageStep:
        if from_ms >= self.window.to_ms:
            return PageStep(new)
        self.from_ms = from_ms
        self._forget()
        return PageStep(new, next_from_ms=from_ms)

    def _forget(self) -> None:
        """Let go of the ids that no page in order can bring again."""
        if not self.disordered:
            oldest = self.from_ms - ROUNDING_MS
            self._seen = {name: at for name, at in self._seen.items() if at is None or at >= oldest}

    def _full(self, rows: int) -> bool:
        """A server may cap pages below what was asked for; the largest page seen shows it.

        One row is the rest of most lists, and a full page only where no page ever had more.
        """
        return rows >= self._page_size or (
            rows == self._largest and (rows > 1 or (rows == self._most and not self._first))
        )

    def _confirm_suspect(self, proof: object) -> str | None:
        """Going on after a crowded millisecond found more: so its page had been cut, and tasks may be missing."""
        if self._suspect_ms is None or not proof:
            return None
        at, self._suspect_ms = self._suspect_ms, None
        return f"more tasks share the millisecond {iso(at)} than a page holds"

    def _follow(self, link: str, new: tuple[Task, ...], trouble: str | None) -> PageStep:
        self._idle_links = 0 if new else self._idle_links + 1
        if link in self._links or self._idle_links > MAX_EMPTY_LINKED_PAGES:
            return PageStep(new, trouble="paging is stuck: the next link leads nowhere new")
        self._links.add(link)
        return PageStep(new, next_link=link, trouble=trouble)
