"""Which recording a judgement is about, which news is the worst, and the edges of its ages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wxrec_async.model import HOUR_MS, RecordingState, TaskState
from wxrec_async.rules.day_comparison import (
    SOUND,
    Judgement,
    ObjectState,
    RecheckAnswer,
    RecordingFacts,
    SearchFacts,
    TaskFacts,
    TaskStatus,
    is_whole,
    judge,
    may_be_deleted,
    must_ask,
)
from wxrec_async.rules.finality import Phase
from wxrec_async.rules.selection import WaitPolicy

AGES = WaitPolicy()
STORED = RecordingFacts("r", RecordingState.STORED, held=ObjectState.WHOLE, was_stored=True)
MISSING = replace(STORED, id="m", held=ObjectState.MISSING)
DIFFERENT = replace(STORED, id="d", held=ObjectState.DIFFERENT)
UNREADABLE = replace(STORED, id="u", held=ObjectState.UNREADABLE)
UNSEEN = replace(STORED, id="n", held=None)
GONE = RecordingFacts("g", RecordingState.GONE, "deleted_at_webex", evidence="search_deleted")
LOST = RecordingFacts("l", RecordingState.GONE, "deleted_at_webex", was_stored=True)
FAILED = RecordingFacts("f", RecordingState.FAILED, "http_500")
OPEN = RecordingFacts("o", RecordingState.LISTED)
OPEN_AGAIN = replace(OPEN, id="a", was_stored=True)


def captured(*held: RecordingFacts, **more: object) -> TaskFacts:
    return replace(TaskFacts(TaskState.CAPTURED, recordings=held), **more)  # type: ignore[arg-type]


def silent(**more: object) -> TaskFacts:
    return replace(TaskFacts(TaskState.NO_RECORDING, "no_capture"), **more)  # type: ignore[arg-type]


def test_what_is_not_said_is_not_known() -> None:
    """A task is listed unless it is said not to be; everything else is empty."""
    assert RecordingFacts("r", RecordingState.STORED) == RecordingFacts(
        "r", RecordingState.STORED, "", None, was_stored=False, segment=False, evidence="", size=None
    )
    assert SearchFacts() == SearchFacts(None, None, None, None, None)
    assert TaskFacts(TaskState.OWED) == TaskFacts(
        TaskState.OWED, "", (), True, None, None, 0, None, None, None, RecheckAnswer.NOT_ASKED, 0, Phase.UNTOLD
    )
    assert Judgement(TaskStatus.STORED) == Judgement(TaskStatus.STORED, "", "")


def test_the_words_of_a_report_are_stable() -> None:
    """Ledgers, reports and certificates hold them."""
    assert [*TaskStatus] == ["stored", "no_recording", "deleted", "owed", "failed", "unknown", "left_out"]
    assert [*ObjectState] == ["whole", "missing", "different", "unreadable"]
    assert [*RecheckAnswer] == ["not_asked", "found", "silent", "unanswered"]
    assert {"stored", "no_recording", "deleted", "left_out"} == SOUND


@pytest.mark.parametrize(
    ("recordings", "judgement"),
    [
        ((DIFFERENT, MISSING, UNREADABLE), Judgement(TaskStatus.UNKNOWN, "bucket_unreadable", "u")),
        ((STORED, DIFFERENT, UNSEEN), Judgement(TaskStatus.UNKNOWN, "bucket_unreadable", "n")),
        ((DIFFERENT, MISSING), Judgement(TaskStatus.FAILED, "missing_in_bucket", "m")),
        ((STORED, DIFFERENT, FAILED), Judgement(TaskStatus.FAILED, "differs_in_bucket", "d")),
        ((OPEN, STORED, FAILED), Judgement(TaskStatus.FAILED, "http_500", "f")),
        ((replace(FAILED, reason=""),), Judgement(TaskStatus.FAILED, "failed", "f")),
        ((OPEN, LOST), Judgement(TaskStatus.FAILED, "lost", "l")),
        ((replace(STORED, state=RecordingState.FAILED),), Judgement(TaskStatus.FAILED, "failed", "r")),
        ((replace(FAILED, held=ObjectState.MISSING),), Judgement(TaskStatus.FAILED, "http_500", "f")),
        ((STORED, GONE, OPEN), Judgement(TaskStatus.OWED, "not_fetched", "o")),
        ((OPEN_AGAIN, OPEN), Judgement(TaskStatus.OWED, "not_fetched", "a")),
        ((STORED, GONE), Judgement(TaskStatus.DELETED, "deleted_at_webex", "g")),
        ((replace(GONE, reason=""),), Judgement(TaskStatus.DELETED, "gone", "g")),
        ((STORED,), Judgement(TaskStatus.STORED)),
        ((), Judgement(TaskStatus.UNKNOWN, "no_recording_known")),
    ],
)
def test_the_worst_news_wins_and_names_its_recording(
    recordings: tuple[RecordingFacts, ...], judgement: Judgement
) -> None:
    """What cannot be known, what is lost, what failed, what is to come; the first of its kind."""
    assert judge(captured(*recordings), AGES) == judgement


@pytest.mark.parametrize(
    ("task", "judgement"),
    [
        (TaskFacts(TaskState.LISTED, recordings=(STORED,), listed=False), Judgement(TaskStatus.OWED, "never_asked")),
        (TaskFacts(TaskState.OWED), Judgement(TaskStatus.OWED, "owed")),
        (TaskFacts(TaskState.FAILED), Judgement(TaskStatus.FAILED, "failed")),
        (TaskFacts(TaskState.OWED, "settling", (STORED,)), Judgement(TaskStatus.OWED, "settling")),
        (TaskFacts(TaskState.OWED, asked=RecheckAnswer.UNANSWERED), Judgement(TaskStatus.OWED, "owed")),
        (TaskFacts(TaskState.FAILED, left_out="queue"), Judgement(TaskStatus.LEFT_OUT, "queue")),
        (captured(FAILED, left_out="queue"), Judgement(TaskStatus.FAILED, "http_500", "f")),
        (
            silent(asked=RecheckAnswer.UNANSWERED, search=SearchFacts(1)),
            Judgement(TaskStatus.UNKNOWN, "captures_unanswered"),
        ),
        (silent(asked=RecheckAnswer.SILENT), Judgement(TaskStatus.NO_RECORDING, "no_capture")),
        (silent(search=SearchFacts(0, True, False, False)), Judgement(TaskStatus.OWED, "capture_awaited")),
        (silent(search=SearchFacts(1), age_ms=AGES.missing_ms - 1), Judgement(TaskStatus.OWED, "fewer_than_search")),
        (silent(search=SearchFacts(1), age_ms=AGES.missing_ms), Judgement(TaskStatus.FAILED, "fewer_than_search")),
        (
            captured(STORED, search=SearchFacts(active=True), age_ms=AGES.null_ms - 1),
            Judgement(TaskStatus.OWED, "still_active"),
        ),
        (captured(STORED, search=SearchFacts(active=True), age_ms=AGES.null_ms), Judgement(TaskStatus.STORED)),
        (captured(STORED, search=SearchFacts(capture_requested=True)), Judgement(TaskStatus.STORED)),
        (
            captured(STORED, search=SearchFacts(2, deleted=True, active=True), asked=RecheckAnswer.SILENT),
            Judgement(TaskStatus.DELETED, "deleted_at_webex"),
        ),
        (captured(STORED, phase=Phase.OPEN, age_ms=AGES.missing_ms), Judgement(TaskStatus.OWED, "still_open")),
        (captured(STORED, phase=Phase.OPEN, age_ms=AGES.missing_ms + 1), Judgement(TaskStatus.FAILED, "never_ended")),
        (captured(STORED, search=SearchFacts(None, deleted=True)), Judgement(TaskStatus.STORED)),
        (captured(STORED, search=SearchFacts(None)), Judgement(TaskStatus.STORED)),
    ],
)
def test_a_contradiction_is_judged_by_the_task_s_age(task: TaskFacts, judgement: Judgement) -> None:
    """To the millisecond; and what is open anyway needs none."""
    assert judge(task, AGES) == judgement


@pytest.mark.parametrize(
    ("task", "asked"),
    [
        (silent(silent_ms=AGES.missing_ms - 1, since_silent_ms=HOUR_MS), True),
        (silent(silent_ms=AGES.missing_ms, since_silent_ms=HOUR_MS), False),
        (silent(silent_ms=0, since_silent_ms=HOUR_MS - 1), False),
        (silent(silent_ms=None, since_silent_ms=0), True),
        (silent(silent_ms=AGES.missing_ms, since_silent_ms=None), True),
        (silent(search=SearchFacts(0), silent_ms=0, since_silent_ms=HOUR_MS), False),
        (silent(search=SearchFacts(None), silent_ms=0, since_silent_ms=HOUR_MS), True),
        (silent(search=SearchFacts(0, deleted=True)), True),
        (silent(search=SearchFacts(1), left_out="queue"), False),
        (captured(STORED), False),
        (captured(STORED, search=SearchFacts(None)), False),
        (captured(STORED, OPEN, search=SearchFacts(2, deleted=True)), True),
        (captured(STORED, OPEN_AGAIN, search=SearchFacts(2, deleted=True)), False),
        (captured(STORED, GONE, search=SearchFacts(3, deleted=True)), True),
        (captured(STORED, GONE, search=SearchFacts(2, deleted=True)), False),
        (captured(search=SearchFacts(0, deleted=True)), True),
        (TaskFacts(TaskState.LISTED, search=SearchFacts(3)), False),
        (TaskFacts(TaskState.OWED, search=SearchFacts(3)), False),
    ],
)
def test_captures_is_asked_where_its_answer_could_change_the_judgement(task: TaskFacts, asked: bool) -> None:
    """And not for what was stored once, whatever Search says of it."""
    assert must_ask(task, AGES) is asked


@pytest.mark.parametrize(
    ("task", "may"),
    [
        (silent(search=SearchFacts(deleted=True), asked=RecheckAnswer.SILENT), True),
        (silent(search=SearchFacts(deleted=False), asked=RecheckAnswer.SILENT), False),
        (silent(search=SearchFacts(), asked=RecheckAnswer.SILENT), False),
        (silent(asked=RecheckAnswer.SILENT), False),
        (silent(search=SearchFacts(deleted=True), asked=RecheckAnswer.FOUND), False),
        (silent(search=SearchFacts(deleted=True), asked=RecheckAnswer.UNANSWERED), False),
        (silent(search=SearchFacts(deleted=True)), False),
        (captured(STORED, search=SearchFacts(deleted=True), asked=RecheckAnswer.SILENT), False),
        (captured(STORED, OPEN, search=SearchFacts(deleted=True), asked=RecheckAnswer.SILENT), True),
        (captured(OPEN_AGAIN, search=SearchFacts(deleted=True), asked=RecheckAnswer.SILENT), False),
    ],
)
def test_a_deletion_is_written_down_when_both_sides_agree(task: TaskFacts, may: bool) -> None:
    """Search says so, captures names none, and nothing of it was ours already."""
    assert may_be_deleted(task) is may


def test_states_are_certified_when_all_that_occur_are_sound() -> None:
    """A count of nothing is no obstacle."""
    assert is_whole({}) is True
    assert is_whole(dict.fromkeys(SOUND, 3)) is True
    for standing in (TaskStatus.OWED, TaskStatus.FAILED, TaskStatus.UNKNOWN):
        assert is_whole({TaskStatus.STORED: 3, standing: 0}) is True
        assert is_whole({TaskStatus.STORED: 3, standing: 1}) is False
