"""Take, settle or owe a task, and why.

"No recording" is not an answer of Webex but a state: captures says 200 with an
empty list for tasks that are unknown, purged, not ready or never recorded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from wxrec_async.model import DAY_MS, Task, TaskState
from wxrec_async.rules.schedule import PACE, Pace, next_question

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Ages:
    """The three ages that turn silence into a verdict, in milliseconds, and how often to ask until then.

    ``look_again_ms`` is the age at which a task that has recordings is asked for once more; 0 is never.
    """

    settle_ms: int = 30 * MINUTE_MS
    null_ms: int = 24 * HOUR_MS
    missing_ms: int = 7 * DAY_MS
    look_again_ms: int = 24 * HOUR_MS
    pace: Pace = PACE


@dataclass(frozen=True, slots=True)
class Silence:
    """What was asked before: when the task was first seen, and its first empty answer, if there was one."""

    first_seen_ms: int
    first_empty_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A task comes to rest in ``state``; ``next_ask_ms`` is when an owed one is worth asking again."""

    state: TaskState
    reason: str
    next_ask_ms: int | None = None


def of_channel(task: Task, channel_types: Collection[str]) -> bool:
    """Filter by the attribute too, because the API ignores parameters it does not know; a missing one passes."""
    return task.channel_type is None or task.channel_type.lower() in {kind.lower() for kind in channel_types}


def before_asking(task: Task, ages: Ages, now_ms: int) -> Verdict | None:
    """Settle a task that needs no captures call; None means ask."""
    created = task.created_ms
    if created is not None and now_ms - created < ages.settle_ms:
        return Verdict(TaskState.OWED, "settling", created + ages.settle_ms)
    if task.capture_requested is False:
        return Verdict(TaskState.NO_RECORDING, "capture_not_requested")
    return None


def after_empty(task: Task, silence: Silence, ages: Ages, now_ms: int) -> Verdict:
    """Settle a task for which captures had no recording.

    A task of unknown age is as old as our first sight of it: it may be older,
    never younger.
    """
    age = now_ms - min(task.created_ms or silence.first_seen_ms, silence.first_seen_ms)
    if task.capture_requested is False:
        return Verdict(TaskState.NO_RECORDING, "capture_not_requested")
    if task.capture_requested is None:
        if age > ages.null_ms:
            return Verdict(TaskState.NO_RECORDING, "no_capture")
        judged = now_ms - age + ages.null_ms + 1
        return Verdict(TaskState.OWED, "capture_unknown", next_question(now_ms, age, judged, ages.pace))
    first_empty = now_ms if silence.first_empty_ms is None else silence.first_empty_ms
    if age > ages.missing_ms and now_ms - first_empty >= DAY_MS:
        return Verdict(TaskState.FAILED, "missing")
    judged = max(now_ms - age + ages.missing_ms + 1, first_empty + DAY_MS)
    return Verdict(TaskState.OWED, "capture_awaited", next_question(now_ms, age, judged, ages.pace))


def may_ask(expected: int, *, idle: int, workers: int) -> bool:
    """Ask captures for a further batch while ``expected`` recordings wait or are being asked for.

    In reserve is half a recording for each worker, so that none waits for an
    answer.  Idle workers show that answers come too slowly for what they carry:
    then more calls are on their way at once, as many as four recordings for each
    of them may need.  More would only let pre-signed URLs grow old.
    """
    return expected < workers // 2 + 1 + 4 * idle


def streak_ends_run(reason: str, streak: int, stored: int, most: int) -> bool:
    """Stop when the fault is everybody's: many failures in a row, or a permission that nobody seems to have."""
    denied = reason.endswith("AccessDenied") and stored == 0 and streak >= 3
    return denied or streak >= most
