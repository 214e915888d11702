"""Single steps of the pager: where exactly the next page starts, when it gives up, and what it says then."""

from __future__ import annotations

import pytest

from wxrec_async.model import Task, TaskPage, Window, iso
from wxrec_async.rules import paging
from wxrec_async.rules.paging import MAX_STUCK_PAGES, ROUNDING_MS, Pager, PageStep

START = 1_767_225_600_000
WINDOW = Window(START, START + 60_000)
CROWDED = "more tasks share the millisecond 2026-01-01T00:00:00.{:03}Z than a page holds"


def rows(*offsets: int | None, name: str = "t") -> TaskPage:
    """A page of tasks; equal offsets are told apart by a number, and the same page has the same ids each time."""
    found = [
        Task(f"{name}{offset}-{offsets[:place].count(offset)}", created_ms=None if offset is None else START + offset)
        for place, offset in enumerate(offsets)
    ]
    return TaskPage(tuple(found), len(found))


def linked(page: TaskPage, link: str) -> TaskPage:
    return TaskPage(page.tasks, page.rows, next_link=link)


def test_the_figures_are_those_that_were_thought_through() -> None:
    """How many pages lead nowhere, what no server cuts below, and how far one may round down."""
    assert (paging.MAX_EMPTY_LINKED_PAGES, paging.MAX_STUCK_PAGES) == (20, 20)
    assert (paging.SMALLEST_CAP, paging.ROUNDING_MS) == (100, 1_000)


def test_a_step_without_a_way_on_is_the_last() -> None:
    """A link or a time is a way on."""
    assert PageStep(()).done is True
    assert PageStep((), next_from_ms=0).done is False
    assert PageStep((), next_link="x").done is False
    assert PageStep(()).trouble is None


def test_the_next_page_starts_one_millisecond_before_the_newest_row() -> None:
    """But not before this one."""
    pager = Pager(WINDOW, 3)
    assert pager.from_ms == START
    assert pager.take(rows(1, 5, 9)).next_from_ms == START + 8
    assert pager.take(rows(9)).next_from_ms is None
    assert Pager(WINDOW, 3).take(rows(0)).next_from_ms == START


@pytest.mark.fault("W20")
def test_a_server_may_round_down_to_the_second_and_no_further() -> None:
    """A row that is older by more was not asked for."""
    pager = Pager(WINDOW, 3)
    pager.take(rows(5_000, 5_001))
    pager.take(rows(5_000 - ROUNDING_MS, 5_001))
    assert not pager.disordered
    pager.take(rows(5_000 - ROUNDING_MS - 1, 5_001))
    assert pager.disordered


@pytest.mark.fault("W19")
def test_a_crowded_millisecond_is_stepped_over_at_once_and_paging_goes_on() -> None:
    """It is told, and the rest of the window is read all the same."""
    pager = Pager(WINDOW, 3)
    assert pager.take(rows(3, 3, 3)).next_from_ms == START + 2
    over = pager.take(rows(3, 3, 3))
    assert (over.new, over.next_from_ms, over.trouble) == ((), START + 4, CROWDED.format(3))
    assert pager.take(rows(7)).next_from_ms == START + 6


@pytest.mark.fault("W19")
def test_a_crowd_below_the_page_asked_for_is_told_once_more_comes_after_it() -> None:
    """Two rows where ten were asked for: only what follows shows that they had been cut."""
    pager = Pager(WINDOW, 10)
    pager.take(rows(3, 3))
    quiet = pager.take(rows(3, 3))
    assert (quiet.next_from_ms, quiet.trouble) == (START + 4, None)
    loud = pager.take(rows(7, 8))
    assert (len(loud.new), loud.next_from_ms, loud.trouble) == (2, START + 7, CROWDED.format(3))
    assert pager.take(rows(8)).trouble is None


@pytest.mark.fault("W19")
def test_a_crowd_is_told_on_a_page_with_a_link_too() -> None:
    """However the server goes on."""
    pager = Pager(WINDOW, 10)
    pager.take(rows(3, 3))
    pager.take(rows(3, 3))
    step = pager.take(linked(rows(7), "https://api.test/a"))
    assert step == PageStep(rows(7).tasks, next_link="https://api.test/a", trouble=CROWDED.format(3))


@pytest.mark.fault("W19")
def test_a_crowd_at_the_end_of_the_window_belongs_to_its_neighbour() -> None:
    """A server that includes ``to`` fills its last page with what is not asked for."""
    pager = Pager(WINDOW, 2)
    pager.take(rows(59_999))
    assert pager.take(rows(59_999, 60_000)) == PageStep(())


def test_a_full_page_of_known_rows_goes_on_at_the_newest() -> None:
    """Which may have brothers behind the page's end."""
    pager = Pager(WINDOW, 3)
    pager.take(rows(1, 2, 5))
    pager.take(rows(5, 5, 6, name="u"))
    step = pager.take(TaskPage((*rows(5, 5, 6, name="u").tasks,), 3))
    assert step.next_from_ms == START + 6
    assert step.trouble is None


@pytest.mark.fault("W20")
def test_a_page_without_creation_times_is_told_in_a_sentence() -> None:
    """Whatever its size; an empty one has none to miss."""
    words = "tasks whose creation times cannot be read"
    assert Pager(WINDOW, 2).take(rows(None, None)).trouble == words
    assert Pager(WINDOW, 3).take(rows(None, None)).trouble == words
    assert Pager(WINDOW, 3).take(rows()).trouble is None


def test_no_page_is_called_full_below_a_hundred_rows_before_it_was_cut() -> None:
    """A thousand were asked for; ninety-nine of one millisecond prove nothing, a hundred are the documented default."""
    for count, told in ((99, False), (100, True)):
        pager = Pager(WINDOW, 1000)
        pager.take(rows(*[3] * count))
        assert (pager.take(rows(*[3] * count)).trouble is not None) is told


@pytest.mark.fault("W19")
def test_a_bound_that_is_shown_is_asked_past_and_one_that_is_not_is_kept() -> None:
    """Asked from START + 4 a server shows that very millisecond, or does not: what follows it is missed neither way."""
    shown = Pager(WINDOW, 3)
    shown.take(rows(1, 4, 5))
    assert shown.take(rows(3, 4, 5)).next_from_ms == START + 4
    assert shown.take(rows(3, 4, 5)).next_from_ms == START + 5
    assert shown.take(rows(4, 5, 5)).next_from_ms == START + 5
    assert shown.take(rows(4, 5, 5)).next_from_ms == START + 6
    crowd = Pager(WINDOW, 3)
    crowd.take(rows(5, 5, 5))
    assert crowd.take(rows(5, 5, 5)).next_from_ms == START + 6
    over = crowd.take(rows(5, 5, 5))
    assert (over.next_from_ms, over.trouble) == (START + 7, CROWDED.format(5))


@pytest.mark.fault("W20")
def test_older_rows_only_are_stepped_over_second_by_second_and_then_left() -> None:
    """Each time it is told from where; after twenty steps that is the end."""
    pager = Pager(WINDOW, 2)
    pager.take(rows(5_000, 5_001))
    for number in range(MAX_STUCK_PAGES):
        at = pager.from_ms
        step = pager.take(rows(-5, -5))
        assert step.trouble == f"a page from {iso(at)} on shows older tasks only"
        assert step.next_from_ms == START + 5_000 + (number + 1) * ROUNDING_MS == pager.from_ms
    assert pager.take(rows(-5, -5)) == PageStep(
        (), trouble=f"a page from {iso(pager.from_ms)} on shows older tasks only"
    )


@pytest.mark.fault("W18", "X19")
def test_a_link_that_brings_something_new_makes_up_for_those_that_did_not() -> None:
    """Only twenty in a row are too many; then it is told, and what the page had is kept."""
    pager, number = Pager(WINDOW, 10), 0
    for _ in range(2):
        for _ in range(paging.MAX_EMPTY_LINKED_PAGES):
            number += 1
            assert pager.take(linked(rows(), f"https://api.test/{number}")).trouble is None
        number += 1
        assert pager.take(linked(rows(number), f"https://api.test/{number}")).trouble is None
    for _ in range(paging.MAX_EMPTY_LINKED_PAGES):
        number += 1
        pager.take(linked(rows(), f"https://api.test/{number}"))
    stuck = pager.take(linked(rows(), "https://api.test/last"))
    assert stuck == PageStep((), trouble="paging is stuck: the next link leads nowhere new")


def test_the_end_of_the_window_ends_the_paging() -> None:
    """There is no page that starts where the next window does."""
    pager = Pager(Window(START, START + 10), 2)
    assert pager.take(rows(9, 9)).next_from_ms == START + 8
    over = pager.take(rows(9, 9))
    assert over.next_from_ms is None
    assert over.trouble == CROWDED.format(9)


def test_a_row_that_a_rounded_page_may_show_again_is_remembered() -> None:
    """To the millisecond: it is not returned twice."""
    pager = Pager(WINDOW, 3)
    pager.take(rows(2_000 - ROUNDING_MS, 2_001))
    assert pager.from_ms == START + 2_000
    assert pager.take(rows(2_000 - ROUNDING_MS, 2_001)).new == ()


def test_a_page_shorter_than_the_largest_is_the_end() -> None:
    """One row may be all that a server gives: it is stepped over once, and nothing behind it is the end."""
    pager = Pager(WINDOW, 10)
    assert pager.take(rows(1, 2, 4, 4)).next_from_ms == START + 3
    assert pager.take(rows(4, 4)) == PageStep(())
    alone = Pager(WINDOW, 10)
    assert alone.take(rows(5)).next_from_ms == START + 4
    assert alone.take(rows(5)) == PageStep((), next_from_ms=START + 6)
    assert alone.take(rows()) == PageStep(())
