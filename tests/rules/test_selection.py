"""Take, settle or owe: the states of cli.md as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, HOUR_MS, MINUTE_MS, Capture, Kind, Recording, Task, TaskState
from wxrec_async.rules.finality import EmptyAnswers
from wxrec_async.rules.selection import (
    MAY_GO_ON,
    NEVER_ENDED,
    STILL_OPEN,
    TaskVerdict,
    WaitPolicy,
    after_empty,
    after_unsettled,
    before_asking,
    never_ended,
    of_channel,
    refusals_end_run,
    should_prefetch,
    streak_ends_run,
    wanted_recordings,
    while_it_goes_on,
    without_audio,
)

NOW = 1_767_225_600_000
AGES = WaitPolicy()


def task(requested: bool | None, age_ms: int | None) -> Task:
    created = None if age_ms is None else NOW - age_ms
    return Task("t", status="completed", created_ms=created, capture_requested=requested)


def test_with_transcripts_every_ended_contact_is_asked_for() -> None:
    """What its row says of a capture says nothing of a transcript, and an empty answer must be as old as for null."""
    all_of_it = WaitPolicy(row_speaks=False)
    young, old = task(False, HOUR_MS), task(False, 25 * HOUR_MS)
    assert before_asking(young, AGES, NOW) is not None
    assert before_asking(young, all_of_it, NOW) is None
    seen = EmptyAnswers(NOW - 25 * HOUR_MS)
    assert after_empty(young, EmptyAnswers(NOW - HOUR_MS), all_of_it, NOW).state is TaskState.OWED
    assert after_empty(old, seen, all_of_it, NOW).state is TaskState.NO_RECORDING
    assert after_empty(young, EmptyAnswers(NOW - HOUR_MS), AGES, NOW).state is TaskState.NO_RECORDING


def test_a_transcript_is_not_the_sound_that_was_promised() -> None:
    """Owed, and after a while failed by name; a call without a promise, a chat, and one with its sound are done."""
    text, sound = Recording("t", "x", kind=Kind.TRANSCRIPT), Recording("t", "a")
    young, old = task(True, DAY_MS), task(True, 8 * DAY_MS)
    awaited = without_audio(young, [text], AGES, NOW)
    assert awaited is not None
    assert (awaited.state, awaited.reason) == (TaskState.OWED, "capture_awaited")
    assert awaited.next_ask_ms is not None
    assert NOW < awaited.next_ask_ms <= NOW + 6 * DAY_MS + 1
    assert without_audio(old, [text], AGES, NOW) == TaskVerdict(TaskState.FAILED, "audio_missing")
    assert without_audio(old, [text, sound], AGES, NOW) is None
    assert without_audio(task(None, 8 * DAY_MS), [text], AGES, NOW) is None
    assert without_audio(replace(old, channel_type="chat"), [text], AGES, NOW) is None
    assert without_audio(replace(old, channel_type="Telephony"), [text], AGES, NOW) is not None


def test_a_transcript_is_no_recording_that_a_segment_is_a_part_of() -> None:
    """Alone beside it, the segments are all that is there of the sound."""
    part, text = Recording("t", "p", segment=True), Recording("t", "x", kind=Kind.TRANSCRIPT)
    assert wanted_recordings(Capture("t", (part, text)), include_segments=False) == [part, text]


@pytest.mark.parametrize(
    ("requested", "age_ms", "state", "reason"),
    [
        (True, 0, TaskState.OWED, "settling"),
        (False, 29 * MINUTE_MS, TaskState.OWED, "settling"),
        (None, 30 * MINUTE_MS - 1, TaskState.OWED, "settling"),
        (True, -5 * MINUTE_MS, TaskState.OWED, "settling"),
        (False, 30 * MINUTE_MS, TaskState.NO_RECORDING, "capture_not_requested"),
        (False, None, TaskState.NO_RECORDING, "capture_not_requested"),
    ],
)
def test_some_tasks_need_no_captures_call(
    requested: bool | None, age_ms: int | None, state: TaskState, reason: str
) -> None:
    """Young calls are owed, not judged; those that asked for no capture have none."""
    verdict = before_asking(task(requested, age_ms), AGES, NOW)
    assert verdict is not None
    assert (verdict.state, verdict.reason) == (state, reason)
    if reason == "settling":
        assert age_ms is not None
        assert verdict.next_ask_ms == NOW - age_ms + AGES.settle_ms


@pytest.mark.parametrize("requested", [True, None])
@pytest.mark.parametrize("age_ms", [30 * MINUTE_MS, 400 * DAY_MS, None])
def test_all_others_are_asked_for(requested: bool | None, age_ms: int | None) -> None:
    """Settled, and perhaps recorded: that is for captures to say."""
    assert before_asking(task(requested, age_ms), AGES, NOW) is None


@pytest.mark.fault("W22", "W23")
@pytest.mark.parametrize(
    ("requested", "age_ms", "empty_for_ms", "state", "reason"),
    [
        (False, HOUR_MS, None, TaskState.NO_RECORDING, "capture_not_requested"),
        (None, HOUR_MS, None, TaskState.OWED, "capture_unknown"),
        (None, 24 * HOUR_MS, None, TaskState.OWED, "capture_unknown"),
        (None, 24 * HOUR_MS + 1, None, TaskState.NO_RECORDING, "no_capture"),
        (True, HOUR_MS, None, TaskState.OWED, "capture_awaited"),
        (True, 24 * HOUR_MS + 1, 23 * HOUR_MS, TaskState.OWED, "capture_awaited"),
        (True, 7 * DAY_MS, 6 * DAY_MS, TaskState.OWED, "capture_awaited"),
        (True, 7 * DAY_MS + 1, None, TaskState.OWED, "capture_awaited"),
        (True, 300 * DAY_MS, DAY_MS - 1, TaskState.OWED, "capture_awaited"),
        (True, 7 * DAY_MS + 1, DAY_MS, TaskState.FAILED, "missing"),
        (True, 300 * DAY_MS, DAY_MS, TaskState.FAILED, "missing"),
    ],
)
def test_an_empty_answer_is_judged_by_age_and_history(
    requested: bool | None, age_ms: int, empty_for_ms: int | None, state: TaskState, reason: str
) -> None:
    """Silence is no verdict: only false, or null for a day, is "none"; true is owed, then missing, never "none"."""
    first_empty = None if empty_for_ms is None else NOW - empty_for_ms
    verdict = after_empty(task(requested, age_ms), EmptyAnswers(NOW - min(age_ms, HOUR_MS), first_empty), AGES, NOW)
    assert (verdict.state, verdict.reason) == (state, reason)
    assert (verdict.next_ask_ms is not None) == (state is TaskState.OWED)


@pytest.mark.fault("W22")
def test_a_task_of_unknown_age_is_as_old_as_our_first_sight_of_it() -> None:
    """Listed without a time: it is not judged before it had its day."""
    undated = Task("t", status="completed")
    assert after_empty(undated, EmptyAnswers(NOW), AGES, NOW).state is TaskState.OWED
    assert after_empty(undated, EmptyAnswers(NOW - DAY_MS - 1), AGES, NOW).state is TaskState.NO_RECORDING


@given(st.integers(0, 500 * DAY_MS), st.integers(0, 30 * DAY_MS), st.booleans())
def test_an_id_that_nobody_knows_never_ends_as_no_recording(seen_for: int, null_ms: int, requested: bool) -> None:
    """Named in a file and known to neither list nor captures: it may be a misspelt one, so it fails by name."""
    ages, bare = WaitPolicy(null_ms=null_ms), Task("t", capture_requested=False if requested else None)
    verdict = after_empty(bare, EmptyAnswers(NOW - seen_for), ages, NOW)
    assert (verdict.state, verdict.reason) == (
        (TaskState.FAILED, "unknown_task") if seen_for > null_ms else (TaskState.OWED, "capture_unknown")
    )


@pytest.mark.fault("W23")
@given(st.integers(0, 500 * DAY_MS), st.one_of(st.none(), st.integers(0, 500 * DAY_MS)), st.integers(0, 500 * DAY_MS))
def test_a_capture_that_was_asked_for_never_ends_as_none(age_ms: int, empty_for: int | None, seen_for: int) -> None:
    """With captureRequested true there is a recording somewhere: owed or missing, whatever the ages."""
    first_empty = None if empty_for is None else NOW - empty_for
    verdict = after_empty(task(True, age_ms), EmptyAnswers(NOW - seen_for, first_empty), AGES, NOW)
    assert verdict.state in (TaskState.OWED, TaskState.FAILED)
    if verdict.next_ask_ms is not None:
        assert NOW + 30 * MINUTE_MS <= verdict.next_ask_ms <= NOW + DAY_MS


def test_all_three_ages_are_settings() -> None:
    """cli.md promises it."""
    ages = WaitPolicy(settle_ms=0, null_ms=0, missing_ms=0)
    assert before_asking(task(True, 0), ages, NOW) is None
    assert after_empty(task(None, 1), EmptyAnswers(NOW), ages, NOW).state is TaskState.NO_RECORDING
    assert after_empty(task(True, 1), EmptyAnswers(NOW, NOW - DAY_MS), ages, NOW) == TaskVerdict(
        TaskState.FAILED, "missing"
    )
    untold = Task("t", created_ms=NOW - 2 * HOUR_MS)
    assert before_asking(untold, WaitPolicy(assume_over_ms=HOUR_MS), NOW) is None
    assert before_asking(untold, WaitPolicy(assume_over_ms=3 * HOUR_MS), NOW) is not None


@pytest.mark.parametrize("status", ["created", "queued", "offered", "assigned", "connected", "Connected "])
@pytest.mark.parametrize("requested", [True, False, None])
@pytest.mark.parametrize("age_ms", [30 * MINUTE_MS, 3 * HOUR_MS, 7 * DAY_MS])
def test_a_call_that_goes_on_is_owed_and_not_asked_for(status: str, requested: bool | None, age_ms: int) -> None:
    """Captures may name half of it, and a promise that there will be none can still be broken."""
    open_call = Task("t", status=status, created_ms=NOW - age_ms, capture_requested=requested)
    verdict = before_asking(open_call, AGES, NOW)
    assert verdict is not None
    assert (verdict.state, verdict.reason) == (TaskState.OWED, STILL_OPEN)
    assert verdict.next_ask_ms is not None
    assert NOW < verdict.next_ask_ms <= NOW + DAY_MS


def test_a_call_that_never_ends_is_asked_for_after_all_and_fails_by_name() -> None:
    """Behind owed_days what there is of it is fetched, under a flag."""
    stuck = Task("t", status="connected", created_ms=NOW - 7 * DAY_MS - 1)
    assert before_asking(stuck, AGES, NOW) is None
    assert never_ended(stuck, AGES, NOW)
    assert after_empty(stuck, EmptyAnswers(NOW - 7 * DAY_MS), AGES, NOW) == TaskVerdict(TaskState.FAILED, NEVER_ENDED)
    assert while_it_goes_on(stuck, [Recording("t", "r")], EmptyAnswers(NOW), AGES, NOW) is None


def test_a_row_that_does_not_say_whether_the_call_is_over_is_believed_after_a_day_of_silence() -> None:
    """Counted from the last sign of life: creation, or the end of what was recorded."""
    untold = Task("t", created_ms=NOW - DAY_MS - 1)
    first = EmptyAnswers(NOW - DAY_MS)
    assert before_asking(untold, AGES, NOW) is None
    assert before_asking(replace(untold, created_ms=NOW - DAY_MS), AGES, NOW) == TaskVerdict(
        TaskState.OWED, MAY_GO_ON, NOW + 1
    )
    old, young = Recording("t", "r", stop_ms=NOW - DAY_MS - 1), Recording("t", "r", stop_ms=NOW - HOUR_MS)
    assert while_it_goes_on(untold, [old], first, AGES, NOW) is None
    owed = while_it_goes_on(untold, [old, young], first, AGES, NOW)
    assert owed == TaskVerdict(TaskState.OWED, MAY_GO_ON, NOW + 23 * HOUR_MS + 1)
    assert while_it_goes_on(replace(untold, status="ended"), [young], first, AGES, NOW) is None


def test_an_id_from_a_file_is_as_old_as_its_recordings() -> None:
    """Captures alone tells how old it is; without any time our first sight of it counts."""
    bare = Task("t")
    assert before_asking(bare, AGES, NOW) is None
    assert (
        while_it_goes_on(bare, [Recording("t", "r", start_ms=NOW - 2 * DAY_MS)], EmptyAnswers(NOW), AGES, NOW) is None
    )
    timeless = [Recording("t", "r")]
    assert while_it_goes_on(bare, timeless, EmptyAnswers(NOW), AGES, NOW) is not None
    assert while_it_goes_on(bare, timeless, EmptyAnswers(NOW - DAY_MS - 1), AGES, NOW) is None


@given(st.integers(0, 400 * DAY_MS), st.sampled_from([True, False, None]), st.sampled_from(["completed", "", None]))
def test_what_was_named_once_never_ends_as_no_recording(
    age_ms: int, requested: bool | None, status: str | None
) -> None:
    """A later answer that names less takes nothing back: it is owed, then missing by name."""
    named = EmptyAnswers(NOW - age_ms, NOW - age_ms, named=1)
    later = Task("t", status=status, created_ms=NOW - age_ms, capture_requested=requested)
    assert after_empty(later, named, AGES, NOW).state in (TaskState.OWED, TaskState.FAILED)


@given(st.integers(0, 400 * DAY_MS), st.sampled_from(["entry_missing", "list_missing", "error_beside"]))
def test_an_answer_that_proves_nothing_is_owed_and_at_last_failed_by_its_own_name(age_ms: int, why: str) -> None:
    """Never "none": whatever Webex says of the capture, whatever the age."""
    for requested in (True, False, None):
        verdict = after_unsettled(task(requested, age_ms), why, EmptyAnswers(NOW - age_ms), AGES, NOW)
        assert verdict.reason == why
        assert verdict.state is (TaskState.FAILED if age_ms > AGES.missing_ms else TaskState.OWED)
        assert (verdict.next_ask_ms is not None) == (verdict.state is TaskState.OWED)


def test_segments_are_taken_when_they_are_wanted_or_all_there_is() -> None:
    """Beside the whole they would be the same sound twice; alone they are the call."""
    whole, part = Recording("t", "w"), Recording("t", "s", segment=True)
    assert wanted_recordings(Capture("t", (whole, part)), include_segments=False) == [whole]
    assert wanted_recordings(Capture("t", (part, whole)), include_segments=True) == [part, whole]
    assert wanted_recordings(Capture("t", (part,)), include_segments=False) == [part]
    assert wanted_recordings(Capture("t"), include_segments=False) == []


@pytest.mark.parametrize(
    ("channel", "taken"), [("telephony", True), ("TELEPHONY", True), (None, True), ("email", False), ("", False)]
)
def test_the_channel_is_checked_here_too(channel: str | None, taken: bool) -> None:
    """The API ignores parameters that it does not know; a task without a channel is not dropped for it."""
    assert of_channel(Task("t", channel_type=channel), ("Telephony",)) is taken


@given(st.integers(1, 1024), st.data())
def test_captures_is_asked_ahead_for_busy_workers_and_at_once_for_idle_ones(workers: int, data: st.DataObject) -> None:
    """Somebody asks when nothing is at hand; a full house waits with half a recording each; idle hands bring more."""
    idle = data.draw(st.integers(0, workers))
    assert should_prefetch(0, idle=idle, workers=workers)
    assert not should_prefetch(max(1, workers), idle=0, workers=workers) or workers == 1
    most = next(expected for expected in range(10_000) if not should_prefetch(expected, idle=idle, workers=workers))
    assert workers // 2 + 4 * idle < most <= 5 * workers + 1


@pytest.mark.fault("S12")
@pytest.mark.parametrize(
    ("reason", "streak", "stored", "ends"),
    [
        ("s3_AccessDenied", 2, 0, False),
        ("s3_AccessDenied", 3, 0, True),
        ("s3_AccessDenied", 3, 1, False),
        ("s3_AccessDenied", 100, 1, True),
        ("empty", 3, 0, False),
        ("empty", 99, 0, False),
        ("empty", 100, 5_000, True),
    ],
)
def test_a_run_ends_itself_when_the_fault_is_everybodys(reason: str, streak: int, stored: int, ends: bool) -> None:
    """Three refusals and not one success, or a hundred failures in a row; never a ratio."""
    assert streak_ends_run(reason, streak, stored, 100) is ends


@pytest.mark.parametrize(
    ("refused", "answered", "most", "ends"),
    [
        (11, False, 100, False),
        (12, False, 100, True),
        (99, True, 100, False),
        (100, True, 100, True),
        (4, False, 5, False),
        (5, False, 5, True),
    ],
)
def test_a_run_ends_itself_when_everybody_is_refused(refused: int, answered: bool, most: int, ends: bool) -> None:
    """A dozen tasks in a row when none was ever answered; else as many as any failures in a row."""
    assert refusals_end_run(refused, answered=answered, most=most) is ends


def test_a_task_with_recordings_is_asked_for_once_more_after_a_day() -> None:
    """Unless the setting says otherwise."""
    assert (AGES.look_again_ms, AGES.settle_ms, AGES.null_ms, AGES.missing_ms) == (
        DAY_MS,
        30 * MINUTE_MS,
        DAY_MS,
        7 * DAY_MS,
    )


@pytest.mark.fault("W22", "W23")
@given(st.booleans(), st.integers(1, 100 * MINUTE_MS), st.integers(0, 3 * DAY_MS), st.booleans())
def test_an_owed_task_is_asked_again_the_moment_its_silence_becomes_a_verdict(
    requested: bool, left_ms: int, empty_for_ms: int, known: bool
) -> None:
    """One millisecond past its age; for a capture that was asked for, not before its first empty answer is a day old.

    Not within a minute, and not later than a quarter of its age from now.
    """
    age = (AGES.missing_ms if requested else AGES.null_ms) - left_ms
    verdict = after_empty(
        task(requested or None, age), EmptyAnswers(NOW - HOUR_MS, NOW - empty_for_ms if known else None), AGES, NOW
    )
    judged = NOW + left_ms + 1
    if requested:
        judged = max(judged, NOW - (empty_for_ms if known else 0) + DAY_MS)
    assert verdict.next_ask_ms == max(NOW + MINUTE_MS, min(judged, NOW + age // 4))


@pytest.mark.parametrize("left_ms", [2 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS])
def test_an_owed_task_is_judged_one_millisecond_past_its_age(left_ms: int) -> None:
    """Neither sooner, when its age would still be too small, nor a millisecond later."""
    silence = EmptyAnswers(NOW - HOUR_MS, NOW - 2 * DAY_MS)
    assert after_empty(task(None, AGES.null_ms - left_ms), silence, AGES, NOW).next_ask_ms == NOW + left_ms + 1
    assert after_empty(task(True, AGES.missing_ms - left_ms), silence, AGES, NOW).next_ask_ms == NOW + left_ms + 1


@pytest.mark.parametrize(("expected", "idle", "asks"), [(4, 0, True), (5, 0, False), (8, 1, True), (9, 1, False)])
def test_the_reserve_is_half_a_recording_for_each_worker_and_one_more(expected: int, idle: int, asks: bool) -> None:
    """And four for each that is idle; here with eight workers."""
    assert should_prefetch(expected, idle=idle, workers=8) is asks
