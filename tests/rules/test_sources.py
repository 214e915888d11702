"""Each moment is asked of exactly one list, however far each of them reaches."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, Period, Window
from wxrec_async.rules.search_paging import MAX_BACK_MS, searchable
from wxrec_async.rules.sources import MAX_QUERY_MS, SLACK_MS, Reach, Source, cut_by_source, parts_of, years_back
from wxrec_async.rules.windows import LOOKBACK_MARGIN_MS, clamp, left

NOW = 1_767_225_600_000
BORDER = NOW - 365 * DAY_MS + LOOKBACK_MARGIN_MS
REACH = Reach()


def test_the_words_are_those_of_the_ledger() -> None:
    """Its columns and the JSON hold them."""
    assert [str(each) for each in Source] == ["tasks", "search", "file"]


@pytest.mark.parametrize(
    ("window", "found"),
    [
        (Window(BORDER, NOW), [(Source.TASKS, Window(BORDER, NOW))]),
        (Window(BORDER - SLACK_MS, BORDER - 1), [(Source.TASKS, Window(BORDER - SLACK_MS, BORDER - 1))]),
        (Window(BORDER - DAY_MS, BORDER), [(Source.SEARCH, Window(BORDER - DAY_MS, BORDER))]),
        (
            Window(BORDER - SLACK_MS - 1, BORDER + 1),
            [(Source.SEARCH, Window(BORDER - SLACK_MS - 1, BORDER)), (Source.TASKS, Window(BORDER, BORDER + 1))],
        ),
    ],
)
def test_a_window_is_cut_at_the_border(window: Window, found: list[tuple[Source, Window]]) -> None:
    """The moment at the border is the first of the newer list."""
    assert cut_by_source(window, REACH, NOW) == found


def test_without_search_the_first_list_is_asked_for_everything() -> None:
    """What it does not reach is clamped away before."""
    old = Window(0, 9)
    assert cut_by_source(old, Reach(search=False), NOW) == [(Source.TASKS, old)]
    assert (Reach(search=False).days, Reach().days, Reach(2000).days) == (365, 1095, 2000)


@given(
    st.integers(1, 2000),
    st.integers(0, 1500 * DAY_MS),
    st.integers(1, 1500 * DAY_MS),
    st.integers(0, 3_000 * DAY_MS),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 1000 * DAY_MS), st.integers(1, 40 * DAY_MS)), max_size=4),
)
def test_both_lists_together_cover_a_period_exactly_once(
    lookback: int, ago: int, length: int, now: int, search: bool, closed: list[tuple[int, int]]
) -> None:
    """What is closed and what is asked of either list follow on each other without a gap and without an overlap."""
    now_ms, reach = NOW + now, Reach(lookback, search)
    period = Period(now_ms - ago - length, now_ms - ago)
    done = [Window(period.from_ms + start, period.from_ms + start + size) for start, size in closed]
    asked = list(parts_of(left(period, done), reach, now_ms))
    # No window belongs to two lists, and none that the first list would refuse is asked of it.
    for source, window in asked:
        assert (source is Source.TASKS) == (not search or window.from_ms >= reach.border_ms(now_ms) - SLACK_MS)
        assert source is Source.TASKS or window.to_ms <= reach.border_ms(now_ms)
    at = period.from_ms
    spans = [window for _, window in asked]
    for start, end in sorted([(each.from_ms, each.to_ms) for each in spans] + [(e.from_ms, e.to_ms) for e in done]):
        assert start <= at or start >= period.to_ms
        at = max(at, end)
    assert at >= period.to_ms
    assert spans == sorted(spans)
    assert all(one.to_ms <= two.from_ms for one, two in itertools.pairwise(spans))
    assert sum(each.length_ms for each in spans) == sum(each.length_ms for each in left(period, done))


@given(st.integers(1, 24 * 3_600_000))
def test_a_window_is_not_cut_for_ever(pause: int) -> None:
    """However slowly its pieces are taken up, each of which moves the border: their number is that of half hours."""
    now_ms, left_of_it, asked = NOW, [Window(BORDER - DAY_MS, BORDER + DAY_MS)], []
    while left_of_it:
        (_, window), *rest = cut_by_source(left_of_it.pop(0), REACH, now_ms)
        asked.append(window)
        left_of_it[:0] = [each for _, each in rest]
        now_ms += pause
    assert sum(each.length_ms for each in asked) == 2 * DAY_MS
    assert len(asked) <= 2 + 2 * DAY_MS // SLACK_MS


@given(st.integers(1, 1200), st.integers(0, SLACK_MS - 2))
def test_what_is_left_of_a_period_can_be_asked_for_while_time_passes(days: int, later: int) -> None:
    """The edges of both lists move on while they are read."""
    period = clamp(Window(NOW - days * DAY_MS, NOW), lookback_days=REACH.days, now_ms=NOW).period
    for source, window in cut_by_source(period, REACH, NOW):
        if source is Source.SEARCH:
            assert searchable(window, NOW + later)
        else:
            assert window.from_ms - 1 > NOW + later - 365 * DAY_MS


def test_three_queries_cover_what_search_knows() -> None:
    """Newest first, each as wide as one may be with a millisecond more on either side."""
    years = list(years_back(NOW))
    assert len(years) == 3
    assert years[0].to_ms == NOW
    assert years[-1].from_ms == NOW - MAX_BACK_MS + LOOKBACK_MARGIN_MS
    assert all(newer.from_ms == older.to_ms for newer, older in itertools.pairwise(years))
    assert all(each.length_ms <= MAX_QUERY_MS == 365 * DAY_MS - 2 for each in years)
