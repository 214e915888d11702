"""The pager against a list that changes under it: what is there throughout is returned, or the loss is told."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.stateful import walks
from wxrec_async.model import Task, TaskPage, Window
from wxrec_async.rules.paging import Pager

START = 1_767_225_600_000
LENGTH = 5_000  # wide enough for ids to be forgotten on the way
WINDOW = Window(START, START + LENGTH)
OFFSETS = st.integers(-3, LENGTH + 3) | st.integers(0, 6) | st.integers(2_000, 2_006)


class PagerMachine(RuleBasedStateMachine):
    """``lasting`` are the tasks inside the window that were there before its first page and are there still."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, int] = {}
        self.lasting: set[str] = set()
        self.found: list[str] = []
        self.told = self.done = False
        self.pages = self.named = 0
        self.most = 0

    @initialize(size=st.integers(2, 8), offsets=st.lists(OFFSETS, max_size=40), ties=st.integers(0, 12))
    def begin(self, size: int, offsets: list[int], ties: int) -> None:
        self.size = size
        self.pager = Pager(WINDOW, size)
        for offset in offsets + offsets[:1] * ties:
            self._add(offset)
        self.lasting = {name for name, at in self.rows.items() if 0 <= at < LENGTH}

    def _add(self, offset: int) -> None:
        self.rows[f"t{self.named}"] = offset
        self.named += 1
        self.most += 4

    @rule(offset=OFFSETS)
    def appear(self, offset: int) -> None:
        self._add(offset)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.rows)))
        del self.rows[name]
        self.lasting.discard(name)

    @precondition(lambda self: not self.done)
    @rule(from_start=st.just(False) | st.booleans(), backwards=st.just(False) | st.booleans())
    def next_page(self, from_start: bool, backwards: bool) -> None:
        """Answer as the server does; now and then it ignores ``from``, or turns a page round."""
        since = START if from_start else self.pager.from_ms
        rows = sorted((START + at, name) for name, at in self.rows.items() if START + at >= since)
        page = [Task(name, created_ms=at) for at, name in rows[: self.size]]
        if backwards:
            page.reverse()
        before = self.pager.from_ms
        step = self.pager.take(TaskPage(tuple(page), len(page)))
        self.pages += 1
        self.found += [task.id for task in step.new]
        self.told = self.told or step.trouble is not None or self.pager.disordered
        self.done = step.done
        assert self.pager.from_ms >= before
        assert step.done or step.new or self.pager.from_ms > before

    @precondition(lambda self: hasattr(self, "size") and not self.done)
    @rule()
    def read_on(self) -> None:
        """Read to the end while nothing changes: it comes."""
        while not self.done:
            self.next_page(from_start=False, backwards=False)
            assert self.pages <= 100 + self.most + LENGTH // 1000

    @invariant()
    def nothing_is_lost_in_silence(self) -> None:
        if self.done:
            assert self.told or self.lasting <= set(self.found)

    @invariant()
    def nothing_comes_twice_from_a_list_in_order(self) -> None:
        assert self.told or len(self.found) == len(set(self.found))

    @invariant()
    def little_is_remembered(self) -> None:
        if hasattr(self, "pager") and not self.told:
            at = self.pager.from_ms - START - 1000
            assert len(self.pager._seen) <= sum(1 for offset in self.rows.values() if offset >= at) + self.named

    def teardown(self) -> None:
        if hasattr(self, "size"):
            self.read_on()
            self.nothing_is_lost_in_silence()


TestPagerMachine = PagerMachine.TestCase
TestPagerMachine.settings = walks(20)
