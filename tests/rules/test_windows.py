"""A period covered once without gap, and dates that mean what they say."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import ConfigError
from wxrec_async.model import DAY_MS, Period, Window
from wxrec_async.rules.windows import (
    LOOKBACK_MARGIN_MS,
    ask,
    clamp,
    cut,
    halves,
    left,
    read_moment,
    subtract,
)

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR_MS = 3_600_000

moments = st.integers(-2 * DAY_MS, 2 * DAY_MS)
small_windows = st.tuples(st.integers(-300, 300), st.integers(1, 200)).map(lambda pair: Window(pair[0], sum(pair)))
windows = st.tuples(moments, st.integers(1, 5 * DAY_MS)).map(lambda pair: Window(pair[0], sum(pair)))


@pytest.mark.fault("W28")
@given(windows, st.sampled_from([DAY_MS, HOUR_MS * 23, HOUR_MS * 25, HOUR_MS * 7, 86_400_001]))
def test_the_cuts_of_a_window_are_the_window(window: Window, length_ms: int) -> None:
    """No gap, no overlap, in order, none longer than asked for; the hours of a local day play no part."""
    pieces = list(cut(window, length_ms))
    assert (pieces[0].from_ms, pieces[-1].to_ms) == (window.from_ms, window.to_ms)
    assert all(one.to_ms == two.from_ms for one, two in pairwise(pieces))
    assert all(piece.length_ms <= length_ms for piece in pieces)
    assert all(piece.from_ms % length_ms == 0 for piece in pieces[1:])


@given(small_windows, st.lists(small_windows, max_size=8), st.integers(1, 100))
def test_what_is_left_and_what_was_covered_make_up_the_whole(
    window: Window, covered: list[Window], length_ms: int
) -> None:
    """Millisecond by millisecond: each one of the window is left exactly once, or was covered."""
    left = [piece for rest in subtract(window, covered) for piece in cut(rest, length_ms)]
    asked_for = [ms for piece in left for ms in range(piece.from_ms, piece.to_ms)]
    done = {ms for each in covered for ms in range(each.from_ms, each.to_ms)}
    assert asked_for == [ms for ms in range(window.from_ms, window.to_ms) if ms not in done]


@given(windows)
def test_halves_make_up_the_whole(window: Window) -> None:
    """Halving loses nothing and comes to an end at one millisecond."""
    pieces = halves(window)
    assert (pieces[0].from_ms, pieces[-1].to_ms) == (window.from_ms, window.to_ms)
    assert sum(piece.length_ms for piece in pieces) == window.length_ms
    assert len(pieces) == (1 if window.length_ms == 1 else 2)


@pytest.mark.fault("W28")
@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T08:00:00", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31T08:00:00+08:00", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31 08:00:00.250-05:30", "2026-01-31T13:30:00.250+00:00"),
        ("  2026-01-31  ", "2026-01-31T00:00:00+00:00"),
        ("20260131", "2026-01-31T00:00:00+00:00"),
        ("1960-01-01", "1960-01-01T00:00:00+00:00"),
        ("2026-03-29T02:30:00", "2026-03-29T02:30:00+00:00"),  # does not exist in Berlin; UTC has it
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
def test_a_moment_without_an_offset_is_utc(text: str, instant: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own zone and its summer time play no part."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        found = read_moment(text, "--from")
    time.tzset()
    assert found == datetime.fromisoformat(instant).timestamp() * 1000


@pytest.mark.fault("W28")
@pytest.mark.parametrize(
    "text",
    [
        "1767225600", "1767225600000", "-1767225600", "1767225600.5", "１７６７２２５６００",
        "yesterday", "31.01.2026", "2026-02-30", "2026-13-01", "2026-01-31T25:00", "", "  ",
        "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused_with_the_flag_that_had_it(text: str) -> None:
    """Epoch seconds in the place of milliseconds would give a silent, empty answer."""
    with pytest.raises(ConfigError, match="--from"):
        read_moment(text, "--from")


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_a_refusal(text: str) -> None:
    """Nothing a user types leaves as a traceback."""
    try:
        moment: int | str = read_moment(text, "--to")
    except ConfigError as error:
        moment = str(error)
    assert isinstance(moment, int) or "--to" in moment


@pytest.mark.parametrize(("from_", "to"), [("2025-12-02", "2025-12-01"), ("2025-12-01", "2025-12-01")])
def test_an_empty_period_is_refused(from_: str, to: str) -> None:
    """--from after --to is a mistake, and both are named."""
    with pytest.raises(ConfigError, match=r"--from 2025-12-0\dT00:00:00Z is not before --to"):
        ask(from_, to, 7, lookback_days=365, now_ms=NOW)


def test_days_back_count_from_now_or_from_the_end_asked_for() -> None:
    """Without --from the period is days_back long."""
    assert ask("", "", 7, lookback_days=365, now_ms=NOW).period == Period(NOW - 7 * DAY_MS, NOW)
    assert ask("", "2025-12-20", 0.5, lookback_days=365, now_ms=NOW).period.length_ms == DAY_MS // 2
    future = ask("", "2027-01-01", 7, lookback_days=365, now_ms=NOW)
    assert future.period == Period(NOW - 7 * DAY_MS, NOW)
    assert len(future.clamped) == 1


@pytest.mark.parametrize("days", [1e4, 1e6, 1e12, 1e300, float("inf")])
def test_more_days_back_than_there_were_is_clamped_and_said(days: float) -> None:
    """A number too large is told like any other that reaches too far."""
    asked = ask("", "", days, lookback_days=365, now_ms=NOW)
    assert asked.period.from_ms == NOW - 365 * DAY_MS + LOOKBACK_MARGIN_MS
    assert len(asked.clamped) == 1


@pytest.mark.fault("W27")
def test_what_is_clamped_is_said() -> None:
    """Both ends, a sentence each, with what is done instead; what was not asked of the API is not claimed."""
    asked = clamp(Window(NOW - 800 * DAY_MS, NOW + DAY_MS), lookback_days=365, now_ms=NOW)
    assert asked.period == Period(NOW - 365 * DAY_MS + LOOKBACK_MARGIN_MS, NOW)
    future, past = asked.clamped
    assert "lies in the future" in future
    assert "2026-01-01T00:00:00Z" in future
    assert "--task-ids-from" in past
    assert "365 days" in past
    assert "436 days of the period are out of reach" in past, "counted up: part of a day is lost as well"


@pytest.mark.fault("W27")
@pytest.mark.parametrize(
    ("window", "words"),
    [
        (Window(NOW, NOW + 1), "lies in the future"),
        (Window(NOW + 5, NOW + 9), "lies in the future"),
        (Window(NOW - 900 * DAY_MS, NOW - 800 * DAY_MS), "--task-ids-from"),
    ],
)
def test_a_period_of_which_nothing_can_be_listed_is_refused(window: Window, words: str) -> None:
    """All future or all too long ago: that is an error, not an empty success."""
    with pytest.raises(ConfigError, match=words):
        clamp(window, lookback_days=365, now_ms=NOW)


@pytest.mark.fault("W27")
@given(
    st.tuples(st.integers(-800, 50), st.integers(1, 900)),
    st.integers(1, 400),
)
def test_a_clamped_period_lies_within_what_the_api_lists(days: tuple[int, int], lookback_days: int) -> None:
    """Never the future, never beyond the look-back, and silent only when nothing changed."""
    window = Window(NOW + days[0] * DAY_MS, NOW + (days[0] + days[1]) * DAY_MS)
    try:
        asked = clamp(window, lookback_days=lookback_days, now_ms=NOW)
    except ConfigError:
        assert window.from_ms >= NOW or window.to_ms <= NOW - lookback_days * DAY_MS + LOOKBACK_MARGIN_MS
        return
    assert NOW - lookback_days * DAY_MS < asked.period.from_ms < asked.period.to_ms <= NOW
    assert window.from_ms <= asked.period.from_ms
    assert asked.period.to_ms <= window.to_ms
    changed = (asked.period.from_ms != window.from_ms) + (asked.period.to_ms != window.to_ms)
    assert len(asked.clamped) == changed


def test_moments_are_written_as_they_are_read() -> None:
    """What the program prints can be given back to it."""
    assert read_moment(str(Window(NOW, NOW + 1)).split("/")[0], "--from") == NOW
    assert datetime.fromtimestamp(NOW / 1000, UTC).isoformat() == "2026-01-01T00:00:00+00:00"


def test_what_is_left_of_a_period_is_in_no_closed_span_and_cut_at_midnights() -> None:
    """Oldest first, each piece of one UTC day; nothing is left of what is closed as a whole."""
    noon = DAY_MS // 2
    period = Window(noon, 3 * DAY_MS)
    assert left(period, [Window(0, noon + 1), Window(2 * DAY_MS - 5, 2 * DAY_MS + 5)]) == [
        Window(noon + 1, DAY_MS),
        Window(DAY_MS, 2 * DAY_MS - 5),
        Window(2 * DAY_MS + 5, 3 * DAY_MS),
    ]
    assert left(period, [period]) == []
