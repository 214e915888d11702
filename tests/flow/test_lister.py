"""Windows: listed whole or named, closed only when nothing can appear in them any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from wxrec_async.errors import HTTPStatusError, RemoteError
from wxrec_async.events import PageListed, WindowIncomplete, WindowListed
from wxrec_async.model import Task, TaskPage, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp

from .bench import DAY, HOUR, NOON, YESTERDAY, Flow
from .kit import Body, wav

pytestmark = pytest.mark.anyio


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


def given_up(reason: str) -> OperationFailed:
    status = int(reason.removeprefix("http_")) if reason.startswith("http_") else 0
    return OperationFailed(GiveUp(reason), HTTPStatusError(status) if status else RemoteError())


async def test_settled_windows_are_closed_and_not_listed_again(flow: Flow) -> None:
    """Three days are three windows; each is listed, closed, and skipped by the next run."""
    flow.fill(5)
    period = Window(YESTERDAY.from_ms - 2 * DAY, YESTERDAY.to_ms)
    await flow.run(period)
    assert [event.closed for event in flow.of(WindowListed)] == [True] * 3
    assert await flow.closed(period) == [period]
    flow.webex.pages.clear()
    await flow.run(period)
    assert flow.webex.pages == []


@pytest.mark.fault("W21")
async def test_trailing_window_stays_open_where_calls_can_still_appear(flow: Flow) -> None:
    """The last half hour before now is listed again by the next run, and what appeared there is found."""
    period = Window(NOON - 2 * HOUR, NOON)
    flow.fill(3, start_ms=NOON - HOUR)
    await flow.run(period)
    assert await flow.closed(period) == [Window(period.from_ms, NOON - HOUR // 2)]
    flow.fill(1, start_ms=NOON - HOUR // 4, prefix="late")
    flow.now_ms = NOON + HOUR
    await flow.run(period)
    assert len(flow.store.objects) == 4
    assert await flow.closed(period) == [period]


@pytest.mark.fault("W21", "P4")
async def test_listing_that_waits_for_the_queue_closes_nothing_it_saw_too_early(tmp_path: Path) -> None:
    """A page read when the window was young proves nothing, though hours pass before the queue takes the rest."""
    flow = Flow(tmp_path, page_size=1000)
    period = Window(NOON - 2 * HOUR, NOON)
    flow.fill(2, start_ms=NOON - HOUR // 6)
    listed = flow.webex.on_page

    def slow(window: Window, from_ms: int) -> TaskPage | None:
        if flow.webex.pages[1:]:  # the lister came back for a second page after hours behind a full queue
            flow.now_ms = NOON + 5 * HOUR
        return listed(window, from_ms)

    flow.webex.on_page = slow
    await flow.run(period)
    # Created before what the first page held, and shown by Webex only after that page had been read.
    flow.fill(1, start_ms=NOON - HOUR // 5, prefix="late")
    await flow.run(period)
    assert "c/late0/recording.wav" in flow.store.objects


@pytest.mark.fault("W08")
@pytest.mark.parametrize("reason", ["retries_exhausted", "http_404"])
async def test_window_that_cannot_be_listed_is_named_and_the_others_are_done(flow: Flow, reason: str) -> None:
    """One bad window neither ends the run nor is passed over; the next run lists it again."""
    period = Window(YESTERDAY.from_ms - 2 * DAY, YESTERDAY.to_ms)
    bad = Window(YESTERDAY.from_ms - DAY, YESTERDAY.from_ms)
    flow.fill(3)
    flow.fill(3, start_ms=bad.from_ms, prefix="bad")

    def refuse(window: Window, from_ms: int) -> TaskPage | None:
        if window == bad:
            raise given_up(reason)
        return None

    flow.webex.on_page = refuse
    await flow.run(period)
    assert flow.log.incomplete == [bad]
    assert [event.window for event in flow.of(WindowIncomplete)] == [bad]
    assert reason in flow.of(WindowIncomplete)[0].reason
    assert len(flow.store.objects) == 3
    flow.webex.on_page = lambda _window, _from: None
    flow.webex.pages.clear()
    await flow.run(period)
    assert set(flow.webex.pages) == {bad}
    assert len(flow.store.objects) == 6


async def test_what_was_seen_of_an_incomplete_window_is_worked_on(tmp_path: Path) -> None:
    """Pages that came before the trouble are not thrown away, and not asked for twice later."""
    flow = Flow(tmp_path, page_size=5)
    flow.fill(20)

    def refuse(_window: Window, from_ms: int) -> TaskPage | None:
        if from_ms > YESTERDAY.from_ms + 8000:
            raise given_up("retries_exhausted")
        return None

    flow.webex.on_page = refuse
    await flow.run()
    assert flow.log.incomplete == [YESTERDAY]
    assert 5 <= len(flow.store.objects) < 20
    flow.webex.on_page = lambda _window, _from: None
    await flow.run()
    assert len(flow.store.objects) == 20
    assert set(flow.source.gets.values()) == {1}


@pytest.mark.fault("W26")
@pytest.mark.parametrize("reason", ["http_400", "http_413", "http_422", "answer_too_large"])
async def test_window_that_is_too_large_is_halved(flow: Flow, reason: str) -> None:
    """A server that takes spans of three hours at most is asked in such spans, and the window is complete."""
    flow.fill(3)
    flow.fill(3, start_ms=YESTERDAY.to_ms - HOUR, prefix="z")

    def refuse(window: Window, from_ms: int) -> TaskPage | None:
        if window.length_ms > 3 * HOUR:
            raise given_up(reason)
        return None

    flow.webex.on_page = refuse
    await flow.run()
    assert flow.log.incomplete == []
    assert await flow.closed() == [YESTERDAY]
    assert len(flow.store.objects) == 6


@pytest.mark.fault("W26")
async def test_halving_has_an_end(flow: Flow) -> None:
    """A server that refuses every span is asked a limited number of times, and the window is named."""

    def refuse(window: Window, from_ms: int) -> TaskPage | None:
        raise given_up("http_400")

    flow.webex.on_page = refuse
    await flow.run()
    assert flow.log.incomplete == [YESTERDAY]
    assert len(flow.webex.pages) == 63


@pytest.mark.fault("W20")
async def test_disordered_pages_are_listed_again_by_halves(tmp_path: Path) -> None:
    """Rows out of order may hide others behind a page's end: smaller spans bring them all."""
    flow = Flow(tmp_path, page_size=10)
    flow.fill(18)

    def shuffled(window: Window, from_ms: int) -> TaskPage | None:
        found = [task for task in flow.webex.tasks if from_ms <= (task.created_ms or 0) < window.to_ms]
        if window == YESTERDAY:
            found.reverse()
        return TaskPage(tuple(found[:10]), len(found[:10]))

    flow.webex.on_page = shuffled
    await flow.run()
    assert flow.log.incomplete == []
    assert len(flow.store.objects) == 18
    assert set(flow.source.gets.values()) == {1}


@pytest.mark.fault("W20")
async def test_window_that_stays_disordered_is_named(flow: Flow) -> None:
    """If smaller spans are out of order too, the window is not complete."""
    flow.fill(8)

    def reversed_(window: Window, from_ms: int) -> TaskPage | None:
        found = [task for task in flow.webex.tasks if from_ms <= (task.created_ms or 0) < window.to_ms][::-1]
        return TaskPage(tuple(found), len(found))

    flow.webex.on_page = reversed_
    await flow.run()
    assert flow.log.incomplete == [YESTERDAY]
    assert "order" in flow.of(WindowIncomplete)[0].reason
    assert await flow.closed() == []
    assert len(flow.store.objects) == 8


@pytest.mark.fault("W19")
async def test_more_tasks_in_one_millisecond_than_a_page_holds_are_told(tmp_path: Path) -> None:
    """The lister steps over the crowded millisecond, does the rest, and names the window."""
    flow = Flow(tmp_path, page_size=5)
    for n in range(9):
        flow.add(f"tie{n}", (f"x{n}", wav(60)), created_ms=YESTERDAY.from_ms + 500)
    flow.fill(7, start_ms=YESTERDAY.from_ms + 1000)
    await flow.run()
    assert flow.log.incomplete == [YESTERDAY]
    assert {f"c/t{n}/recording.wav" for n in range(7)} <= set(flow.store.objects)


@pytest.mark.fault("W18", "W19")
async def test_next_links_that_lead_in_a_circle_end_and_are_told(flow: Flow) -> None:
    """A link that repeats is trouble, not an endless loop and not the end."""
    flow.webex.on_page = lambda _window, _from: TaskPage((), 0, next_link="https://api.test/next")
    await flow.run()
    assert flow.log.incomplete == [YESTERDAY]
    assert len(flow.webex.pages) < 50


async def test_other_channels_are_listed_and_left_alone(flow: Flow) -> None:
    """The attribute is filtered too, in any case of letters; a task without one passes."""
    flow.webex.tasks = [
        Task("mail", "email", created_ms=YESTERDAY.from_ms + 1),
        Task("call", "TELEPHONY", created_ms=YESTERDAY.from_ms + 2),
        Task("bare", None, created_ms=YESTERDAY.from_ms + 3),
    ]
    for task_id in ("mail", "call", "bare"):
        flow.webex.give(task_id, f"r-{task_id}")
        flow.source.bodies[f"r-{task_id}"] = [Body([wav(60)])]
    await flow.run()
    assert set(flow.store.objects) == {"c/call/recording.wav", "c/bare/recording.wav"}
    assert flow.of(PageListed)[0].rows == 3


@pytest.mark.fault("W12", "P4")
async def test_window_with_a_row_that_cannot_be_read_is_not_called_whole(flow: Flow) -> None:
    """A row without a usable id is a task nobody will ever see again."""
    flow.fill(3)

    def one_unreadable(window: Window, from_ms: int) -> TaskPage | None:
        found = tuple(task for task in flow.webex.tasks if from_ms <= (task.created_ms or 0) < window.to_ms)
        return TaskPage(found, rows=len(found) + 1, unreadable=1)

    flow.webex.on_page = one_unreadable
    await flow.run()
    assert flow.log.incomplete == [YESTERDAY]
    assert await flow.closed() == []
