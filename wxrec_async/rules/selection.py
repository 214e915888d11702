"""Take, settle or owe a task, and why.

"No recording" is not an answer of Webex but a state: captures says 200 with an
empty list for tasks that are unknown, purged, not ready or never recorded.
What makes a state final stands in `rules.finality`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wxrec_async.model import DAY_MS, HOUR_MS, MINUTE_MS, Capture, Kind, Recording, Task, TaskState
from wxrec_async.rules import finality
from wxrec_async.rules.finality import EmptyAnswers, Phase
from wxrec_async.rules.schedule import PACE, RecheckBackoff, next_question


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """The ages that turn silence into a verdict, in milliseconds, and how often to ask until then.

    ``assume_over_ms`` is the age at which a call whose row does not say so is taken to be over,
    ``look_again_ms`` the age at which a task that has recordings is asked for once more; 0 is never.
    ``row_speaks`` when ``captureRequested`` false settles a task: not where transcripts are wanted.
    """

    settle_ms: int = 30 * MINUTE_MS
    null_ms: int = 24 * HOUR_MS
    missing_ms: int = 7 * DAY_MS
    look_again_ms: int = 24 * HOUR_MS
    pace: RecheckBackoff = PACE
    assume_over_ms: int = 24 * HOUR_MS
    row_speaks: bool = True


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """A task comes to rest in ``state``; ``next_ask_ms`` is when an owed one is worth asking again.

    ``evidence`` is a stable word for what a final state rests on.
    """

    state: TaskState
    reason: str
    next_ask_ms: int | None = None
    evidence: str = ""


FORBIDDEN_IN_ROW = 12
STILL_OPEN, NEVER_ENDED, MAY_GO_ON = "still_open", "never_ended", "may_go_on"
AUDIO_MISSING = "audio_missing"


def of_channel(task: Task, channel_types: Collection[str]) -> bool:
    """Filter by the attribute too, because the API ignores parameters it does not know; a missing one passes."""
    return task.channel_type is None or task.channel_type.lower() in {kind.lower() for kind in channel_types}


def before_asking(task: Task, ages: WaitPolicy, now_ms: int) -> TaskVerdict | None:
    """Settle a task that needs no captures call; None means ask.

    What captures names of a call that goes on is not all of it, so it is asked for when the call is over, or
    after ``missing_ms`` all the same (see `never_ended`).
    """
    created = task.created_ms
    # Too young: captures need not know of it yet, and an empty answer would only have to be asked for again.
    if created is not None and now_ms - created < ages.settle_ms:
        return TaskVerdict(TaskState.OWED, "settling", created + ages.settle_ms)
    if ages.row_speaks and finality.is_no_recording_unasked(task, assume_over_ms=ages.assume_over_ms, now_ms=now_ms):
        return TaskVerdict(TaskState.NO_RECORDING, "capture_not_requested", evidence="task_row")
    if created is None or never_ended(task, ages, now_ms):
        return None
    age = now_ms - created
    match finality.phase(task):
        case Phase.OPEN:
            # + 1 here and below: the verdicts ask for an age *above* the limit.
            judged = created + ages.missing_ms + 1
            return TaskVerdict(TaskState.OWED, STILL_OPEN, next_question(now_ms, age, judged, ages.pace))
        case Phase.UNTOLD if age <= ages.assume_over_ms:
            return TaskVerdict(TaskState.OWED, MAY_GO_ON, created + ages.assume_over_ms + 1)
    return None


def never_ended(task: Task, ages: WaitPolicy, now_ms: int) -> bool:
    """Say whether a call is said to go on for so long that it is fetched as it is, under a flag, and called failed."""
    created = task.created_ms
    return finality.phase(task) is Phase.OPEN and created is not None and now_ms - created > ages.missing_ms


def while_it_goes_on(
    task: Task, recordings: Sequence[Recording], silence: EmptyAnswers, ages: WaitPolicy, now_ms: int
) -> TaskVerdict | None:
    """Owe a task whose recordings may still grow; None when they may be fetched."""
    seen, patience = silence.first_seen_ms, ages.assume_over_ms
    if never_ended(task, ages, now_ms):
        return None
    if finality.is_over(task, recordings, first_seen_ms=seen, assume_over_ms=patience, now_ms=now_ms):
        return None
    sign = finality.last_sign_ms(task, recordings) or seen
    return TaskVerdict(TaskState.OWED, MAY_GO_ON, max(now_ms + MINUTE_MS, sign + patience + 1))


def after_empty(task: Task, silence: EmptyAnswers, ages: WaitPolicy, now_ms: int) -> TaskVerdict:
    """Settle a task for which captures had no recording, in an entry whose lists are there and empty.

    A task of unknown age is as old as our first sight of it: it may be older,
    never younger.
    """
    # In this order: what is proven; a call that does not end, for whatever is said of it may change; an id that no
    # list ever showed, which may be a slip of the pen; what was promised; and last what nothing is known of yet.
    age = now_ms - min(task.created_ms or silence.first_seen_ms, silence.first_seen_ms)
    if finality.is_no_recording(
        task,
        silence,
        null_ms=ages.null_ms,
        assume_over_ms=ages.assume_over_ms,
        now_ms=now_ms,
        row_speaks=ages.row_speaks,
    ):
        reason = "no_capture" if task.capture_requested is None else "capture_not_requested"
        return TaskVerdict(TaskState.NO_RECORDING, reason, evidence="empty_entry")
    if never_ended(task, ages, now_ms):
        return TaskVerdict(TaskState.FAILED, NEVER_ENDED)
    if finality.is_bare(task) and age > ages.null_ms:
        return TaskVerdict(TaskState.FAILED, "unknown_task")
    if task.capture_requested or silence.named:
        return _promised(silence, age, ages, now_ms)
    over = finality.phase(task) is Phase.OVER
    judged = now_ms - age + (ages.null_ms if over else max(ages.null_ms, ages.assume_over_ms)) + 1
    return TaskVerdict(TaskState.OWED, "capture_unknown", next_question(now_ms, age, judged, ages.pace))


def _promised(silence: EmptyAnswers, age: int, ages: WaitPolicy, now_ms: int) -> TaskVerdict:
    if finality.is_missing(silence, age_ms=age, missing_ms=ages.missing_ms, now_ms=now_ms):
        return TaskVerdict(TaskState.FAILED, "missing")
    first_empty = now_ms if silence.first_empty_ms is None else silence.first_empty_ms
    judged = max(now_ms - age + ages.missing_ms + 1, first_empty + DAY_MS)
    return TaskVerdict(TaskState.OWED, "capture_awaited", next_question(now_ms, age, judged, ages.pace))


def without_audio(task: Task, recordings: Sequence[Recording], ages: WaitPolicy, now_ms: int) -> TaskVerdict | None:
    """Judge a call of which a transcript or a screen is named, and not the sound that was promised; None: all is well.

    What is named is fetched all the same.  Without a time of creation the call is old.
    """
    if task.capture_requested is not True or any(each.kind is Kind.AUDIO for each in recordings):
        return None
    # Of a chat the transcript is what was promised.
    if task.channel_type is not None and task.channel_type.lower() != "telephony":
        return None
    created = task.created_ms or 0
    if now_ms - created > ages.missing_ms:
        return TaskVerdict(TaskState.FAILED, AUDIO_MISSING)
    judged = created + ages.missing_ms + 1
    return TaskVerdict(TaskState.OWED, "capture_awaited", next_question(now_ms, now_ms - created, judged, ages.pace))


def after_unsettled(task: Task, unsettled: str, silence: EmptyAnswers, ages: WaitPolicy, now_ms: int) -> TaskVerdict:
    """Judge a task for which captures gave an answer that proves nothing; it is asked for again in its turn.

    When that is all that is ever heard of it, it has failed by name.
    """
    age = now_ms - min(task.created_ms or silence.first_seen_ms, silence.first_seen_ms)
    if age > ages.missing_ms and now_ms - silence.first_seen_ms > DAY_MS:
        return TaskVerdict(TaskState.FAILED, unsettled)
    judged = now_ms - age + ages.missing_ms + 1
    return TaskVerdict(TaskState.OWED, unsettled, next_question(now_ms, age, judged, ages.pace))


def wanted_recordings(capture: Capture, *, include_segments: bool) -> list[Recording]:
    """Return what is to be fetched of an answer: the whole recordings; their segments when wanted, or when alone."""
    whole = [each for each in capture.recordings if not each.segment]
    # A transcript is no recording that a segment could be a part of.
    alone = not any(each.kind is Kind.AUDIO for each in whole)
    return list(capture.recordings) if include_segments or alone else whole


def should_prefetch(expected: int, *, idle: int, workers: int) -> bool:
    """Ask captures for a further batch while ``expected`` recordings wait or are being asked for.

    In reserve is half a recording for each worker, so that none waits for an
    answer.  Idle workers show that answers come too slowly for what they carry:
    then more calls are on their way at once, as many as four recordings for each
    of them may need.  More would only let pre-signed URLs grow old.
    """
    return expected < workers // 2 + 1 + 4 * idle


def streak_ends_run(reason: str, streak: int, stored: int, most: int) -> bool:
    """Stop when the fault is everybody's: many failures in a row, or a permission that nobody seems to have."""
    # A permission or a KMS key that is missing is missing for all: three are enough while nothing went well.
    denied = reason.endswith("AccessDenied") and stored == 0 and streak >= 3
    return denied or streak >= most


def refusals_end_run(refused: int, *, answered: bool, most: int) -> bool:
    """Stop when so many tasks in a row are refused with 403 that it is not these tasks: the permission is missing.

    ``answered`` is whether any task of the run was; then the refused ones may be others' all the same, for longer.
    """
    return refused >= (most if answered else min(most, FORBIDDEN_IN_ROW))
