"""A day is called by its worst, and certified only while nothing has changed since."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules.coverage import DayCoverage, DayState, day_of, day_state, unlisted

DAY = Window(20_000 * DAY_MS, 20_001 * DAY_MS)
AFTER = DAY.to_ms
CLEAN = DayCoverage(DAY)
CERTIFIED = replace(CLEAN, changed_ms=AFTER, certified_ms=AFTER + 5)

small = st.integers(0, 3)
times = st.none() | st.integers(DAY.from_ms, DAY.to_ms + 10)
facts = st.builds(
    DayCoverage,
    span=st.sampled_from([DAY, Window(DAY.from_ms + 1, DAY.to_ms)]),
    failed=small,
    owed=small,
    unfinished=small,
    unlisted_ms=st.sampled_from([0, 1, DAY_MS]),
    changed_ms=times,
    certified_ms=times,
)
nows = st.integers(DAY.from_ms, DAY.to_ms + 10)


@pytest.mark.parametrize(
    ("day", "now_ms", "state"),
    [
        (CLEAN, AFTER, DayState.COMPLETE),
        (CLEAN, AFTER - 1, DayState.NOT_YET),
        (replace(CLEAN, unlisted_ms=1), AFTER, DayState.NOT_LISTED),
        (replace(CLEAN, unfinished=1, unlisted_ms=1), AFTER, DayState.NOT_YET),
        (replace(CLEAN, owed=1, unfinished=1), AFTER, DayState.OWED),
        (replace(CLEAN, failed=1, owed=1), AFTER, DayState.FAILED),
        (replace(CERTIFIED, failed=1), AFTER, DayState.FAILED),
        (CERTIFIED, AFTER, DayState.CERTIFIED),
        (replace(CERTIFIED, unlisted_ms=1), AFTER, DayState.CERTIFIED),
        (replace(CERTIFIED, changed_ms=None), AFTER, DayState.CERTIFIED),
        (replace(CERTIFIED, changed_ms=AFTER + 5), AFTER, DayState.CERTIFIED),
        (replace(CERTIFIED, changed_ms=AFTER + 6), AFTER, DayState.COMPLETE),
        (replace(CERTIFIED, changed_ms=AFTER + 6, unlisted_ms=1), AFTER, DayState.NOT_LISTED),
        (replace(CERTIFIED, span=Window(DAY.from_ms, DAY.to_ms - 1)), AFTER, DayState.COMPLETE),
    ],
)
def test_a_day_is_called_by_its_worst(day: DayCoverage, now_ms: int, state: DayState) -> None:
    """Failed before owed before not yet before not listed; a holding certificate above complete."""
    assert day_state(day, now_ms) is state


@given(facts, nows)
def test_nothing_open_is_ever_called_closed(day: DayCoverage, now_ms: int) -> None:
    """Complete and certified mean nothing failed, owed or unfinished, on a day that is over."""
    if day_state(day, now_ms) in {DayState.COMPLETE, DayState.CERTIFIED}:
        assert day.failed == day.owed == day.unfinished == 0
        assert now_ms >= day.span.to_ms
        assert day.unlisted_ms == 0 or day.certificate_holds


@given(facts, nows)
def test_certified_means_newer_than_every_change(day: DayCoverage, now_ms: int) -> None:
    """No day with a change after its certificate, and no part of a day, is called certified."""
    if day_state(day, now_ms) is DayState.CERTIFIED:
        assert day.certified_ms is not None
        assert (day.changed_ms or 0) <= day.certified_ms
        assert day.whole


@given(facts, nows, st.sampled_from(["failed", "owed", "unfinished"]))
def test_more_trouble_never_looks_better(day: DayCoverage, now_ms: int, what: str) -> None:
    """The order of the states is the order of the enumeration: trouble moves a day towards its beginning."""
    order = [*DayState]
    worse = replace(day, **{what: getattr(day, what) + 1})
    assert order.index(day_state(worse, now_ms)) <= order.index(day_state(day, now_ms))


@given(st.lists(st.tuples(st.integers(-5, 30), st.integers(1, 9))))
def test_what_is_unlisted_is_what_no_window_covers(spans: list[tuple[int, int]]) -> None:
    """Counted millisecond by millisecond, whatever overlaps."""
    closed = [Window(start, start + length) for start, length in spans]
    covered = {ms for window in closed for ms in range(window.from_ms, window.to_ms)}
    assert unlisted(Window(0, 20), closed) == len({*range(20)} - covered)


@given(st.integers(-(1 << 60), 1 << 60))
def test_a_moment_belongs_to_the_day_it_lies_in(ms: int) -> None:
    """Before the epoch too."""
    assert day_of(ms) % DAY_MS == 0
    assert day_of(ms) <= ms < day_of(ms) + DAY_MS
