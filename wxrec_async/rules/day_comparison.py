"""Where a task stands, after the lists, the ledger and the bucket were laid side by side.

Every task ends in exactly one state.  Only three of them are an end that can be
certified: stored and verified, no recording, deleted at Webex.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from wxrec_async.model import FINAL_STATES, HOUR_MS, Kind, RecordingState, SearchState, TaskState
from wxrec_async.rules.finality import Phase
from wxrec_async.rules.selection import WaitPolicy


class TaskStatus(enum.StrEnum):
    """``UNKNOWN`` when something could not be looked at, ``LEFT_OUT`` when a filter does not want the task."""

    STORED = "stored"
    NO_RECORDING = "no_recording"
    DELETED = "deleted"
    OWED = "owed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    LEFT_OUT = "left_out"


SOUND = frozenset({TaskStatus.STORED, TaskStatus.NO_RECORDING, TaskStatus.DELETED, TaskStatus.LEFT_OUT})


class ObjectState(enum.StrEnum):
    """What the bucket has of a recording that the ledger calls stored."""

    WHOLE = "whole"
    MISSING = "missing"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"


# What is known


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """A recording in the ledger; ``held`` is there when it is STORED, ``was_stored`` when it ever was.

    ``segment`` when it is a part of another one, which Search does not count;
    ``evidence`` is what GONE rests on, ``size`` in bytes.
    """

    id: str
    state: RecordingState
    reason: str = ""
    held: ObjectState | None = None
    was_stored: bool = False
    segment: bool = False
    evidence: str = ""
    size: int | None = None
    kind: Kind = Kind.AUDIO

    @property
    def counted(self) -> bool:
        """Whether Search counts it: neither parts nor transcripts and screens are in its numbers."""
        return not self.segment and self.kind is Kind.AUDIO


@dataclass(frozen=True, slots=True)
class SearchFacts:
    """What Search said of a task just now."""

    recordings: int | None = None
    capture_requested: bool | None = None
    deleted: bool | None = None
    active: bool | None = None
    bytes: int | None = None


class RecheckAnswer(enum.StrEnum):
    """What captures answered when it was asked once more; ``UNANSWERED`` when the answer proves nothing."""

    NOT_ASKED = "not_asked"
    FOUND = "found"
    SILENT = "silent"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """Everything that is known of one task.

    ``listed`` when ``GET /v1/tasks`` has it; ``search`` is None when Search was
    not asked, could not be read, or has it not.  ``age_ms`` counts from its
    creation, ``silent_ms`` is how old it was at the last empty answer and
    ``since_silent_ms`` how long that is ago, both None when there was none.
    ``named`` is the most recordings that one answer of captures named; ``phase``
    whether its row on the list says that the call is over.
    """

    state: TaskState
    reason: str = ""
    recordings: tuple[RecordingFacts, ...] = ()
    listed: bool = True
    search: SearchFacts | None = None
    capture_requested: bool | None = None
    age_ms: int = 0
    silent_ms: int | None = None
    since_silent_ms: int | None = None
    left_out: str | None = None
    asked: RecheckAnswer = RecheckAnswer.NOT_ASKED
    named: int = 0
    phase: Phase = Phase.UNTOLD


@dataclass(frozen=True, slots=True)
class Judgement:
    """The one state of a task; ``reason`` is a stable word, ``recording_id`` the recording it is about, if one."""

    standing: TaskStatus
    reason: str = ""
    recording_id: str = ""


# Judging a task


# In the order in which they are looked for: what could not be seen outweighs what is lost (see `judge`).
HELD_BADLY = {
    ObjectState.UNREADABLE: (TaskStatus.UNKNOWN, "bucket_unreadable"),
    ObjectState.MISSING: (TaskStatus.FAILED, "missing_in_bucket"),
    ObjectState.DIFFERENT: (TaskStatus.FAILED, "differs_in_bucket"),
}


def must_ask(facts: TaskFacts, ages: WaitPolicy) -> bool:
    """Say whether captures has to be asked before this task can be judged.

    So it is when Search contradicts the ledger, and when "no recording" rests
    on silence that came too early to mean much.
    """
    search = facts.search or SearchFacts()
    # A filtered task is worth no call of the budget: it is judged by the recordings it has, or not at all.
    if facts.left_out:
        return False
    if facts.state is TaskState.NO_RECORDING:
        # `named` counts too: what captures once named was there, whatever it answers today.
        contradicted = bool(search.recordings or search.capture_requested or search.deleted or facts.named)
        # Where Search counts none it agrees with the silence, however early that came.
        return contradicted or (search.recordings is None and _early_silence(facts, ages))
    if search.deleted and _none_or_some_could_be_gone(facts):
        return True
    return facts.state is TaskState.CAPTURED and _fewer_than_search(facts)


def _early_silence(facts: TaskFacts, ages: WaitPolicy) -> bool:
    # False is Webex's word that nothing comes; null, which is not yet known, is no such word.
    if facts.capture_requested is False:
        return False
    if facts.silent_ms is None or facts.since_silent_ms is None:
        return True
    return facts.silent_ms < ages.missing_ms and facts.since_silent_ms >= HOUR_MS


def may_be_deleted(facts: TaskFacts) -> bool:
    """Say whether Search's word that recordings were deleted is to be written down, once captures names none."""
    deleted = facts.search is not None and facts.search.deleted is True
    return deleted and facts.asked is RecheckAnswer.SILENT and _none_or_some_could_be_gone(facts)


def judge(facts: TaskFacts, ages: WaitPolicy) -> Judgement:
    """Return the one state of a task.

    The worst news wins: what cannot be known, then what is lost or failed, then
    what is still to come.
    """
    # Recordings that were stored before the filter was set are judged like all others.
    if facts.left_out and not facts.recordings:
        return Judgement(TaskStatus.LEFT_OUT, facts.left_out)
    return (
        _unsound_objects(facts)
        or _unsound_recordings(facts)
        or _open_task(facts)
        or _contradiction(facts, ages)
        or _sound(facts)
    )


def _unsound_objects(facts: TaskFacts) -> Judgement | None:
    stored = [each for each in facts.recordings if each.state is RecordingState.STORED]
    for held, (standing, reason) in HELD_BADLY.items():
        for each in stored:
            # None: nobody looked, which proves as little as not having been able to.
            if each.held is held or (each.held is None and held is ObjectState.UNREADABLE):
                return Judgement(standing, reason, each.id)
    return None


def _unsound_recordings(facts: TaskFacts) -> Judgement | None:
    for each in facts.recordings:
        if each.state is RecordingState.FAILED:
            return Judgement(TaskStatus.FAILED, each.reason or "failed", each.id)
        # We had it, so its deletion at Webex is no excuse for its being lost here.
        if each.state is RecordingState.GONE and each.was_stored:
            return Judgement(TaskStatus.FAILED, "lost", each.id)
        # The word GONE alone is nobody's proof: see the table in `rules.finality`.
        if each.state is RecordingState.GONE and not each.evidence:
            return Judgement(TaskStatus.FAILED, "gone_unproven", each.id)
    unfinished = [each for each in facts.recordings if each.state not in FINAL_STATES]
    return Judgement(TaskStatus.OWED, "not_fetched", unfinished[0].id) if unfinished else None


def _open_task(facts: TaskFacts) -> Judgement | None:
    match facts.state:
        # `only_in_search` where the other list does not have it: that is what somebody has to look into.
        case TaskState.LISTED if not facts.recordings:
            return Judgement(TaskStatus.OWED, "never_asked" if facts.listed else "only_in_search")
        case TaskState.LISTED:
            return Judgement(TaskStatus.OWED, "never_asked")
        case TaskState.OWED:
            return Judgement(TaskStatus.OWED, facts.reason or "owed")
        case TaskState.FAILED:
            return Judgement(TaskStatus.FAILED, facts.reason or "failed")
        # Captures named some and the ledger has none of them: neither "stored" nor "no recording" can be said.
        case TaskState.CAPTURED if not facts.recordings:
            return Judgement(TaskStatus.UNKNOWN, "no_recording_known")
    return None


def _contradiction(facts: TaskFacts, ages: WaitPolicy) -> Judgement | None:
    """Hold the task, which looks settled, against what captures and Search say."""
    # In this order, because each question makes the next one moot: an answer that proves nothing; a recording that
    # captures itself once named and nobody has; a deletion, which excuses what is missing; a call that goes on, whose
    # recordings may still grow; and only for a call with nothing to show, what was promised of it.
    if facts.asked is RecheckAnswer.UNANSWERED:
        return Judgement(TaskStatus.UNKNOWN, "captures_unanswered")
    if facts.named > len(facts.recordings):
        return Judgement(TaskStatus.FAILED, "fewer_than_named")
    search = facts.search or SearchFacts()
    if search.deleted:
        return _deletion(facts)
    if facts.phase is Phase.OPEN:
        # `<=` is the other side of `selection.never_ended`, which says `>`: both change over at the same moment.
        young = facts.age_ms <= ages.missing_ms
        return Judgement(TaskStatus.OWED, "still_open") if young else Judgement(TaskStatus.FAILED, "never_ended")
    if search.active and facts.age_ms < ages.null_ms:
        return Judgement(TaskStatus.OWED, "still_active")
    return None if facts.recordings else _promise(facts, search, ages)


def _deletion(facts: TaskFacts) -> Judgement | None:
    """Search's word alone shows nothing: captures must have been asked, and name what is left, if anything."""
    confirmed = facts.asked in (RecheckAnswer.FOUND, RecheckAnswer.SILENT) or not _fewer_than_search(facts)
    return None if facts.recordings and confirmed else Judgement(TaskStatus.UNKNOWN, "deletion_unconfirmed")


def _promise(facts: TaskFacts, search: SearchFacts, ages: WaitPolicy) -> Judgement | None:
    """A call of which Search has a recording, or one is promised, has no "no recording".

    How many Search counts is another matter: what its number means is not
    documented, so that it keeps no call from being whole (see `disagreements`).
    """
    if search.recordings:
        young = facts.age_ms < ages.missing_ms
        return Judgement(TaskStatus.OWED if young else TaskStatus.FAILED, "fewer_than_search")
    if search.capture_requested:
        return Judgement(TaskStatus.OWED, "capture_awaited")
    return None


def _sound(facts: TaskFacts) -> Judgement:
    gone = [each for each in facts.recordings if each.state is RecordingState.GONE]
    # Before STORED: a call of which a part is gone must not read as whole.
    if gone:
        return Judgement(TaskStatus.DELETED, gone[0].reason or "gone", gone[0].id)
    if facts.recordings and facts.search and facts.search.deleted and _fewer_than_search(facts):
        return Judgement(TaskStatus.DELETED, "deleted_at_webex")  # the rest of the call was had in time
    if facts.recordings:
        return Judgement(TaskStatus.STORED)
    return Judgement(TaskStatus.NO_RECORDING, facts.reason)


# Search's figures beside it


class Disagreement(enum.StrEnum):
    """How Search's figures of a call differ from what is known of it: counted and said, and no obstacle.

    ``FEWER`` recordings are known than Search counts, ``MORE``, or their ``BYTES`` add up to something else.
    """

    FEWER = "fewer_than_search"
    MORE = "more_than_search"
    BYTES = "bytes_unlike_search"


def disagreements(facts: TaskFacts) -> tuple[Disagreement, ...]:
    """Return how Search's figures differ from what is known of a call that came to a sound end."""
    search = facts.search
    # After a deletion the figures can only differ.
    if search is None or search.deleted or search.recordings is None:
        return ()
    whole = [each for each in facts.recordings if each.counted]
    if search.recordings != len(whole):
        return (Disagreement.FEWER if search.recordings > len(whole) else Disagreement.MORE,)
    sizes = [each.size for each in whole if each.state is RecordingState.STORED and each.size is not None]
    if search.bytes is None or len(sizes) < len(whole) or not whole:
        return ()
    # Within one percent: what `recordingFileSize` counts is not documented to the byte.
    return () if abs(search.bytes - sum(sizes)) * 100 <= sum(sizes) else (Disagreement.BYTES,)


def _fewer_than_search(facts: TaskFacts) -> bool:
    whole = sum(each.counted for each in facts.recordings)
    return facts.search is not None and (facts.search.recordings or 0) > whole


def _none_or_some_could_be_gone(facts: TaskFacts) -> bool:
    """What was stored once and is lost was not deleted in time to excuse it."""
    return not facts.recordings or any(
        each.state not in FINAL_STATES and not each.was_stored for each in facts.recordings
    )


# A whole day


def is_whole(counts: Mapping[TaskStatus, int]) -> bool:
    """Say whether tasks in these states can be certified: all of them at an end, and none unknown."""
    return all(standing in SOUND or not count for standing, count in counts.items())


class WhyNot(enum.StrEnum):
    """What keeps a day from being certified.

    ``YOUNG``: calls can still appear in it, by the servers' time.  ``LIST``: the
    list of tasks was not read to its end.  ``SEARCH``: Search broke off half way, or is
    required and was not heard to its end.  ``TASKS``: one of them is at no end.
    """

    YOUNG = "too_young"
    LIST = "list_incomplete"
    SEARCH = "search_incomplete"
    TASKS = "tasks_open"


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate would rest on: how each list was heard, and the tasks by state.

    ``settled`` when the day ended longer ago than calls take to appear, by the servers' time.
    """

    settled: bool
    tasks: SearchState
    search: SearchState
    search_required: bool
    counts: Mapping[TaskStatus, int]


def certified(day: CertificateFacts) -> tuple[WhyNot, ...]:
    """Return what keeps a day from being certified; nothing does when all voices were heard and none objects.

    Of a day that ``GET /v1/tasks`` does not reach back to Search is the list, and has to be heard to its end.
    That Search is absent, out of reach, not to be asked, or refuses us from the
    beginning is no contradiction: the certificate says so.  A list that breaks off is.
    """
    found = {
        WhyNot.YOUNG: not day.settled,
        WhyNot.LIST: day.tasks not in (SearchState.PRESENT, SearchState.OUT_OF_REACH),
        WhyNot.SEARCH: not _search_suffices(day.search, required=day.search_required or _is_list(day)),
        WhyNot.TASKS: not is_whole(day.counts),
    }
    return tuple(why for why, so in found.items() if so)


def _is_list(day: CertificateFacts) -> bool:
    return day.tasks is SearchState.OUT_OF_REACH


def _search_suffices(heard: SearchState, *, required: bool) -> bool:
    # Absent from the beginning, Search says nothing; broken off half way, it may have had what the other list lacks.
    return heard is SearchState.PRESENT if required else heard is not SearchState.PARTIAL
