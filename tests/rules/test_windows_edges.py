"""Windows at their edges, to the millisecond, and the sentences that tell what was changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import ConfigError
from wxrec_async.model import DAY_MS, Period, Window
from wxrec_async.rules.windows import (
    LOOKBACK_MARGIN_MS,
    AskedPeriod,
    ask,
    clamp,
    halves,
    listable,
    read_moment,
    reopened,
    subtract,
)

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
OLDEST = NOW - 10 * DAY_MS + LOOKBACK_MARGIN_MS
TOO_OLD = "Webex lists no calls older than 10 days ([webex] lookback_days, search)"
INSTEAD = "use --task-ids-from for what is older"
EXAMPLES = "2026-01-31 or 2026-01-31T08:00:00+01:00"


def test_the_margin_is_an_hour() -> None:
    """A run that lists for longer lists its oldest windows first."""
    assert LOOKBACK_MARGIN_MS == 60 * 60 * 1000


def test_a_period_that_was_not_changed_says_so() -> None:
    """Nothing was clamped, and it begins where it was asked to."""
    assert AskedPeriod(Period(1, 2)) == AskedPeriod(Period(1, 2), clamped=(), begins_late=False)
    assert clamp(Window(OLDEST, NOW), lookback_days=10, now_ms=NOW) == AskedPeriod(Period(OLDEST, NOW))


@pytest.mark.parametrize("text", ["1767225600", "-1767225600", "123456789", "1767225600000"])
def test_a_number_is_told_to_be_one(text: str) -> None:
    """Epoch seconds in the place of a date are the mistake people make; eight digits are a date."""
    with pytest.raises(ConfigError) as refused:
        read_moment(text, "--from")
    assert str(refused.value) == f"--from: {text} is a number; write a date such as {EXAMPLES}"


def test_eight_digits_are_a_date() -> None:
    """ISO 8601's basic format."""
    assert read_moment("20260101", "--from") == NOW


@pytest.mark.parametrize("text", ["tomorrow", "12345678-", "31.01.2026", "-1234567", "X123456789"])
def test_what_is_no_date_is_quoted(text: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigError) as refused:
        read_moment(text, "--to")
    assert str(refused.value) == f"--to: {text!r} is not a date; write {EXAMPLES}"


def test_a_moment_outside_the_calendar_is_refused() -> None:
    """An offset can carry a date out of the years Python knows."""
    with pytest.raises(ConfigError) as refused:
        read_moment("0001-01-01T00:00:00+01:00", "--from")
    assert str(refused.value) == "--from: 0001-01-01T00:00:00+01:00 lies outside the calendar"


@pytest.mark.parametrize(
    ("from_", "to", "flag"), [("x", "", "--from"), ("", "x", "--to"), ("x", "2026-01-01", "--from")]
)
def test_the_flag_with_the_bad_date_is_named(from_: str, to: str, flag: str) -> None:
    """Each by its own name."""
    with pytest.raises(ConfigError, match=f"^{flag}: 'x' is not a date"):
        ask(from_, to, 1, lookback_days=10, now_ms=NOW)


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "words"),
    [
        (NOW, NOW + 1, "--from 2026-01-01T00:00:00Z lies in the future"),
        (
            0, OLDEST,
            f"--to 2025-12-22T01:00:00Z: {TOO_OLD}; use --task-ids-from for those",
        ),
    ],
)  # fmt: skip
def test_a_period_out_of_sight_is_refused_in_a_sentence(from_ms: int, to_ms: int, words: str) -> None:
    """With the moment, the limit, and what to do."""
    with pytest.raises(ConfigError) as refused:
        clamp(Window(from_ms, to_ms), lookback_days=10, now_ms=NOW)
    assert str(refused.value) == words


def test_each_change_is_told_in_a_sentence() -> None:
    """Both ends, in the order of reading, with what was taken instead."""
    asked = clamp(Window(OLDEST - 1, NOW + 1), lookback_days=10, now_ms=NOW)
    assert asked == AskedPeriod(
        Period(OLDEST, NOW),
        (
            "--to 2026-01-01T00:00:00.001Z lies in the future; taking now, 2026-01-01T00:00:00Z, instead",
            (
                f"--from 2025-12-22T00:59:59.999Z: {TOO_OLD}; 1 day of the period is out of reach, "
                f"beginning at 2025-12-22T01:00:00Z instead: {INSTEAD}"
            ),
        ),
        begins_late=True,
    )


@pytest.mark.parametrize(
    ("window", "left"),
    [
        (Window(OLDEST, NOW), Window(OLDEST, NOW)),
        (Window(0, NOW + 5), Window(OLDEST, NOW)),
        (Window(OLDEST + 7, NOW - 7), Window(OLDEST + 7, NOW - 7)),
        (Window(0, OLDEST + 1), Window(OLDEST, OLDEST + 1)),
        (Window(0, OLDEST), None),
        (Window(NOW, NOW + 5), None),
    ],
)
def test_what_webex_still_lists_of_a_window(window: Window, left: Window | None) -> None:
    """Between the margin and now; a window that moved out of sight is none."""
    assert listable(window, lookback_days=10, now_ms=NOW) == left


windows = st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: Window(pair[0], pair[0] + pair[1]))


@given(st.lists(windows, max_size=5), st.integers(0, 70))
def test_what_is_reopened_is_the_closed_part_before_a_moment(closed: list[Window], since_ms: int) -> None:
    """Millisecond by millisecond: what was closed and is older stays closed, and nothing else."""
    left = reopened(closed, since_ms)
    stay = {ms for span in left for ms in range(span.from_ms, span.to_ms)}
    assert stay == {ms for span in closed for ms in range(span.from_ms, span.to_ms) if ms < since_ms}
    assert all(span.from_ms < span.to_ms for span in left)


def test_nothing_is_left_of_a_window_that_is_covered_to_its_end() -> None:
    """Windows that only touch take nothing away, and none of no length comes out."""
    assert subtract(Window(10, 20), [Window(0, 10), Window(20, 30)]) == [Window(10, 20)]
    assert subtract(Window(10, 20), [Window(10, 20)]) == []
    assert subtract(Window(10, 20), [Window(5, 15), Window(15, 20)]) == []
    assert subtract(Window(10, 20), [Window(12, 13)]) == [Window(10, 12), Window(13, 20)]


def test_a_window_is_halved_in_its_middle() -> None:
    """Down to a millisecond, which stays."""
    assert halves(Window(0, 1)) == [Window(0, 1)]
    assert halves(Window(0, 2)) == [Window(0, 1), Window(1, 2)]
    assert halves(Window(10, 20)) == [Window(10, 15), Window(15, 20)]
    assert halves(Window(10, 13)) == [Window(10, 11), Window(11, 13)]


def test_a_period_that_ends_before_it_begins_is_told_with_both_ends() -> None:
    """As they were understood: in UTC."""
    with pytest.raises(ConfigError) as refused:
        ask("2025-12-31T01:00+01:00", "2025-12-31", 1, lookback_days=10, now_ms=NOW)
    assert str(refused.value) == "--from 2025-12-31T00:00:00Z is not before --to 2025-12-31T00:00:00Z"


@pytest.mark.parametrize("text", ["X20260131", "20260131X0", "--"])
def test_what_only_looks_like_a_number_is_told_to_be_no_date(text: str) -> None:
    """Digits with a sign are a number, and nothing else is."""
    with pytest.raises(ConfigError) as refused:
        read_moment(text, "--to")
    assert str(refused.value) == f"--to: {text!r} is not a date; write {EXAMPLES}"


def test_an_empty_period_is_told_with_both_its_ends() -> None:
    """As they were understood."""
    with pytest.raises(ConfigError) as refused:
        ask("2026-01-02", "2026-01-01", 1, lookback_days=10, now_ms=NOW)
    assert str(refused.value) == "--from 2026-01-02T00:00:00Z is not before --to 2026-01-01T00:00:00Z"
