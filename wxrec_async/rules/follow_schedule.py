"""When a follower looks again, and how far back.

Cisco lets webhooks be lost, doubled and out of order, and advises to poll a
trailing window instead.  A task that is listed late, changed, or owed for days
is found as long as its creation lies in that window, so the window is longer
than Webex may owe a recording.  Listing is cheap beside captures, but not free:
every round lists the last day, and all trailing days now and then.
"""

from __future__ import annotations

from dataclasses import dataclass

from wxrec_async.model import DAY_MS, MINUTE_MS, Window

RECENT_MS = DAY_MS
FULL_EVERY_MS = 6 * 60 * MINUTE_MS
MAX_JITTER = 0.1
# Short naps: a machine that slept, or whose clock was set, is to be noticed soon (see `is_due`).
MAX_NAP_S = 30.0


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often to poll, and how far back; milliseconds."""

    poll_ms: int = 15 * MINUTE_MS
    trailing_ms: int = 8 * DAY_MS


@dataclass(frozen=True, slots=True)
class Look:
    """What a round lists; ``full`` when it goes through all trailing days."""

    window: Window
    full: bool


def next_poll(now_ms: int, rhythm: Rhythm, chance: float) -> int:
    """Return the next moment of a fixed grid, and up to a tenth of its step later.

    A grid does not drift however long a round takes; a round that took longer
    than a step leaves out what it missed.  ``chance`` (0 to 1) keeps many
    followers from asking at once.
    """
    step = rhythm.poll_ms
    return (now_ms // step + 1) * step + int(chance * MAX_JITTER * step)


def is_due(now_ms: int, next_ms: int, waited_s: float, rhythm: Rhythm) -> bool:
    """Say whether to wait no longer.

    By the clock on the wall, so that a machine that slept looks at once; and by
    the time that has passed, so that a clock set back does not make it wait for
    longer than two steps.
    """
    return now_ms >= next_ms or waited_s * 1000 >= 2 * rhythm.poll_ms


def nap_s(now_ms: int, next_ms: int) -> float:
    """Return how long to sleep before looking at the clock again, in seconds."""
    # Never zero: a sleep may end a hair before its time, and the loop would spin until then.
    return min(MAX_NAP_S, max(0.05, (next_ms - now_ms) / 1000))


def look(now_ms: int, rhythm: Rhythm, *, listed_to_ms: int | None, full_ms: int | None, lookback_ms: int) -> Look:
    """Return what the next round lists, given when all was listed last (None: never) and up to when.

    A follower that was away lists all that it missed, as far as Webex looks back.
    """
    # Below zero the clock was set back: then nothing that was noted of the past can be relied on.
    full = full_ms is None or not 0 <= now_ms - full_ms < FULL_EVERY_MS
    trailing = rhythm.trailing_ms if full else min(RECENT_MS, rhythm.trailing_ms)
    start = now_ms - trailing
    if listed_to_ms is not None:
        start = min(start, listed_to_ms)
    oldest = now_ms - lookback_ms
    return Look(Window(min(max(start, oldest, 0), now_ms - 1), now_ms), full)
