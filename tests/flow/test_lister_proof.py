"""What proves the end of a window: not a short page, not an empty one, but an answer no filter played a part in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wxrec_async.flow.task_lister import Lister
from wxrec_async.model import Task, TaskPage, Window

pytestmark = pytest.mark.anyio

START = 1_767_225_600_000
WINDOW = Window(START, START + 3_600_000)


@dataclass
class Server:
    """``GET /v1/tasks`` as the client asks it: a millisecond more on either side, cut to ``cap`` rows."""

    tasks: list[Task]
    cap: int = 1000
    filters_first: bool = True
    strict: bool = False
    readable: bool = True
    calls: int = 0

    async def tasks_page(
        self, window: Window, *, from_ms: int, next_link: str | None = None, every_channel: bool = False
    ) -> TaskPage:
        assert next_link is None
        self.calls += 1
        begin, end = from_ms - 1 + self.strict, window.to_ms + 1 - self.strict
        rows = sorted(
            (task for task in self.tasks if begin <= (task.created_ms or 0) <= end),
            key=lambda task: (task.created_ms or 0, task.id),
        )
        if self.filters_first:
            rows = [task for task in rows if every_channel or task.channel_type == "telephony"][: self.cap]
        else:
            rows = [task for task in rows[: self.cap] if every_channel or task.channel_type == "telephony"]
        shown = rows if self.readable else [Task(task.id, task.channel_type) for task in rows]
        return TaskPage(tuple(shown), len(shown))


async def listed(server: Server, page_size: int = 1000, *, sure: bool = True) -> tuple[list[str], str | None]:
    """Read the window; return the ids handed over, and why the end was not reached."""
    found: list[str] = []

    async def take_in(_part: Window, _page: TaskPage, new: object) -> None:
        assert isinstance(new, list)
        found.extend(task.id for task in new)

    trouble = await Lister(server, page_size, ("telephony",), sure=sure).read(WINDOW, take_in)
    return found, trouble


def contacts(kind: str, offsets: range | list[int]) -> list[Task]:
    return [Task(f"{kind}{number}", kind, created_ms=START + at) for number, at in enumerate(offsets)]


async def test_calls_behind_a_hundred_chats_are_found() -> None:
    """The server cuts a page of 100 contacts first and filters afterwards, so pages come back empty in the middle."""
    chats = contacts("chat", range(100_000, 400_000, 1000))
    calls = contacts("telephony", [*range(0, 30_000, 1000), *range(1_000_000, 1_030_000, 1000)])
    found, trouble = await listed(Server(calls + chats, cap=100, filters_first=False))
    assert (len(found), len(set(found)), trouble) == (60, 60, None)


@pytest.mark.parametrize(
    ("calls", "chats_after", "asked"), [(0, 0, 2), (5, 0, 2), (999, 0, 2), (1500, 0, 3), (5, 20, 3), (0, 20, 3)]
)
async def test_the_proof_costs_little(calls: int, chats_after: int, asked: int) -> None:
    """Nothing where there are calls only, for that question was asked before, too; else one call more."""
    server = Server(
        contacts("telephony", range(0, calls * 1000, 1000))
        + contacts("chat", range(2_000_000, 2_000_000 + chats_after * 1000, 1000))
    )
    found, trouble = await listed(server)
    assert (len(found), trouble, server.calls) == (calls, None, asked)


async def test_an_estimate_needs_no_proof() -> None:
    """Contacts that are only counted are worth no further call."""
    server = Server([])
    await listed(server, sure=False)
    assert server.calls == 1


@pytest.mark.parametrize("cap", [40, 1000])
async def test_times_that_cannot_be_read_leave_the_window_incomplete(cap: int) -> None:
    """In seconds, say: whatever a page holds, nobody knows what lies behind it."""
    server = Server(contacts("telephony", range(0, 130_000, 1000)), cap=cap, readable=False)
    found, trouble = await listed(server)
    assert found
    assert trouble is not None


class Ends:
    """A server that shows nothing any more after its first page."""

    def __init__(self, first: list[Task]) -> None:
        self._pages = [TaskPage(tuple(first), len(first))]

    async def tasks_page(
        self, window: Window, *, from_ms: int, next_link: str | None = None, every_channel: bool = False
    ) -> TaskPage:
        return self._pages.pop() if self._pages else TaskPage((), 0)


async def test_an_empty_page_that_should_show_a_known_task_is_no_end() -> None:
    """It was asked from before that task."""

    async def take_in(_part: Window, _page: TaskPage, _new: object) -> None: ...

    trouble = await Lister(Ends(contacts("telephony", [1000, 2000])), 1000, ("telephony",)).read(WINDOW, take_in)
    assert trouble is not None
    assert "does not show" in trouble


OFFSETS = st.lists(st.tuples(st.integers(-2, 60), st.sampled_from(["telephony", "telephony", "chat"])), max_size=40)


@settings(max_examples=300)
@given(OFFSETS, st.integers(2, 8), st.booleans(), st.booleans())
async def test_every_server_is_read_to_its_end(
    pairs: list[tuple[int, str]], cap: int, strict: bool, filters_first: bool
) -> None:
    """Bounds read either way, filtered before or after the limit: each call once, or its loss is told."""
    at = {offset * 60_000 for offset, _ in pairs}
    assume(all(sum(offset * 60_000 == each for offset, _ in pairs) * 2 < cap for each in at))
    rows = [Task(f"t{number}", kind, created_ms=START + offset * 60_000) for number, (offset, kind) in enumerate(pairs)]
    found, trouble = await listed(Server(rows, cap, filters_first, strict), page_size=1000)
    wanted = {
        row.id
        for row in rows
        if row.channel_type == "telephony" and WINDOW.from_ms <= (row.created_ms or 0) < WINDOW.to_ms
    }
    assert (sorted(found), trouble) == (sorted(wanted), None)
