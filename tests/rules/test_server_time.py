"""The servers' time: what they said, and what has passed since."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.server_time import latest_end_ms, servers_now_ms

DATE = 1_767_225_600.0


def test_nobody_has_said() -> None:
    """Without a `Date` the servers' time is not known, and nothing is cut by it."""
    assert servers_now_ms([], 12.0) is None
    assert latest_end_ms(77, None) == 77


def test_a_machine_that_slept_asks_again() -> None:
    """Its monotonic clock stood still for two hours: by that, all that has happened since lies in the future."""
    now, hour = 1_767_225_600_000, 3_600_000
    assert latest_end_ms(now + 2 * hour, now) == now + 2 * hour
    assert latest_end_ms(now + 15 * 60_000 + 5_000, now) == now


def test_the_earliest_of_the_last_answers_counts() -> None:
    """A second more or less of jitter must never put a question into the future."""
    assert servers_now_ms([DATE - 10.0, DATE - 10.9, DATE - 10.2], 15.0) == round((DATE + 4.1) * 1000)
    assert latest_end_ms(77, 76) == 76
    assert latest_end_ms(75, 76) == 75


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 2), st.floats(0, 0.999)), min_size=1, max_size=8),
    st.floats(0, 1000),
)
def test_it_is_never_ahead_of_the_truth(answers: list[tuple[float, float, float]], later: float) -> None:
    """However long answers travelled and wherever in its second each `Date` was made."""
    offsets = [int(DATE + at) - (at + travel) for at, travel, _ in answers]
    moment = 1002 + later
    assert (servers_now_ms(offsets, moment) or 0) <= (DATE + moment) * 1000 + 1
