"""A follower's rhythm: a grid that does not drift, a window that leaves no gap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS
from wxrec_async.rules.follow_schedule import FULL_EVERY_MS, MAX_NAP_S, Rhythm, is_due, look, nap_s, next_poll

NOW = 1_767_225_600_000
RHYTHM = Rhythm()
STEP = RHYTHM.poll_ms
YEAR = 365 * DAY_MS


@given(st.integers(0, 10 * STEP), st.floats(0, 1))
def test_polls_lie_on_a_grid(after: int, chance: float) -> None:
    """Always ahead, at most a step and its jitter away, however long the round took."""
    found = next_poll(NOW + after, RHYTHM, chance)
    assert NOW + after < found <= NOW + after + STEP + STEP // 10
    assert found % STEP <= STEP // 10


@pytest.mark.fault("L10", "L20")
@pytest.mark.parametrize(
    ("now", "waited_s", "due"),
    [
        (NOW - 1, 0, False),
        (NOW, 0, True),
        (NOW + 7 * DAY_MS, 1, True),  # the machine slept
        (NOW - DAY_MS, 100, False),  # the clock was set back,
        (NOW - DAY_MS, 2 * STEP / 1000, True),  # and nobody waits a day for that
    ],
)
def test_a_poll_is_due_by_either_clock(now: int, waited_s: float, due: bool) -> None:
    """By the clock on the wall, and after two steps by any clock."""
    assert is_due(now, NOW, waited_s, RHYTHM) is due


@given(st.integers(-YEAR, YEAR))
def test_naps_are_short(ahead: int) -> None:
    """Never negative, never so long that a change of the clock goes unnoticed."""
    assert 0 < nap_s(NOW, NOW + ahead) <= MAX_NAP_S


@pytest.mark.fault("W21", "L10")
@given(
    st.none() | st.integers(NOW - 2 * YEAR, NOW + YEAR),
    st.none() | st.integers(NOW - 2 * YEAR, NOW + YEAR),
)
def test_a_round_leaves_no_gap_behind_it(listed_to: int | None, full: int | None) -> None:
    """It begins where the last listing ended or earlier, within what Webex lists, and ends now."""
    found = look(NOW, RHYTHM, listed_to_ms=listed_to, full_ms=full, lookback_ms=YEAR)
    assert found.window.to_ms == NOW
    assert found.window.from_ms >= NOW - YEAR
    assert found.window.from_ms <= NOW - DAY_MS
    if listed_to is not None:
        assert found.window.from_ms <= max(listed_to, NOW - YEAR)
    assert found.full is (full is None or not NOW - FULL_EVERY_MS < full <= NOW)
    if found.full:
        assert found.window.from_ms <= NOW - RHYTHM.trailing_ms
