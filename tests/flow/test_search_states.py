"""How Search was had: what a certificate says of it rests on these words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from wxrec_async.errors import HTTPStatusError
from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.model import DAY_MS, SearchPage, SearchRow, SearchState, Window
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
