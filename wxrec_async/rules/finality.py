"""What may become final, what it takes, and who may say so: the one table.

Webex, the media host and S3 are outside, and each of them is at times wrong, behind, or silent.  So nothing becomes
final because something was *not* said, because an answer spoke of an error, or because one voice said little:

================  ==============================================================================  ===================
final             evidence it takes                                                               voices
================  ==============================================================================  ===================
window_closed     one sound listing read to its end, of a span older than ``settle`` by the       tasks or Search
                  servers' time
no_recording      the task is over, nothing was ever named for it, and it was old enough when an  captures; tasks for
                  entry whose lists are there and empty came; or its row says                     ``captureRequested``
                  ``captureRequested`` false
gone              S3's own NoSuchKey, or 410, from a fresh URL, *and* an entry of captures, asked  media and captures;
                  after that, which no longer names it; or Search says deleted and captures no    Search and captures
                  longer names it
missing           promised or named, and after ``owed_days`` and two sound answers a day apart     captures
                  nothing named it; never final: `failed`, and asked for again
stored            the call is over; every byte the source promised came, the media is sound, and   media and the bucket
                  the bucket answers for size and CRC-32
already_stored    the object under the key has the size and CRC-32 of the recording just read      media and the bucket
certified         the list was read to its end, Search was not refused half way, every task and    all of them
                  recording of the day is in one of the states above, and the bucket was looked at
================  ==============================================================================  ===================

Everything else is ``owed`` or ``failed``, is named, and is looked at again by every later run.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from wxrec_async.model import DAY_MS, Recording, Task, Window

OVER_STATUSES = frozenset({"completed", "abandoned", "ended"})  # `ended` is Search's word
OPEN_STATUSES = frozenset({"created", "queued", "offered", "assigned", "connected"})
NO_SUCH_KEY, HTTP_410, SEARCH_DELETED = "no_such_key", "http_410", "search_deleted"
EARLIER_RELEASE = "earlier_release"  # a ledger of before called it gone, by one 404 or 410 of whatever kind
DENIED_BY_MEDIA = frozenset({NO_SUCH_KEY, HTTP_410, EARLIER_RELEASE})
CLOCKS_MS = 1_000  # by how much two answers may write the same moment differently


class Voice(enum.StrEnum):
    """Who can say something about a recording."""

    TASKS = "tasks"
    CAPTURES = "captures"
    SEARCH = "search"
    MEDIA = "media"
    BUCKET = "bucket"


class Final(enum.StrEnum):
    """What, once it is so, is not looked at again by an ordinary run (`missing` alone is)."""

    WINDOW_CLOSED = "window_closed"
    NO_RECORDING = "no_recording"
    GONE = "gone"
    MISSING = "missing"
    STORED = "stored"
    ALREADY_STORED = "already_stored"
    CERTIFIED = "certified"


VOICES: dict[Final, tuple[frozenset[Voice], ...]] = {
    Final.WINDOW_CLOSED: (frozenset({Voice.TASKS}), frozenset({Voice.SEARCH})),
    Final.NO_RECORDING: (frozenset({Voice.CAPTURES}), frozenset({Voice.TASKS})),
    Final.GONE: (frozenset({Voice.MEDIA, Voice.CAPTURES}), frozenset({Voice.SEARCH, Voice.CAPTURES})),
    Final.MISSING: (frozenset({Voice.CAPTURES}),),
    Final.STORED: (frozenset({Voice.MEDIA, Voice.BUCKET}),),
    Final.ALREADY_STORED: (frozenset({Voice.MEDIA, Voice.BUCKET}),),
    Final.CERTIFIED: (
        frozenset({Voice.TASKS, Voice.CAPTURES, Voice.BUCKET}),
        frozenset({Voice.SEARCH, Voice.CAPTURES, Voice.BUCKET}),
    ),
}
"""The sets of voices of which one must agree, for each final state."""


class Phase(enum.StrEnum):
    """Whether a contact is over, as far as its row tells; ``UNTOLD`` when it says nothing, or contradicts itself."""

    OVER = "over"
    OPEN = "open"
    UNTOLD = "untold"


def phase(task: Task) -> Phase:
    """Read a task's row: status, ``isActive`` and end time."""
    status = (task.status or "").strip().lower()
    over = status in OVER_STATUSES or task.active is False or task.ended_ms is not None
    going_on = status in OPEN_STATUSES or task.active is True
    if over == going_on:
        return Phase.UNTOLD
    return Phase.OVER if over else Phase.OPEN


def tells_of_end(known: Task, said: Task) -> bool:
    """Say whether a row tells of an end that was not known: it is believed, however old the row says it is.

    A call that is over does not begin again, rows without `lastUpdatedTime` were seen, and nobody
    promises that those times agree with each other.
    """
    return phase(said) is Phase.OVER and phase(known) is not Phase.OVER


def is_bare(task: Task) -> bool:
    """Say whether nothing but an id is known of a task: it came from a file, and no list has shown it yet."""
    return task.created_ms is None and task.status is None and task.channel_type is None


def last_sign_ms(task: Task, recordings: Iterable[Recording] = ()) -> int | None:
    """Return the newest moment at which the call is known to have gone on; None when no moment is known."""
    # Not `updated_ms`: Webex's `lastUpdatedTime` goes on changing after the end of a task.
    times = [task.created_ms, task.ended_ms]
    for each in recordings:
        times += [each.start_ms, each.stop_ms]
    return max((time for time in times if time is not None), default=None)


def is_over(
    task: Task, recordings: Iterable[Recording], *, first_seen_ms: int, assume_over_ms: int, now_ms: int
) -> bool:
    """Say whether a call has ended, so that what is heard of it may become final.

    A row that does not say so is believed to be over when the last sign of life, or
    without any our first sight of it, is older than ``assume_over_ms``.
    """
    match phase(task):
        case Phase.OVER:
            return True
        case Phase.OPEN:
            return False
    sign = last_sign_ms(task, recordings)
    return now_ms - (first_seen_ms if sign is None else sign) > assume_over_ms


def closes_window(window: Window, *, sound: bool, settle_ms: int, asked_ms: int) -> Window | None:
    """Return the part of a window that never needs to be listed again; None when there is none.

    ``sound`` when every page to its end was; ``asked_ms`` is the servers' time at
    which its listing began: calls can still appear in what was younger than
    ``settle_ms`` then.
    """
    end = min(window.to_ms, asked_ms - settle_ms)
    return Window(window.from_ms, end) if sound and end > window.from_ms else None


@dataclass(frozen=True, slots=True)
class EmptyAnswers:
    """What was asked before: when the task was first seen, its first empty answer, if there was one.

    ``named`` is the most recordings that any answer named of it.
    """

    first_seen_ms: int
    first_empty_ms: int | None = None
    named: int = 0


def is_no_recording(
    task: Task, silence: EmptyAnswers, *, null_ms: int, assume_over_ms: int, now_ms: int, row_speaks: bool = True
) -> bool:
    """Say whether an empty entry of captures, come just now, proves that there is no recording of this task.

    ``row_speaks`` is false where more than audio is wanted: ``captureRequested`` says nothing of the rest.
    """
    # Named once, it exists; bare, the id may be nobody's; requested, it is promised, and `is_missing` judges that.
    if silence.named or is_bare(task) or task.capture_requested:
        return False
    seen = silence.first_seen_ms
    if not is_over(task, (), first_seen_ms=seen, assume_over_ms=assume_over_ms, now_ms=now_ms):
        return False
    # Two voices agree, the row's and that of captures: no age is needed.
    if row_speaks and task.capture_requested is False:
        return True
    return now_ms - min(task.created_ms or seen, seen) > null_ms


def is_no_recording_unasked(task: Task, *, assume_over_ms: int, now_ms: int) -> bool:
    """Say whether the row alone proves it: ``captureRequested`` is false and the contact has ended."""
    # `now` for the first sight: a row that tells neither end nor time is never old enough to be believed unasked.
    return task.capture_requested is False and is_over(
        task, (), first_seen_ms=now_ms, assume_over_ms=assume_over_ms, now_ms=now_ms
    )


def is_missing(silence: EmptyAnswers, *, age_ms: int, missing_ms: int, now_ms: int) -> bool:
    """Say whether Webex did not keep its promise: long enough, and in answers at least a day apart."""
    # Was there no empty answer before, this is the first one, and the second is still to come.
    first_empty = now_ms if silence.first_empty_ms is None else silence.first_empty_ms
    return age_ms > missing_ms and now_ms - first_empty >= DAY_MS


def is_gone(denied: str, *, named: bool, sound: bool) -> bool:
    """Say whether Webex deleted a recording.

    ``denied`` is who said so: `NO_SUCH_KEY` or `HTTP_410` when the media host did,
    from a fresh URL (`EARLIER_RELEASE`: was taken to, and is looked at this once
    more), `SEARCH_DELETED` when Search did.  ``named`` and ``sound`` are of the
    answer of captures that was asked for *after* that: whether it named the recording, and
    whether it proves anything about what it does not name.
    """
    return sound and not named and denied in DENIED_BY_MEDIA | {SEARCH_DELETED}


def is_other(known_start_ms: int | None, start_ms: int | None) -> bool:
    """Say whether two recordings under one id are two: they begin at different moments."""
    return _apart(known_start_ms, start_ms)


def has_changed(known_stop_ms: int | None, stop_ms: int | None) -> bool:
    """Say whether a recording ends at another moment than when it was stored: it was not whole then."""
    return _apart(known_stop_ms, stop_ms)


def _apart(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and abs(one - other) > CLOCKS_MS
