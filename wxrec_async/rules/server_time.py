"""What time it is at the servers, told from the ``Date`` of their answers.

A machine's clock may be a quarter of an hour ahead.  Whoever asked up to its
"now" would ask for the future, and whoever judged "old enough" by it would
close a window in which calls can still appear.  So both go by the servers'
time: the ``Date`` of an answer and what the monotonic clock has counted since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wxrec_async.model import MINUTE_MS

SKEW_WARNED_S = 60.0
# Beyond this S3 refuses what we sign, so a run could store nothing and is ended; only simulations go by their own.
SKEW_REFUSED_S = 900.0
SKEW_BELIEVED_MS = round(SKEW_REFUSED_S * 1000)
SLEPT_S = 60.0  # a loop that comes back so much too late was not running: no load holds it up for that long
REMEMBERED = 8  # answers: one wrong `Date` among them is forgotten after a while


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at both clocks: ``wall_s`` is epoch seconds, ``steady_s`` a clock that nobody sets.

    Whether the steady one goes on while the machine sleeps depends on the clock that is read.
    """

    wall_s: float
    steady_s: float


def ahead_s(asked: Moment, read: Moment, date_s: float) -> float:
    """Return by how many seconds our clock is ahead of a server's (negative: behind), 0 where that is not shown.

    ``date_s`` is the answer's `Date`.  It was made after we asked and before we read it, so only a `Date` outside
    that time speaks against our clock: the answer may have waited for us while this machine slept.
    """
    first, last = sorted((asked.wall_s, read.wall_s))
    return max(0.0, first - date_s) or min(0.0, last - date_s)


def lost_s(before: Moment, after: Moment) -> float:
    """Return by how much the wall clock went on alone between two looks: a machine that slept, or whose clock was set.

    By a steady clock that stands still in sleep.
    """
    return (after.wall_s - before.wall_s) - (after.steady_s - before.steady_s)


def sleep_notice(before: Moment, after: Moment, expected_s: float) -> str:
    """Say that nothing was done for a while between two looks ``expected_s`` apart; "" when they were as expected.

    By a steady clock that goes on in sleep: where it shows less than the wall clock, that one was moved, which is
    what a paused virtual machine looks like from inside.
    """
    late_s = after.wall_s - before.wall_s - expected_s
    if late_s <= SLEPT_S:
        return ""
    if after.steady_s - before.steady_s - expected_s > SLEPT_S:
        return f"this machine slept, or this program was stopped, for {late_s:.0f} s; going on with fresh URLs"
    return (
        f"this machine's clock went on by {late_s:.0f} s at once: it was paused, or the clock was set; "
        "going on with fresh URLs"
    )


def servers_now_ms(offsets_s: Sequence[float], monotonic_s: float) -> int | None:
    """Return the servers' now, rather too early than too late; None where no server has said.

    ``offsets_s`` are ``Date`` less monotonic time, of the answers heard last.  The
    smallest one counts: a ``Date`` names the second that has begun, and an answer
    was on its way, so each is behind the truth, and how far is not known.
    """
    return int((min(offsets_s) + monotonic_s) * 1000) if offsets_s else None


def believed_ms(ours_ms: int, theirs_ms: int) -> int:
    """Return the time by which ages are judged: the servers', unless ours is another one on purpose."""
    return theirs_ms if abs(ours_ms - theirs_ms) <= SKEW_BELIEVED_MS else ours_ms


def latest_end_ms(wanted_ms: int, now_ms: int | None) -> int:
    """Return the latest ``to`` that no server can call the future, as far as its time is known.

    No period ends so far ahead of it that a clock which is believed could be the reason:
    then the monotonic clock stood still (the machine slept), or ours is another one on
    purpose.  Only an answer to a question can mend that, so it is asked.
    """
    far_ahead = now_ms is not None and wanted_ms - now_ms > SKEW_BELIEVED_MS + MINUTE_MS
    return wanted_ms if now_ms is None or far_ahead else min(wanted_ms, now_ms)
