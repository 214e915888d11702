"""Which of Webex's two lists is asked for a span of time, and which days neither of them reaches.

``GET /v1/tasks`` lists the newest calls; Search, slower and in smaller pages, lists older ones too.  The border
between the two moves on with the clock, so it is drawn when a window is about to be listed, and a window that lies
across it is cut there: each moment is asked of exactly one list.  A window that was cut is listed later than that, by
when the border has moved on; it is not cut again for less than `SLACK_MS`, or it would be for ever.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules.search_paging import MAX_BACK_MS
from wxrec_async.rules.windows import LOOKBACK_MARGIN_MS

# Webex says 365 days; a millisecond on either side is asked for as well (`webex.search_parse`).
MAX_QUERY_MS = 365 * DAY_MS - 2
SLACK_MS = LOOKBACK_MARGIN_MS // 2


class Source(enum.StrEnum):
    """Where a task was listed.  ``FILE``: by the user, who named its id."""

    # Persisted: columns of the ledger and the JSON hold these very words.
    TASKS = "tasks"
    SEARCH = "search"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Reach:
    """How many days ``GET /v1/tasks`` lists back, and whether Search is asked for what is older."""

    tasks_days: int = 365
    search: bool = True

    @property
    def days(self) -> int:
        """How many days back any list reaches."""
        return max(self.tasks_days, MAX_BACK_MS // DAY_MS) if self.search else self.tasks_days

    def border_ms(self, now_ms: int) -> int:
        """Return the moment from which on ``GET /v1/tasks`` is asked at ``now_ms``."""
        # An hour to the good: while a window is read the clock goes on, and Webex refuses what begins too early.
        return now_ms - self.tasks_days * DAY_MS + LOOKBACK_MARGIN_MS


def cut_by_source(window: Window, reach: Reach, now_ms: int) -> list[tuple[Source, Window]]:
    """Return what of ``window`` is asked of which list, oldest first; together they are the window."""
    border = reach.border_ms(now_ms)
    if not reach.search or window.from_ms >= border - SLACK_MS:
        return [(Source.TASKS, window)]
    if window.to_ms <= border:
        return [(Source.SEARCH, window)]
    older, newer = Window(window.from_ms, border), Window(border, window.to_ms)
    return [(Source.SEARCH, older), (Source.TASKS, newer)]


def parts_of(windows: Iterable[Window], reach: Reach, now_ms: int) -> Iterator[tuple[Source, Window]]:
    """Yield the `parts` of several windows, in their order."""
    for window in windows:
        yield from cut_by_source(window, reach, now_ms)


def years_back(now_ms: int) -> Iterator[Window]:
    """Yield what Search knows as the spans that one query may have, newest first."""
    oldest, end = now_ms - MAX_BACK_MS + LOOKBACK_MARGIN_MS, now_ms
    while end > oldest:
        start = max(oldest, end - MAX_QUERY_MS)
        yield Window(start, end)
        end = start
