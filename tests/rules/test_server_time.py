"""The servers' time: what they said, and what has passed since."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.rules.server_time import Moment, ahead_s, latest_end_ms, lost_s, servers_now_ms, sleep_notice

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


def test_an_answer_that_waited_for_us_speaks_against_no_clock() -> None:
    """Asked, answered, and read an hour later because this machine slept: its `Date` lies between the two."""
    asked, read = Moment(DATE, 10.0), Moment(DATE + 3604, 10.5)
    assert ahead_s(asked, read, DATE) == 0
    assert ahead_s(asked, read, DATE + 3600) == 0
    assert ahead_s(asked, read, DATE - 1000) == 1000
    assert ahead_s(asked, read, DATE + 5000) == -1396
    assert lost_s(asked, read) == 3603.5


def test_a_clock_that_is_set_back_meanwhile_widens_what_may_be() -> None:
    """Whichever of the two was right, neither is held against it."""
    assert ahead_s(Moment(DATE + 3600, 1), Moment(DATE, 2), DATE + 60) == 0


@given(st.floats(-1e6, 1e6), st.floats(0, 1e5), st.floats(0, 1))
def test_a_right_clock_is_never_called_wrong(start: float, waited: float, share: float) -> None:
    """Wherever between question and reading the answer was made."""
    date = DATE + start + waited * share
    assert abs(ahead_s(Moment(DATE + start, 0), Moment(DATE + start + waited, 1), date)) < 1e-3


def test_a_sleep_is_noticed_and_a_busy_machine_is_not() -> None:
    """By a clock that goes on in sleep; where only the wall clock went on it was moved, or the machine was paused."""
    before = Moment(DATE, 100.0)
    assert sleep_notice(before, Moment(DATE + 35, 135.0), 5.0) == ""
    assert sleep_notice(before, Moment(DATE - 3600, 105.0), 5.0) == ""
    assert sleep_notice(before, Moment(DATE + 3609, 3709.0), 5.0) == (
        "this machine slept, or this program was stopped, for 3604 s; going on with fresh URLs"
    )
    assert sleep_notice(before, Moment(DATE + 3609, 105.0), 5.0).startswith(
        "this machine's clock went on by 3604 s at once"
    )
