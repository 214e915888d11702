"""Take, settle or owe: the states of cli.md as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, Task, TaskState
from wxrec_async.rules.selection import (
    HOUR_MS,
    MINUTE_MS,
    Ages,
    Silence,
    Verdict,
    after_empty,
    before_asking,
    may_ask,
    of_channel,
    streak_ends_run,
)

NOW = 1_767_225_600_000
AGES = Ages()


def task(requested: bool | None, age_ms: int | None) -> Task:
    return Task("t", created_ms=None if age_ms is None else NOW - age_ms, capture_requested=requested)


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
    verdict = after_empty(task(requested, age_ms), Silence(NOW - min(age_ms, HOUR_MS), first_empty), AGES, NOW)
    assert (verdict.state, verdict.reason) == (state, reason)
    assert (verdict.next_ask_ms is not None) == (state is TaskState.OWED)


@pytest.mark.fault("W22")
def test_a_task_of_unknown_age_is_as_old_as_our_first_sight_of_it() -> None:
    """Named in a file, never listed: it is not judged before it had its day."""
    unknown = Task("t")
    assert after_empty(unknown, Silence(NOW), AGES, NOW).state is TaskState.OWED
    assert after_empty(unknown, Silence(NOW - DAY_MS - 1), AGES, NOW).state is TaskState.NO_RECORDING


@pytest.mark.fault("W23")
@given(st.integers(0, 500 * DAY_MS), st.one_of(st.none(), st.integers(0, 500 * DAY_MS)), st.integers(0, 500 * DAY_MS))
def test_a_capture_that_was_asked_for_never_ends_as_none(age_ms: int, empty_for: int | None, seen_for: int) -> None:
    """With captureRequested true there is a recording somewhere: owed or missing, whatever the ages."""
    first_empty = None if empty_for is None else NOW - empty_for
    verdict = after_empty(task(True, age_ms), Silence(NOW - seen_for, first_empty), AGES, NOW)
    assert verdict.state in (TaskState.OWED, TaskState.FAILED)
    if verdict.next_ask_ms is not None:
        assert NOW + 30 * MINUTE_MS <= verdict.next_ask_ms <= NOW + DAY_MS


def test_all_three_ages_are_settings() -> None:
    """cli.md promises it."""
    ages = Ages(settle_ms=0, null_ms=0, missing_ms=0)
    assert before_asking(task(True, 0), ages, NOW) is None
    assert after_empty(task(None, 1), Silence(NOW), ages, NOW).state is TaskState.NO_RECORDING
    assert after_empty(task(True, 1), Silence(NOW, NOW - DAY_MS), ages, NOW) == Verdict(TaskState.FAILED, "missing")


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
    assert may_ask(0, idle=idle, workers=workers)
    assert not may_ask(max(1, workers), idle=0, workers=workers) or workers == 1
    most = next(expected for expected in range(10_000) if not may_ask(expected, idle=idle, workers=workers))
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
        task(requested or None, age), Silence(NOW - HOUR_MS, NOW - empty_for_ms if known else None), AGES, NOW
    )
    judged = NOW + left_ms + 1
    if requested:
        judged = max(judged, NOW - (empty_for_ms if known else 0) + DAY_MS)
    assert verdict.next_ask_ms == max(NOW + MINUTE_MS, min(judged, NOW + age // 4))


@pytest.mark.parametrize("left_ms", [2 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS])
def test_an_owed_task_is_judged_one_millisecond_past_its_age(left_ms: int) -> None:
    """Neither sooner, when its age would still be too small, nor a millisecond later."""
    silence = Silence(NOW - HOUR_MS, NOW - 2 * DAY_MS)
    assert after_empty(task(None, AGES.null_ms - left_ms), silence, AGES, NOW).next_ask_ms == NOW + left_ms + 1
    assert after_empty(task(True, AGES.missing_ms - left_ms), silence, AGES, NOW).next_ask_ms == NOW + left_ms + 1


@pytest.mark.parametrize(("expected", "idle", "asks"), [(4, 0, True), (5, 0, False), (8, 1, True), (9, 1, False)])
def test_the_reserve_is_half_a_recording_for_each_worker_and_one_more(expected: int, idle: int, asks: bool) -> None:
    """And four for each that is idle; here with eight workers."""
    assert may_ask(expected, idle=idle, workers=8) is asks
