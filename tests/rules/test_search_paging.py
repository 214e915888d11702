"""Search's pages: every row of the window once at least, an end always, and no list believed that cannot be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, SearchPage, SearchRow, Task, Window
from wxrec_async.rules.search_paging import (
    KEPT,
    MAX_BACK_MS,
    MAX_EMPTY_PAGES,
    MAX_ROWS,
    REORDERED,
    CursorPager,
    searchable,
)

NOW = 1_767_225_600_000
DAY = Window(NOW - DAY_MS, NOW)


def rows(*times: int | None) -> tuple[SearchRow, ...]:
    return tuple(SearchRow(Task(f"t{number}", created_ms=time)) for number, time in enumerate(times))


NUMBERS = itertools.count()


def page(cursor: str = "", count: int = 0) -> SearchPage:
    """Return rows that no page had before."""
    found = [SearchRow(Task(f"n{next(NUMBERS)}", created_ms=DAY.from_ms)) for _ in range(count)]
    return SearchPage(tuple(found), count, cursor)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcdefgh")), max_size=60))
def test_it_ends_whatever_the_server_says(pages: list[tuple[int, str]]) -> None:
    """However cursors repeat and pages stay empty, a pager asks for a bounded number of pages."""
    pager, asked = CursorPager(DAY), 0
    while not pager.done or not asked:
        count, cursor = pages[asked % len(pages)] if pages else (0, "")
        asked += 1
        pager.take(page(cursor, count))
        assert asked <= 10


@given(st.lists(st.integers(0, 250), max_size=30))
def test_a_list_with_moving_cursors_is_read_to_its_end(sizes: list[int]) -> None:
    """All rows of an honest server come out, without a trouble, empty pages among them."""
    pager, found = CursorPager(DAY), 0
    for number, size in enumerate([*sizes, 1]):
        last = number == len(sizes)
        witnesses, trouble = pager.take(page("" if last else f"c{number}", size))
        found += len(witnesses)
        assert trouble is None or sizes[: number + 1].count(0) > MAX_EMPTY_PAGES
        if trouble:
            return
    assert pager.done
    assert found == sum(sizes) + 1


@pytest.mark.fault("W18")
def test_a_cursor_that_repeats_is_a_trouble_and_no_end() -> None:
    """The list is not believed to be whole."""
    pager = CursorPager(DAY)
    assert pager.take(page("a", 2))[1] is None
    assert "stuck" in str(pager.take(page("a", 2))[1])
    assert pager.done


@pytest.mark.fault("W18")
def test_empty_pages_are_followed_for_a_while() -> None:
    """Twenty in a row while the cursor moves, then it is stuck."""
    pager = CursorPager(DAY)
    troubles = [pager.take(page(f"c{number}"))[1] for number in range(MAX_EMPTY_PAGES + 1)]
    assert troubles[:-1] == [None] * MAX_EMPTY_PAGES
    assert "stuck" in str(troubles[-1])


def test_a_list_that_nears_the_limit_is_not_believed() -> None:
    """Whether a server says that it stops there or not, also on a last page."""
    pager = CursorPager(DAY)
    for number in range(MAX_ROWS // 250 - 1):
        assert pager.take(page(f"c{number}", 250))[1] is None
    assert "more rows" in str(pager.take(page("", 250))[1])
    assert pager.overfull


def test_rows_outside_the_window_are_left_out() -> None:
    """Half open, whatever the server makes of its bounds; a row without a time is inside."""
    found, _ = CursorPager(DAY).take(SearchPage(rows(DAY.from_ms - 1, DAY.from_ms, DAY.to_ms - 1, DAY.to_ms, None), 5))
    assert [each.task.created_ms for each in found] == [DAY.from_ms, DAY.to_ms - 1, None]


def test_a_row_nobody_can_read_is_a_trouble() -> None:
    """It is a task nobody would ever see again."""
    assert "no usable id" in str(CursorPager(DAY).take(SearchPage((), 1, unreadable=1))[1])


def served(order: list[int], size: int) -> list[SearchPage]:
    """Return the pages of contacts that are named by the moment they were created at."""
    cut = [order[at : at + size] for at in range(0, len(order), size)]
    cursors = [f"c{number}" for number in range(1, len(cut))]
    return [
        SearchPage(
            tuple(SearchRow(Task(f"at{at}", created_ms=DAY.from_ms + at // 2)) for at in page), len(page), cursor
        )
        for page, cursor in zip(cut, [*cursors, ""], strict=True)
    ]


@given(st.permutations(range(24)), st.permutations(range(24)), st.integers(1, 9), st.integers(0, 9))
def test_rows_that_a_change_of_order_hides_are_never_missed_in_silence(
    first: list[int], then: list[int], size: int, change: int
) -> None:
    """Wherever between two pages the order changes, and whatever it was: all rows came, or it is said."""
    before, after = served(sorted(first), size), served(then, size)
    pager, found, troubles = CursorPager(DAY), set(), []
    for page in [*before[:change], *after[change:]]:
        new, trouble = pager.take(page)
        found |= {each.task.id for each in new}
        troubles += [trouble] if trouble else []
    assert troubles or len(found) == 24


def test_a_server_that_never_sorts_is_believed_as_long_as_no_row_comes_twice() -> None:
    """Of what is out of order every id is remembered."""
    pages = served([5, 3, 9, 1, 7, 0], 2)
    pager = CursorPager(DAY)
    assert [pager.take(page)[1] for page in pages] == [None] * 3
    pager = CursorPager(DAY)
    assert [pager.take(page)[1] for page in served([5, 3, 9, 3], 2)] == [None, REORDERED]


def test_ids_are_forgotten_while_the_order_holds() -> None:
    """A query of 90,000 rows takes no more memory than one of a thousand; and from then on they have to be in order."""
    pager = CursorPager(DAY)
    for number in range(300):
        rows = tuple(SearchRow(Task(f"{number}-{n}", created_ms=DAY.from_ms + number)) for n in range(10))
        assert pager.take(SearchPage(rows, 10, f"c{number}"))[1] is None
        assert len(pager._ids) <= KEPT
    late = SearchRow(Task("late", created_ms=DAY.from_ms))
    assert pager.take(SearchPage((late,), 1, "c"))[1] == REORDERED


def test_search_looks_back_thirty_six_months() -> None:
    """A window that begins before is not asked for."""
    old = NOW - MAX_BACK_MS
    assert searchable(DAY, NOW)
    assert not searchable(Window(old - DAY_MS, old), NOW)
    assert not searchable(Window(old, old + DAY_MS), NOW)
