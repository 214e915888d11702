"""A follower's figures: its steps, its naps, and the edges of what a round lists."""

from __future__ import annotations

import pytest

from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules import follow_schedule
from wxrec_async.rules.follow_schedule import Look, Rhythm, is_due, look, nap_s, next_poll

NOW = 1_767_225_600_000
MINUTE = 60_000
RHYTHM = Rhythm()


def test_the_rhythm_is_the_one_operators_are_told() -> None:
    """A quarter of an hour, eight days, everything each six hours, naps of half a minute."""
    assert Rhythm(poll_ms=15 * MINUTE, trailing_ms=8 * DAY_MS) == RHYTHM
    assert (follow_schedule.RECENT_MS, follow_schedule.FULL_EVERY_MS) == (DAY_MS, 360 * MINUTE)
    assert (follow_schedule.MAX_JITTER, follow_schedule.MAX_NAP_S) == (0.1, 30.0)


@pytest.mark.parametrize(("chance", "later"), [(0.0, 0), (0.5, 45_000), (1.0, 90_000)])
def test_chance_takes_up_to_a_tenth_of_a_step(chance: float, later: int) -> None:
    """From the next point of the grid on."""
    assert next_poll(NOW, RHYTHM, chance) == next_poll(NOW + 15 * MINUTE - 1, RHYTHM, chance) == NOW + 900_000 + later


def test_two_steps_by_any_clock_are_due_to_the_millisecond() -> None:
    """Half an hour."""
    assert is_due(NOW - DAY_MS, NOW, 1800, RHYTHM)
    assert not is_due(NOW - DAY_MS, NOW, 1799.9, RHYTHM)


@pytest.mark.parametrize(
    ("ahead", "seconds"), [(-5000, 0.05), (0, 0.05), (50, 0.05), (500, 0.5), (10_000, 10), (10**9, 30)]
)
def test_a_nap_is_what_is_left_within_its_limits(ahead: int, seconds: float) -> None:
    """A twentieth of a second at least, half a minute at most."""
    assert nap_s(NOW, NOW + ahead) == seconds


@pytest.mark.parametrize(
    ("full_ago", "full"), [(0, False), (1, False), (360 * MINUTE - 1, False), (360 * MINUTE, True), (-1, True)]
)
def test_everything_is_listed_each_six_hours(full_ago: int, full: bool) -> None:
    """And after a clock that was set back."""
    found = look(NOW, RHYTHM, listed_to_ms=NOW, full_ms=NOW - full_ago, lookback_ms=365 * DAY_MS)
    assert found == Look(Window(NOW - (8 if full else 1) * DAY_MS, NOW), full)


def test_a_short_trail_is_never_lengthened() -> None:
    """A round between two full ones lists a day, or the trail when that is shorter."""
    short = Rhythm(trailing_ms=1000)
    found = look(NOW, short, listed_to_ms=None, full_ms=NOW, lookback_ms=DAY_MS)
    assert found == Look(Window(NOW - 1000, NOW), full=False)


def test_a_window_has_a_millisecond_and_begins_no_earlier_than_time() -> None:
    """With nothing to look back at, and with a clock at the epoch."""
    assert look(NOW, RHYTHM, listed_to_ms=None, full_ms=None, lookback_ms=0).window == Window(NOW - 1, NOW)
    assert look(50, RHYTHM, listed_to_ms=None, full_ms=None, lookback_ms=DAY_MS).window == Window(0, 50)
