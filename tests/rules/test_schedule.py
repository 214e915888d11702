"""When to ask again: growing waits within bounds, and a last question where silence becomes a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, HOUR_MS, MINUTE_MS, Task, TaskState
from wxrec_async.rules.finality import EmptyAnswers
from wxrec_async.rules.schedule import (
    RecheckBackoff,
    next_question,
    next_try,
    second_look,
    wait_ms,
)
from wxrec_async.rules.selection import TaskVerdict, WaitPolicy, after_empty, before_asking

NOW = 1_767_225_600_000
TIMES = st.integers(0, 400 * DAY_MS)
PACES = st.builds(RecheckBackoff, st.integers(MINUTE_MS, DAY_MS), st.integers(MINUTE_MS, DAY_MS))


@given(TIMES, TIMES, PACES)
def test_a_wait_grows_with_age_and_stays_in_bounds(one: int, other: int, pace: RecheckBackoff) -> None:
    """Never shorter for something older, never beyond the longest, never a hammering."""
    younger, older = sorted((one, other))
    assert wait_ms(younger, pace) <= wait_ms(older, pace) <= pace.most_ms
    assert wait_ms(younger, pace) >= min(pace.first_ms, pace.most_ms)


@given(TIMES, st.integers(-DAY_MS, 400 * DAY_MS), PACES)
def test_a_question_lies_ahead_and_never_behind_the_verdict(age: int, judged_in: int, pace: RecheckBackoff) -> None:
    """It comes no later than the day it could decide, and no sooner than in a minute."""
    asked = next_question(NOW, age, NOW + judged_in, pace)
    assert NOW + MINUTE_MS <= asked <= NOW + pace.most_ms
    if judged_in >= MINUTE_MS:
        assert asked <= NOW + judged_in


def lived_through(task: Task, ages: WaitPolicy, poll_ms: int) -> tuple[list[int], TaskVerdict]:
    """Ask as a follower does, at every poll that is due, until there is a verdict; all answers are empty."""
    now = task.created_ms or NOW
    silence, asked = EmptyAnswers(now), []
    verdict = before_asking(task, ages, now) or TaskVerdict(TaskState.OWED, "", now)
    while verdict.state is TaskState.OWED:
        while now < (verdict.next_ask_ms or 0):
            now += poll_ms
        early = before_asking(task, ages, now)
        if early is None:
            asked.append(now)
            verdict = after_empty(task, silence, ages, now)
            silence = EmptyAnswers(silence.first_seen_ms, silence.first_empty_ms or now)
        else:
            verdict = early
        assert len(asked) < 200
    return asked, verdict


@pytest.mark.fault("W23")
@given(
    st.sampled_from([MINUTE_MS, 15 * MINUTE_MS, HOUR_MS]),
    st.integers(0, 20 * DAY_MS),
    st.integers(0, 3 * HOUR_MS),
    PACES,
)
def test_a_promise_is_judged_right_behind_owed_days(poll: int, missing: int, settle: int, pace: RecheckBackoff) -> None:
    """At least two empty answers a day apart, the last one behind owed_days, and not much later than it had to be."""
    ages = WaitPolicy(
        settle_ms=settle, missing_ms=missing, pace=RecheckBackoff(max(pace.first_ms, 10 * MINUTE_MS), DAY_MS)
    )
    asked, verdict = lived_through(Task("t", status="completed", created_ms=NOW, capture_requested=True), ages, poll)
    assert (verdict.state, verdict.reason) == (TaskState.FAILED, "missing")
    assert len(asked) >= 2
    assert asked[-1] - asked[0] >= DAY_MS
    assert asked[-1] > NOW + missing
    assert asked[-1] <= max(NOW + missing, asked[0] + DAY_MS) + 2 * poll + MINUTE_MS


def test_by_default_a_week_of_silence_is_about_thirty_questions() -> None:
    """Cheap beside the capture budget: three captures calls for each ten tasks that stay silent."""
    asked, _ = lived_through(
        Task("t", status="completed", created_ms=NOW, capture_requested=True), WaitPolicy(), 15 * MINUTE_MS
    )
    assert 15 <= len(asked) <= 35
    assert asked[0] == NOW + 30 * MINUTE_MS


def test_a_task_of_which_nothing_is_known_is_judged_after_its_day() -> None:
    """With captureRequested null the last question falls right behind owed_null_hours."""
    asked, verdict = lived_through(Task("t", status="completed", created_ms=NOW), WaitPolicy(), 15 * MINUTE_MS)
    assert verdict == TaskVerdict(TaskState.NO_RECORDING, "no_capture", evidence="empty_entry")
    assert NOW + DAY_MS < asked[-1] <= NOW + DAY_MS + 30 * MINUTE_MS


@given(TIMES)
def test_what_failed_is_tried_again_within_a_day(age: int) -> None:
    """Half an hour at the earliest, a day at the latest."""
    assert NOW + 30 * MINUTE_MS <= next_try(NOW - age, NOW) <= NOW + DAY_MS


@pytest.mark.parametrize(
    ("created", "after", "due"),
    [
        (NOW - HOUR_MS, DAY_MS, NOW + 23 * HOUR_MS),
        (NOW - DAY_MS, DAY_MS, None),
        (NOW - HOUR_MS, 0, None),
        (None, DAY_MS, None),
    ],
)
def test_only_young_calls_get_a_second_look(created: int | None, after: int, due: int | None) -> None:
    """A backfill of old calls asks each of them once."""
    assert second_look(created, after, NOW) == due
