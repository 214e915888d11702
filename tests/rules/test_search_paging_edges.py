"""A pager of Search at its limits, and the words it gives up with."""

from __future__ import annotations

from wxrec_async.model import DAY_MS, SearchPage, Window
from wxrec_async.rules import search_paging
from wxrec_async.rules.search_paging import CursorPager, searchable

NOW = 1_767_225_600_000
DAY = Window(NOW - DAY_MS, NOW)


def test_the_limits_are_those_of_search() -> None:
    """Well below 100,000 rows, and 36 months back."""
    assert (search_paging.MAX_EMPTY_PAGES, search_paging.MAX_ROWS, search_paging.MAX_BACK_MS) == (
        20,
        90_000,
        1095 * DAY_MS,
    )


def test_a_pager_begins_without_a_cursor() -> None:
    """Which is the first page, not the end of an overfull list."""
    pager = CursorPager(DAY)
    assert (pager.cursor, pager.overfull, pager.done) == ("", False, True)
    pager.take(SearchPage((), 1, "a"))
    assert (pager.cursor, pager.overfull, pager.done) == ("a", False, False)


def test_rows_make_empty_pages_forgotten() -> None:
    """Twenty in a row are borne, from the first on, and twenty more after a row."""
    pager = CursorPager(DAY)
    for number in range(20):
        assert pager.take(SearchPage((), 0, f"a{number}"))[1] is None
    assert pager.take(SearchPage((), 1, "row"))[1] is None
    for number in range(20):
        assert pager.take(SearchPage((), 0, f"b{number}"))[1] is None
    assert pager.take(SearchPage((), 0, "end"))[1] == "paging is stuck: the cursor leads nowhere new"
    assert pager.cursor == ""


def test_each_trouble_has_its_words() -> None:
    """In the log, with the number of rows."""
    assert CursorPager(DAY, max_rows=2).take(SearchPage((), 2, "a"))[1] == "more rows than Search serves to one query"
    assert CursorPager(DAY).take(SearchPage((), 3, "", unreadable=2))[1] == "2 of its rows have no usable id"


def test_a_window_is_searchable_to_the_millisecond() -> None:
    """As far as Search looks back: at that very moment it is not, for the clock goes on."""
    edge = NOW - 1095 * DAY_MS
    assert not searchable(Window(edge, NOW), NOW)
    assert searchable(Window(edge + 1, NOW), NOW)
