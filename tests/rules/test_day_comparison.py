"""One state for every task, and no certificate while anything disagrees."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, HOUR_MS, RecordingState, SearchState, TaskState
from wxrec_async.rules.day_comparison import (
    SOUND,
    CertificateFacts,
    Disagreement,
    ObjectState,
    RecheckAnswer,
    RecordingFacts,
    SearchFacts,
    TaskFacts,
    TaskStatus,
    WhyNot,
    certified,
    disagreements,
    is_whole,
    judge,
    may_be_deleted,
    must_ask,
)
from wxrec_async.rules.finality import Phase
from wxrec_async.rules.selection import WaitPolicy

AGES = WaitPolicy()
maybe = st.sampled_from([None, True, False])
recordings = st.lists(
    st.builds(
        RecordingFacts,
        st.text("abc", min_size=1, max_size=2),
        st.sampled_from(RecordingState),
        st.sampled_from(["", "conflict"]),
        st.sampled_from([None, *ObjectState]),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "search_deleted"]),
        st.none() | st.integers(0, 1000),
    ),
    max_size=3,
).map(tuple)
searches = st.none() | st.builds(
    SearchFacts, st.none() | st.integers(0, 4), maybe, maybe, maybe, st.none() | st.integers(0, 1000)
)
ages = st.integers(0, 20 * DAY_MS)
facts = st.builds(
    TaskFacts,
    st.sampled_from(TaskState),
    st.sampled_from(["", "no_capture"]),
    recordings,
    st.booleans(),
    searches,
    maybe,
    ages,
    st.none() | ages,
    st.none() | ages,
    st.sampled_from([None, None, "queue"]),
    st.sampled_from(RecheckAnswer),
    st.integers(0, 3),
    st.sampled_from(Phase),
)

STORED = RecordingFacts("r", RecordingState.STORED, held=ObjectState.WHOLE, was_stored=True)
SEGMENT = replace(STORED, id="s", segment=True)
GONE = RecordingFacts("r", RecordingState.GONE, "deleted_at_webex", evidence="search_deleted")
LOST = replace(GONE, was_stored=True)
FAILED = RecordingFacts("r", RecordingState.FAILED, "http_500")
OPEN = RecordingFacts("r", RecordingState.LISTED)
OLD = 30 * DAY_MS


def captured(*held: RecordingFacts, **more: object) -> TaskFacts:
    return replace(TaskFacts(TaskState.CAPTURED, recordings=held, age_ms=OLD), **more)  # type: ignore[arg-type]


def silent(**more: object) -> TaskFacts:
    return replace(TaskFacts(TaskState.NO_RECORDING, "no_capture", age_ms=OLD), **more)  # type: ignore[arg-type]


@given(facts)
def test_nothing_is_certified_while_anything_disagrees(task: TaskFacts) -> None:
    """A sound state has no bad object, no failed or unfinished recording and no contradiction behind it."""
    judgement = judge(task, AGES)
    assert is_whole(Counter({judgement.standing: 1})) == (judgement.standing in SOUND)
    if judgement.standing is TaskStatus.LEFT_OUT:
        assert task.left_out
        assert not task.recordings
        return
    if judgement.standing not in SOUND:
        assert judgement.reason
        return
    search = task.search or SearchFacts()
    assert task.state in (TaskState.CAPTURED, TaskState.NO_RECORDING)
    assert task.asked is not RecheckAnswer.UNANSWERED
    for each in task.recordings:
        assert each.state in (RecordingState.STORED, RecordingState.GONE)
        assert each.held is ObjectState.WHOLE or each.state is RecordingState.GONE
        assert not (each.state is RecordingState.GONE and (each.was_stored or not each.evidence))
    fewer = (search.recordings or 0) > sum(not each.segment for each in task.recordings)
    assert task.named <= len(task.recordings)
    assert search.deleted or task.phase is not Phase.OPEN
    assert task.recordings or not (task.named or search.recordings or search.capture_requested or search.deleted)
    fewer = fewer and search.deleted is True
    assert not fewer or task.asked in (RecheckAnswer.FOUND, RecheckAnswer.SILENT)
    assert (judgement.standing is TaskStatus.NO_RECORDING) == (not task.recordings)
    gone = any(each.state is RecordingState.GONE for each in task.recordings)
    assert (judgement.standing is TaskStatus.DELETED) == (gone or (fewer and bool(task.recordings)))


@given(facts)
def test_only_what_never_was_stored_may_be_called_deleted(task: TaskFacts) -> None:
    """Search's word is taken when captures is silent, too, and never for what is stored or was lost."""
    if may_be_deleted(task):
        assert task.search is not None
        assert task.search.deleted
        assert task.asked is RecheckAnswer.SILENT
        assert not task.recordings or any(not each.was_stored for each in task.recordings)


@given(facts)
def test_what_is_left_out_is_not_asked_for(task: TaskFacts) -> None:
    """A filter spares the calls, too."""
    assert not (task.left_out and must_ask(task, AGES))


@pytest.mark.parametrize(
    ("task", "standing", "reason"),
    [
        (captured(STORED), TaskStatus.STORED, ""),
        (captured(STORED, search=SearchFacts(1, True, True)), TaskStatus.STORED, ""),
        (captured(GONE), TaskStatus.DELETED, "deleted_at_webex"),
        (captured(STORED, GONE), TaskStatus.DELETED, "deleted_at_webex"),
        (captured(LOST, search=SearchFacts(deleted=True)), TaskStatus.FAILED, "lost"),
        (captured(STORED, FAILED), TaskStatus.FAILED, "http_500"),
        (captured(STORED, OPEN), TaskStatus.OWED, "not_fetched"),
        (captured(replace(STORED, held=ObjectState.MISSING)), TaskStatus.FAILED, "missing_in_bucket"),
        (captured(replace(STORED, held=ObjectState.DIFFERENT)), TaskStatus.FAILED, "differs_in_bucket"),
        (captured(replace(STORED, held=ObjectState.UNREADABLE)), TaskStatus.UNKNOWN, "bucket_unreadable"),
        (captured(replace(STORED, held=None)), TaskStatus.UNKNOWN, "bucket_unreadable"),
        (captured(), TaskStatus.UNKNOWN, "no_recording_known"),
        (captured(STORED, search=SearchFacts(2)), TaskStatus.STORED, ""),
        (captured(STORED, SEGMENT, search=SearchFacts(2)), TaskStatus.STORED, ""),
        (captured(STORED, SEGMENT, search=SearchFacts(1)), TaskStatus.STORED, ""),
        (captured(STORED, search=SearchFacts(2, deleted=True)), TaskStatus.UNKNOWN, "deletion_unconfirmed"),
        (
            captured(STORED, search=SearchFacts(2, deleted=True), asked=RecheckAnswer.FOUND),
            TaskStatus.DELETED,
            "deleted_at_webex",
        ),
        (captured(replace(GONE, evidence="")), TaskStatus.FAILED, "gone_unproven"),
        (captured(STORED, named=2), TaskStatus.FAILED, "fewer_than_named"),
        (captured(STORED, SEGMENT, named=2), TaskStatus.STORED, ""),
        (captured(STORED, phase=Phase.OPEN, age_ms=DAY_MS), TaskStatus.OWED, "still_open"),
        (captured(STORED, phase=Phase.OPEN), TaskStatus.FAILED, "never_ended"),
        (captured(STORED, phase=Phase.OVER), TaskStatus.STORED, ""),
        (silent(named=1), TaskStatus.FAILED, "fewer_than_named"),
        (silent(phase=Phase.OPEN, age_ms=DAY_MS), TaskStatus.OWED, "still_open"),
        (captured(STORED, search=SearchFacts(1, deleted=True)), TaskStatus.STORED, ""),
        (captured(STORED, search=SearchFacts(2), age_ms=DAY_MS), TaskStatus.STORED, ""),
        (captured(STORED, search=SearchFacts(1, active=True), age_ms=HOUR_MS), TaskStatus.OWED, "still_active"),
        (captured(STORED, search=SearchFacts(1, active=True)), TaskStatus.STORED, ""),
        (silent(), TaskStatus.NO_RECORDING, "no_capture"),
        (silent(search=SearchFacts(0)), TaskStatus.NO_RECORDING, "no_capture"),
        (silent(search=SearchFacts(1)), TaskStatus.FAILED, "fewer_than_search"),
        (silent(search=SearchFacts(0, True)), TaskStatus.OWED, "capture_awaited"),
        (silent(search=SearchFacts(1, deleted=True)), TaskStatus.UNKNOWN, "deletion_unconfirmed"),
        (silent(asked=RecheckAnswer.UNANSWERED), TaskStatus.UNKNOWN, "captures_unanswered"),
        (silent(left_out="queue"), TaskStatus.LEFT_OUT, "queue"),
        (captured(STORED, left_out="queue"), TaskStatus.STORED, ""),
        (TaskFacts(TaskState.LISTED), TaskStatus.OWED, "never_asked"),
        (TaskFacts(TaskState.LISTED, listed=False), TaskStatus.OWED, "only_in_search"),
        (TaskFacts(TaskState.OWED, "capture_awaited"), TaskStatus.OWED, "capture_awaited"),
        (TaskFacts(TaskState.FAILED, "missing"), TaskStatus.FAILED, "missing"),
    ],
)
def test_where_a_task_stands(task: TaskFacts, standing: TaskStatus, reason: str) -> None:
    """The table of the states and their reasons."""
    judgement = judge(task, AGES)
    assert (judgement.standing, judgement.reason) == (standing, reason)


@pytest.mark.parametrize(
    ("task", "asked"),
    [
        (silent(capture_requested=False), False),
        (silent(capture_requested=False, search=SearchFacts(1)), True),
        (silent(capture_requested=False, search=SearchFacts(capture_requested=True)), True),
        (silent(search=SearchFacts(0)), False),
        (silent(), True),
        (silent(silent_ms=2 * DAY_MS, since_silent_ms=DAY_MS), True),
        (silent(silent_ms=2 * DAY_MS, since_silent_ms=HOUR_MS - 1), False),
        (silent(silent_ms=8 * DAY_MS, since_silent_ms=DAY_MS), False),
        (captured(STORED, search=SearchFacts(1)), False),
        (captured(STORED, search=SearchFacts(2)), True),
        (captured(STORED, search=SearchFacts(1, deleted=True)), False),
        (captured(FAILED, search=SearchFacts(1, deleted=True)), True),
        (captured(LOST, search=SearchFacts(1, deleted=True)), False),
        (TaskFacts(TaskState.OWED, search=SearchFacts(deleted=True)), True),
        (TaskFacts(TaskState.LISTED), False),
        (silent(capture_requested=False, named=1), True),
    ],
)
def test_captures_is_asked_where_the_sides_contradict(task: TaskFacts, asked: bool) -> None:
    """And where "no recording" rests on silence that came early; a run asks for the rest."""
    assert must_ask(task, AGES) is asked


PROVEN = CertificateFacts(
    settled=True,
    tasks=SearchState.PRESENT,
    search=SearchState.PRESENT,
    search_required=False,
    counts={TaskStatus.STORED: 3, TaskStatus.NO_RECORDING: 1, TaskStatus.DELETED: 1, TaskStatus.LEFT_OUT: 2},
)
BREAKS_OFF = (SearchState.PARTIAL,)
days = st.builds(
    CertificateFacts,
    st.booleans(),
    st.sampled_from(SearchState),
    st.sampled_from(SearchState),
    st.booleans(),
    st.dictionaries(st.sampled_from(TaskStatus), st.integers(0, 2)),
)


LISTS = (SearchState.PRESENT, SearchState.OUT_OF_REACH)


@given(days)
def test_a_day_is_certified_only_when_every_voice_was_heard(day: CertificateFacts) -> None:
    """Old enough, a list to its end, Search not broken off (and there, when it is required), no task open."""
    if certified(day):
        return
    assert day.settled
    # Beyond a year Search is the list, and nothing stands in for it.
    assert day.tasks is SearchState.PRESENT or (
        day.tasks is SearchState.OUT_OF_REACH and day.search is SearchState.PRESENT
    )
    assert day.search is SearchState.PRESENT or not day.search_required
    assert day.search is not SearchState.PARTIAL
    assert not any(day.counts.get(state) for state in (TaskStatus.OWED, TaskStatus.FAILED, TaskStatus.UNKNOWN))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ()),
        ({"settled": False}, (WhyNot.YOUNG,)),
        *(({"tasks": heard}, (WhyNot.LIST,)) for heard in SearchState if heard not in LISTS),
        *(
            (
                {"tasks": SearchState.OUT_OF_REACH, "search": heard},
                () if heard is SearchState.PRESENT else (WhyNot.SEARCH,),
            )
            for heard in SearchState
        ),
        *(({"search": heard}, (WhyNot.SEARCH,) if heard in BREAKS_OFF else ()) for heard in SearchState),
        *(
            ({"search": heard, "search_required": True}, () if heard is SearchState.PRESENT else (WhyNot.SEARCH,))
            for heard in SearchState
        ),
        *(({"counts": {state: 1}}, (WhyNot.TASKS,)) for state in TaskStatus if state not in SOUND),
        ({"settled": False, "tasks": SearchState.PARTIAL}, (WhyNot.YOUNG, WhyNot.LIST)),
    ],
)
def test_what_keeps_a_day_from_being_certified(change: dict[str, object], why: tuple[WhyNot, ...]) -> None:
    """Each of the conditions alone, for every way in which a list can be heard."""
    assert certified(replace(PROVEN, **change)) == why  # type: ignore[arg-type]


SIZED = replace(STORED, size=1000)


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (captured(STORED), ()),
        (captured(STORED, search=SearchFacts(None, bytes=5)), ()),
        (captured(STORED, search=SearchFacts(2)), (Disagreement.FEWER,)),
        (captured(STORED, SEGMENT, search=SearchFacts(1)), ()),
        (captured(STORED, replace(STORED, id="t"), search=SearchFacts(1)), (Disagreement.MORE,)),
        (captured(STORED, search=SearchFacts(0)), (Disagreement.MORE,)),
        (captured(STORED, search=SearchFacts(2, deleted=True)), ()),
        (captured(SIZED, search=SearchFacts(1, bytes=1010)), ()),
        (captured(SIZED, search=SearchFacts(1, bytes=1011)), (Disagreement.BYTES,)),
        (captured(SIZED, search=SearchFacts(1, bytes=989)), (Disagreement.BYTES,)),
        (captured(SIZED, SEGMENT, search=SearchFacts(1, bytes=1000)), ()),
        (captured(STORED, search=SearchFacts(1, bytes=1)), ()),
        (captured(GONE, search=SearchFacts(1, bytes=1)), ()),
        (silent(search=SearchFacts(0, bytes=0)), ()),
    ],
)
def test_what_search_counts_otherwise_is_told(task: TaskFacts, told: tuple[Disagreement, ...]) -> None:
    """In which way, and only where Search says a number and nothing was deleted; a hundredth of the size is nothing."""
    assert disagreements(task) == told
