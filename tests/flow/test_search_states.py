"""How Search was had: what a certificate says of it rests on these words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wxrec_async.errors import HTTPStatusError
from wxrec_async.flow.search_lister import SearchLister, SearchReader
from wxrec_async.model import DAY_MS, SearchPage, SearchRow, SearchState, Task, TaskPage, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp

pytestmark = pytest.mark.anyio

WINDOW = Window(1_767_225_600_000, 1_767_225_600_000 + DAY_MS)


class Answers:
    """Gives one answer after the other, the last one for ever."""

    def __init__(self, *answers: SearchPage | str) -> None:
        self._answers = list(answers)

    async def search_page(self, _window: Window, _cursor: str = "") -> SearchPage:
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(found, str):
            raise OperationFailed(GiveUp(found), HTTPStatusError(404))
        return found


async def ignored(_witnesses: Sequence[SearchRow]) -> None: ...


EMPTY = SearchPage((), 0)
NOT_WHOLE = SearchPage((), 0, trouble="Search answered with an error beside its rows: x")


@pytest.mark.parametrize(
    ("answers", "state", "told"),
    [
        ((EMPTY,), SearchState.PRESENT, False),
        ((NOT_WHOLE,), SearchState.PARTIAL, True),
        (("search_absent",), SearchState.ABSENT, False),
        (("search_refused",), SearchState.REFUSED, False),
        (("retries_exhausted",), SearchState.PARTIAL, True),
        ((EMPTY, "search_absent"), SearchState.PARTIAL, True),
        ((EMPTY, "search_refused"), SearchState.PARTIAL, True),
    ],
)
async def test_each_way_has_its_word(answers: tuple[SearchPage | str, ...], state: SearchState, told: bool) -> None:
    """Absent and refused by the first question only: later it is a list that was not read to its end."""
    reader = SearchReader(Answers(*answers))
    assert reader.state is SearchState.NOT_ASKED
    trouble = None
    for _ in answers:
        trouble = await reader.read(WINDOW, ignored)
    assert (reader.state, trouble is not None) == (state, told)
    assert bool(reader.absent) == (state in (SearchState.ABSENT, SearchState.REFUSED))


class Taken:
    """What a lister handed over."""

    def __init__(self) -> None:
        self.pages: list[tuple[int, list[str]]] = []

    async def __call__(self, window: Window, page: TaskPage, new: Sequence[Task]) -> None:
        assert window == WINDOW
        self.pages.append((page.rows, [task.id for task in new]))


def rows(*named: tuple[str, str, int]) -> tuple[SearchRow, ...]:
    return tuple(SearchRow(Task(name, kind, created_ms=WINDOW.from_ms + at)) for name, kind, at in named)


async def test_search_lists_as_the_other_list_does() -> None:
    """Every page with its rows, of which only those of the channels that were asked for are new."""
    taken = Taken()
    page = SearchPage(rows(("a", "telephony", 1), ("b", "email", 2), ("c", "telephony", 3)), 3)
    assert await SearchLister(Answers(page), ("telephony",)).read(WINDOW, taken) is None
    assert taken.pages == [(3, ["a", "c"])]


@pytest.mark.parametrize("answer", ["search_absent", "search_refused", "retries_exhausted", NOT_WHOLE])
async def test_a_window_that_search_does_not_list_is_at_no_end(answer: SearchPage | str) -> None:
    """Nothing else lists it, so that a Search that is not there is no day without calls, the first time or later."""
    lister = SearchLister(Answers(answer), ("telephony",))
    assert all([await lister.read(WINDOW, Taken()) for _ in range(2)])


class Shuffled:
    """Serves two rows a page, and sorts anew behind each first one; from ``heals`` on it does so no more."""

    def __init__(self, count: int, heals: int) -> None:
        self.rows = rows(*((f"t{number}", "telephony", number * 1000) for number in range(count)))
        self.heals, self.asked = heals, 0

    async def search_page(self, window: Window, cursor: str = "") -> SearchPage:
        self.asked += 1
        found = [each for each in self.rows if window.from_ms <= (each.task.created_ms or 0) < window.to_ms]
        at = int(cursor or 0)
        if at and self.asked < self.heals:
            found.reverse()
        page = tuple(found[at : at + 2])
        return SearchPage(page, len(page), str(at + 2) if at + 2 < len(found) else "")


async def test_a_change_of_order_is_read_again_in_halves_and_said_when_it_stays() -> None:
    """No row is lost in silence: either all of them came, or the window is not at its end."""
    for heals, whole in ((3, True), (1_000_000, False)):
        taken = Taken()
        trouble = await SearchLister(Shuffled(40, heals), ("telephony",)).read(WINDOW, taken)
        assert (trouble is None) == whole, trouble
        seen = {name for _, names in taken.pages for name in names}
        assert not whole or len(seen) == 40
        assert whole or "order changed" in str(trouble)
