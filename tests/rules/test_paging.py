"""Paging without a cursor, against a server that may do anything but lie about order."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wxrec_async.model import Task, TaskPage, Window
from wxrec_async.rules.paging import MAX_EMPTY_LINKED_PAGES, Pager

START = 1_767_225_600_000


@dataclass
class Server:
    """Lists what it has from ``from_ms`` on, sorted; ``cap`` rows at most, whatever was asked for."""

    rows: list[Task]
    cap: int
    to_inclusive: bool = False
    hidden: frozenset[str] = frozenset()
    late: list[Task] = field(default_factory=list)
    pages: int = 0

    def page(self, window: Window, from_ms: int) -> TaskPage:
        end = window.to_ms + self.to_inclusive
        found = sorted((row for row in self.rows if from_ms <= (row.created_ms or 0) < end), key=_order)
        self.pages += 1
        if self.late:
            self.rows.append(self.late.pop())
        shown = [Task(row.id) if row.id in self.hidden else row for row in found[: self.cap]]
        return TaskPage(tuple(shown), len(shown))


def _order(task: Task) -> tuple[int, str]:
    return task.created_ms or 0, task.id


@dataclass
class Listing:
    found: list[str]
    troubles: list[str]
    disordered: bool

    @property
    def told(self) -> bool:
        return bool(self.troubles) or self.disordered


def listing(server: Server, window: Window, page_size: int, most: int) -> Listing:
    """List the window to its end, as `task_lister` does."""
    pager, found, troubles = Pager(window, page_size), list[str](), list[str]()
    while True:
        assert server.pages < most, "paging does not end"
        step = pager.take(server.page(window, pager.from_ms))
        found += [task.id for task in step.new]
        if step.trouble:
            troubles.append(step.trouble)
        if step.done:
            return Listing(found, troubles, pager.disordered)
        assert step.next_from_ms == pager.from_ms


def tasks(offsets: list[int]) -> list[Task]:
    return [Task(f"t{number}", created_ms=START + offset) for number, offset in enumerate(offsets)]


WINDOW = Window(START, START + 40)
crowds = st.lists(st.tuples(st.integers(-3, 45), st.sampled_from([1, 1, 1, 2, 3, 9])), max_size=14).map(
    lambda pairs: [offset for offset, count in pairs for _ in range(count)]
)


def inside(rows: list[Task]) -> set[str]:
    return {row.id for row in rows if WINDOW.from_ms <= (row.created_ms or 0) < WINDOW.to_ms}


def largest_crowd(rows: list[Task]) -> int:
    times = [row.created_ms for row in rows]
    return max((times.count(time) for time in times), default=0)


@pytest.mark.fault("W16", "W19", "W20")
@settings(max_examples=400)
@given(crowds, st.integers(1, 8), st.integers(0, 8), st.booleans())
def test_every_task_is_found_or_its_loss_is_told(offsets: list[int], cap: int, beyond: int, to_inclusive: bool) -> None:
    """Ties, caps below what was asked for, a server that includes ``to``: found once each, or told; and it ends."""
    rows = tasks(offsets)
    page_size = cap + beyond
    # The one thing that nobody can know: a first page, of one millisecond only, cut below what was asked for.
    only = {row.created_ms for row in rows if row.id in inside(rows)}
    assume(not (beyond and (len(only) == 1 or cap == 1)))
    result = listing(Server(rows, cap, to_inclusive), WINDOW, page_size, most=4 * len(rows) + 10)
    assert len(result.found) == len(set(result.found))
    assert set(result.found) <= inside(rows)
    assert set(result.found) == inside(rows) or result.told


@pytest.mark.fault("W20")
@settings(max_examples=300)
@given(crowds, st.integers(2, 8), st.integers(0, 8), st.booleans())
def test_nothing_is_told_that_is_not_so(offsets: list[int], cap: int, beyond: int, to_inclusive: bool) -> None:
    """As long as a page holds more than any one millisecond has: everything is found, and there is nothing to tell."""
    rows = tasks(offsets)
    inner = [row for row in rows if row.id in inside(rows)]
    assume(largest_crowd(inner) < cap)
    result = listing(Server(rows, cap, to_inclusive), WINDOW, cap + beyond, most=4 * len(rows) + 10)
    assert set(result.found) == inside(rows)
    assert not result.told


@pytest.mark.fault("W21")
@settings(max_examples=200)
@given(crowds, crowds, st.integers(2, 8), st.randoms(use_true_random=False))
def test_rows_that_appear_while_paging_hide_no_others(
    offsets: list[int], later: list[int], cap: int, random: object
) -> None:
    """Whatever turns up meanwhile, and wherever: those that were there are found or their loss is told."""
    rows = tasks(offsets)
    late = [Task(f"late{number}", created_ms=START + offset) for number, offset in enumerate(later)]
    result = listing(Server(list(rows), cap, late=late), WINDOW, cap, most=4 * (len(rows) + len(late)) + 10)
    assert inside(rows) <= set(result.found) or result.told


@pytest.mark.fault("W13", "W20")
@settings(max_examples=300)
@given(crowds, st.integers(1, 8), st.sets(st.integers(0, 60)))
def test_rows_without_a_creation_time_hide_no_others(offsets: list[int], cap: int, hidden: set[int]) -> None:
    """A row that does not say when it was made is taken all the same, and where paging cannot go on it is told."""
    rows = tasks(offsets)
    server = Server(rows, cap, hidden=frozenset(f"t{number}" for number in hidden))
    result = listing(server, WINDOW, cap, most=4 * len(rows) + 10)
    assert inside(rows) <= set(result.found) or result.told


def test_the_asked_for_page_may_be_larger_than_the_server_gives() -> None:
    """1,000 asked for, 100 given: the short page is not the end."""
    rows = tasks(list(range(35)))
    result = listing(Server(rows, 10), WINDOW, 1000, most=50)
    assert len(result.found) == 35
    assert not result.told


@pytest.mark.fault("W19")
def test_a_millisecond_with_more_tasks_than_a_page_is_stepped_over_and_told() -> None:
    """1,001 tasks in one millisecond: the 1,001st cannot be reached, and that is said; those behind it are found."""
    rows = tasks([3] * 1001 + [5, 39])
    result = listing(Server(rows, 1000), WINDOW, 1000, most=10)
    assert len(result.found) == 1002
    assert len(inside(rows) - set(result.found)) == 1
    assert [trouble for trouble in result.troubles if "2026-01-01T00:00:00.003Z" in trouble]


@pytest.mark.fault("W19", "W20")
@pytest.mark.parametrize("offsets", [[3] * 150, [1, 2, *[3] * 150], [*[3] * 150, 5]])
def test_a_crowd_that_a_smaller_page_than_asked_for_cuts_is_told(offsets: list[int]) -> None:
    """The server gives 100 where 1,000 were asked for, and 150 tasks share a millisecond: 50 of them are told of."""
    rows = tasks(offsets)
    result = listing(Server(rows, 100), WINDOW, 1000, most=20)
    assert len(inside(rows)) > len(set(result.found))
    assert result.troubles


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_a_few_tasks_that_share_the_only_millisecond_are_nothing_to_tell(count: int) -> None:
    """Ties are ordinary; an alarm for each would make every window incomplete."""
    result = listing(Server(tasks([3] * count), 1000), WINDOW, 1000, most=5)
    assert (len(result.found), result.told) == (count, False)


@pytest.mark.fault("W20")
@pytest.mark.parametrize("times", [[5, 3], [3, 9, 4], [-60_000, 2]])
def test_a_page_out_of_order_is_noticed(times: list[int]) -> None:
    """Paging by time may have skipped some, so the lister halves the window."""
    pager = Pager(WINDOW, 10)
    pager.take(TaskPage(tuple(tasks(times)), len(times)))
    assert pager.disordered


def test_what_is_outside_the_window_is_left_to_its_neighbour() -> None:
    """A server that includes ``to`` must not give one task to two windows."""
    pager = Pager(WINDOW, 10)
    step = pager.take(TaskPage(tuple(tasks([0, 39, 40])), 3))
    assert [task.id for task in step.new] == ["t0", "t1"]


@pytest.mark.fault("W18", "X19")
def test_an_empty_page_with_a_next_link_is_not_the_end() -> None:
    """The cursor moves, so there may be more; but not for ever."""
    pager = Pager(WINDOW, 10)
    for number in range(MAX_EMPTY_LINKED_PAGES):
        step = pager.take(TaskPage((), 0, next_link=f"https://api.test/v1/tasks?cursor={number}"))
        assert step.next_link is not None
        assert step.trouble is None
    step = pager.take(TaskPage((), 0, next_link="https://api.test/v1/tasks?cursor=last"))
    assert step.done
    assert step.trouble is not None
    assert "stuck" in step.trouble


@pytest.mark.fault("W19")
def test_a_next_link_that_repeats_is_told() -> None:
    """A loop is not followed, and not taken for the end."""
    pager = Pager(WINDOW, 10)
    first = pager.take(TaskPage(tuple(tasks([1])), 1, next_link="https://api.test/a"))
    again = pager.take(TaskPage((Task("x", created_ms=START + 2),), 1, next_link="https://api.test/a"))
    assert first.next_link == "https://api.test/a"
    assert again.done
    assert again.trouble is not None
    assert [task.id for task in again.new] == ["x"]


def test_after_the_last_link_the_window_is_still_read_to_its_end() -> None:
    """The end of the links is not proof of the end: paging by time goes on from there."""
    pager = Pager(WINDOW, 2)
    pager.take(TaskPage(tuple(tasks([1, 2])), 2, next_link="https://api.test/a"))
    step = pager.take(TaskPage((Task("x", created_ms=START + 5),), 1))
    assert step.next_from_ms == START + 4
    assert pager.take(TaskPage((Task("x", created_ms=START + 5),), 1)).done


@pytest.mark.fault("W20")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_page_without_any_creation_time_is_told(count: int) -> None:
    """However many rows it has, a server may have cut it there: there is no way on, and that is not passed over."""
    found = tuple(Task(name) for name in "abc"[:count])
    step = Pager(WINDOW, 3).take(TaskPage(found, count))
    assert (step.done, step.new, step.trouble is None) == (True, found, False)


def test_a_page_without_the_row_it_was_asked_from_is_told() -> None:
    """Empty or not: it begins before a task that is known, and must show it again."""
    for page in (TaskPage((), 0), TaskPage((Task("other", created_ms=START + 9),), 1)):
        pager = Pager(WINDOW, 10)
        pager.take(TaskPage(tuple(tasks([1, 5])), 2))
        step = pager.take(page)
        assert step.trouble is not None
        assert "does not show the task" in step.trouble


def test_an_answer_that_says_that_more_follows_is_no_end() -> None:
    """Where paging by time shows nothing more, the loss is told."""
    pager = Pager(WINDOW, 10)
    assert pager.take(TaskPage(tuple(tasks([1])), 1, more=True)).trouble is None
    assert not pager.take(TaskPage(tuple(tasks([1])), 1, more=True)).done
    step = pager.take(TaskPage((), 0, more=True))
    assert step.done
    assert step.trouble is not None


@settings(max_examples=400)
@given(crowds, st.integers(1, 8), st.integers(0, 8), st.booleans(), st.booleans())
def test_bounds_may_be_read_either_way(
    offsets: list[int], cap: int, beyond: int, strict_from: bool, strict_to: bool
) -> None:
    """Asked for a millisecond more on either side, strict or not: found once each or told; and quiet where all fits."""
    rows = tasks(offsets)
    only = {row.created_ms for row in rows if row.id in inside(rows)}
    assume(not (beyond and (len(only) == 1 or cap == 1)))

    class Bounded(Server):
        def page(self, window: Window, from_ms: int) -> TaskPage:
            begin, end = from_ms - 1 + strict_from, window.to_ms + 1 - strict_to
            self.pages += 1
            found = sorted((row for row in self.rows if begin <= (row.created_ms or 0) <= end), key=_order)
            return TaskPage(tuple(found[: self.cap]), len(found[: self.cap]))

    result = listing(Bounded(rows, cap), WINDOW, cap + beyond, most=6 * len(rows) + 20)
    assert len(result.found) == len(set(result.found))
    assert set(result.found) <= inside(rows)
    assert set(result.found) == inside(rows) or result.told
    if largest_crowd(rows) * 2 < cap:
        assert not result.told


@pytest.mark.fault("W21")
def test_a_tie_that_appears_while_paging_is_nothing_to_tell() -> None:
    """A second task in the millisecond of the first, made between two pages: no page was cut for it."""
    server = Server(tasks([3]), 1000, late=[Task("late", created_ms=START + 3)])
    result = listing(server, WINDOW, 1000, most=5)
    assert (sorted(result.found), result.told) == (["late", "t0"], False)


def test_a_window_of_nothing_is_read_with_one_page() -> None:
    """Most windows of a quiet night cost one call."""
    server = Server([], 10)
    assert listing(server, WINDOW, 10, most=1) == Listing([], [], False)


@pytest.mark.fault("R04")
def test_a_window_of_many_tasks_takes_no_more_memory_than_one_of_few() -> None:
    """A busy day has a hundred thousand calls; their ids are not kept until it has been read."""
    pager, pages = Pager(Window(START, START + 86_400_000), 1000), 60
    tracemalloc.start()
    try:
        for number in range(pages):
            rows = tuple(
                Task(f"{number:08}-{n:028}", created_ms=START + (number * 1000 + n) * 500) for n in range(1000)
            )
            assert len(pager.take(TaskPage(rows, 1000)).new) == 1000
            del rows
            if number == pages // 10:
                before = tracemalloc.get_traced_memory()[0]
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 64 << 10


@pytest.mark.fault("W20")
def test_a_server_that_begins_anew_on_every_page_is_noticed_and_left() -> None:
    """It ignores ``from`` now and then, so that forgotten ids come again: told, each at most once more, and it ends."""
    server, told = Server(tasks(list(range(0, 40_000, 200))), 20), 0
    window = Window(START, START + 40_000)
    pager, found = Pager(window, 20), list[str]()
    while True:
        from_ms = pager.from_ms if server.pages % 3 else START
        step = pager.take(server.page(window, from_ms))
        found += [task.id for task in step.new]
        told += step.trouble is not None
        assert server.pages < 100
        if step.done:
            break
    assert pager.disordered
    assert told
    assert max(map(found.count, set(found))) <= 2


@pytest.mark.fault("W19", "W20")
def test_a_server_that_rounds_from_down_into_a_crowd_is_stepped_over_and_told() -> None:
    """More tasks in one second than a page holds, and every page begins with that second: told, left, and gone on."""
    rows = tasks([*range(0, 1000, 20), 3_000, 9_000])
    window, found, troubles, pages = Window(START, START + 10_000), list[str](), list[str](), 0
    pager = Pager(window, 30)
    while True:
        from_ms = START + (pager.from_ms - START) // 1000 * 1000
        at = [row for row in rows if from_ms <= (row.created_ms or 0) < window.to_ms][:30]
        step, pages = pager.take(TaskPage(tuple(at), len(at))), pages + 1
        found += [task.id for task in step.new]
        troubles += [step.trouble] if step.trouble else []
        assert pages < 20
        if step.done:
            break
    assert {"t50", "t51"} <= set(found)
    assert len(found) == 32
    assert troubles


# What the first release began


def test_a_list_that_the_first_release_began_ends_where_it_ended() -> None:
    """Today a page of one call proves no end; then it did, and the next step in the history is another one."""
    rows = [Task("only", created_ms=START + 5)]
    asked = {}
    for first in (True, False):
        pager, server = Pager(WINDOW, 10, as_first_released=first), Server(rows, 10)
        while not pager.take(server.page(WINDOW, pager.from_ms)).done:
            assert server.pages < 9
        asked[first] = server.pages
    assert asked == {True: 2, False: 3}


def test_a_page_of_older_rows_is_stepped_over_as_the_first_release_did() -> None:
    """A server that rounds ``from`` down to the row before it: today that row was asked for, then it was not."""
    rows = tuple(Task(name, created_ms=START + 3) for name in "ab")
    steps = {}
    for first in (True, False):
        pager = Pager(Window(START, START + 10_000), 2, as_first_released=first)
        pager.take(TaskPage(rows, 2))
        pager.take(TaskPage(rows, 2))
        steps[first] = pager.take(TaskPage(rows, 2))
    assert "older tasks only" in (steps[True].trouble or "")
    assert steps[False].next_from_ms == START + 5
