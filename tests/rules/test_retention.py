"""What is purged before a run gets to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, MINUTE_MS, Task
from wxrec_async.rules.retention import BATCH, AtRisk, Timeline, length_ms

NOW = 1_767_225_600_000


@given(
    st.lists(st.tuples(st.integers(0, 400 * DAY_MS), st.integers(0, 10_000_000)), max_size=60),
    st.floats(0.1, 1e6),
    st.sampled_from([0.0, 1e3, 1e9]),
)
def test_a_task_is_never_reached_before_the_one_in_front_of_it(
    tasks: list[tuple[int, int]], per_minute: float, bytes_per_s: float
) -> None:
    """Time only goes on, and a run takes as long as its calls at the budget, at least."""
    timeline = Timeline(NOW, per_minute, 30, bytes_per_s)
    reached = [timeline.ask(Task("t", created_ms=NOW - age), size) for age, size in tasks]
    times = [each.reached_ms for each in reached if each]
    assert len(times) == len(tasks)
    assert times == sorted(times)
    if times:
        assert times[-1] - NOW >= (-(-len(tasks) // BATCH) / per_minute * MINUTE_MS) - 1


@pytest.mark.parametrize(
    ("age_days", "late"), [(29.9, False), (30, True), (31, True), (30 - 1 / 1440, True), (30 - 3 / 1440, False)]
)
def test_the_purge_comes_first_or_it_does_not(age_days: float, late: bool) -> None:
    """Two calls at one a minute: what is purged within two minutes is lost."""
    timeline = Timeline(NOW, 1, 30)
    timeline.list(1)
    reached = timeline.ask(Task("t", created_ms=NOW - round(age_days * DAY_MS)), 0)
    assert reached is not None
    assert reached.reached_ms == NOW + 2 * MINUTE_MS
    assert reached.is_late is late


def test_bytes_take_their_time_under_a_limit() -> None:
    """The second task waits for the bytes of the first, when they take longer than the calls."""
    timeline = Timeline(NOW, 60, 30, bytes_per_s=1000)
    timeline.ask(Task("a", created_ms=NOW), 60_000)
    second = timeline.ask(Task("b", created_ms=NOW), 1)
    assert second == AtRisk("b", NOW, NOW + 30 * DAY_MS, NOW + MINUTE_MS)


def test_without_retention_or_age_nothing_is_purged() -> None:
    """Zero days switch it off, and a call of unknown age cannot be told."""
    assert Timeline(NOW, 60, 0).ask(Task("t", created_ms=0), 0) is None
    assert Timeline(NOW, 60, 30).ask(Task("t"), 0) is None


@pytest.mark.parametrize(
    ("task", "length"),
    [
        (Task("t", duration_ms=5, created_ms=1, ended_ms=9), 5),
        (Task("t", created_ms=1, ended_ms=9), 8),
        (Task("t", created_ms=9, ended_ms=1), 0),
        (Task("t", created_ms=9), None),
    ],
)
def test_the_length_of_a_call_is_told_or_not(task: Task, length: int | None) -> None:
    """Its duration, else from its creation to its end."""
    assert length_ms(task) == length
