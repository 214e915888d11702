"""How well a day is covered: what the calendar of the report shows, one word a day."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules.windows import subtract


class DayState(enum.StrEnum):
    """What can be said of a day, the worst first: a day is called by the first word that fits.

    ``FAILED``: something could not be stored.  ``OWED``: Webex has not handed out
    a capture it promised.  ``NOT_YET``: work is left, or the day is not over.
    ``NOT_LISTED``: calls may exist that nobody has asked Webex for.  ``COMPLETE``:
    listed to its end and everything at rest.  ``CERTIFIED``: complete, and
    a certificate is no older than anything that happened to it.
    """

    FAILED = "failed"
    OWED = "owed"
    NOT_YET = "not_yet"
    NOT_LISTED = "not_listed"
    COMPLETE = "complete"
    CERTIFIED = "certified"


@dataclass(frozen=True, slots=True)
class DayCoverage:
    """What is known of a day, or of the part ``span`` of it that is asked about.

    ``failed`` counts tasks and recordings, ``owed`` and ``unfinished`` tasks.
    ``unlisted_ms`` is how much of ``span`` no closed window covers;
    ``changed_ms`` the newest change of a task or recording of the day and
    ``certified_ms`` when its newest certificate was issued or last found to say
    what is so, None when there is none.
    """

    span: Window
    failed: int = 0
    owed: int = 0
    unfinished: int = 0
    unlisted_ms: int = 0
    changed_ms: int | None = None
    certified_ms: int | None = None

    @property
    def whole(self) -> bool:
        """Whether all of a UTC day is asked about."""
        return self.span.length_ms == DAY_MS

    @property
    def certificate_holds(self) -> bool:
        """Whether nothing changed since the newest certificate.

        In the same millisecond counts as before: what a certification itself
        writes down carries its own time.
        """
        return self.certified_ms is not None and (self.changed_ms is None or self.changed_ms <= self.certified_ms)


def day_state(day: DayCoverage, now_ms: int) -> DayState:
    """Call a day by its worst.  A holding certificate also vouches for the listing; part of a day has none."""
    if day.failed:
        return DayState.FAILED
    if day.owed:
        return DayState.OWED
    if day.unfinished or day.span.to_ms > now_ms:
        return DayState.NOT_YET
    # Before `unlisted_ms`: reconcile lists the day itself and closes no window that would count there.
    if day.whole and day.certificate_holds:
        return DayState.CERTIFIED
    return DayState.NOT_LISTED if day.unlisted_ms else DayState.COMPLETE


def unlisted(span: Window, closed: Iterable[Window]) -> int:
    """Return how many milliseconds of ``span`` lie in no closed window."""
    return sum(gap.length_ms for gap in subtract(span, closed))


def day_of(ms: int) -> int:
    """Return the UTC midnight at or before ``ms``."""
    return ms // DAY_MS * DAY_MS
