"""What the filters leave alone: never asked for, never lost, never counted as anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wxrec_async.events import PageListed, RunTotals, TasksLeftOut
from wxrec_async.flow.filtered_out import FilteredWork, count_left_out
from wxrec_async.flow.summary import Ending, exit_code
from wxrec_async.ledger import BacklogReason, Counts, Everything, InPeriod, Scope
from wxrec_async.model import RecordingState, TaskState
from wxrec_async.rules.filters import NO_FILTERS, Filters

from .bench import HOUR, YESTERDAY, Flow
from .kit import Body, refused

pytestmark = pytest.mark.anyio

SALES = Filters(queues=("Sales*",))


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


def assign(flow: Flow, **queues: str | None) -> None:
    """Put tasks into queues, by the beginning of their id."""
    flow.webex.tasks = [
        replace(task, queue_name=next((queue for name, queue in queues.items() if task.id.startswith(name)), None))
        for task in flow.webex.tasks
    ]


async def left_in(flow: Flow, filters: Filters, scope: Scope | None = None) -> tuple[FilteredWork, Counts]:
    """Return what is left out, and the counts without it; what adds up is looked at on the way."""
    scope = scope or InPeriod(YESTERDAY)
    async with flow.ledger() as ledger:
        left = await count_left_out(ledger, scope, filters, flow.now_ms)
        whole = await ledger.counts(scope, f"run{flow.runs}")
    counts = left.without(whole)
    tasks = counts.tasks_with_recordings + counts.no_recording + counts.owed + counts.failed_tasks
    assert counts.tasks_listed == tasks + counts.unfinished_tasks + left.tasks
    assert min(left.counted.values(), default=0) >= 0
    return left, counts


async def test_what_is_not_wanted_is_never_asked_for_and_the_window_closes(flow: Flow) -> None:
    """Captures are asked for the wanted tasks alone; the rest is listed in the ledger, and the run is complete."""
    flow.fill(30, prefix="s")
    flow.fill(20, prefix="h", start_ms=YESTERDAY.from_ms + HOUR)
    flow.fill(5, prefix="x", start_ms=YESTERDAY.from_ms + 2 * HOUR)
    assign(flow, s="Sales North", h="HR", x=None)
    await flow.run(filters=SALES)
    assert {task_id[0] for batch in flow.webex.asked for task_id in batch} == {"s"}
    assert await flow.closed() == [YESTERDAY]
    left, counts = await left_in(flow, SALES)
    assert left.reasons == {"queue": 20, "queue_unknown": 5}
    assert (counts.tasks_listed, counts.stored, counts.unfinished_tasks) == (55, 30, 0)
    assert exit_code(counts, Ending()) == 0
    assert sum(event.tasks for event in flow.of(TasksLeftOut)) == 25


async def test_a_later_run_without_the_filter_finds_the_rest_in_the_backlog(flow: Flow) -> None:
    """Nothing is listed again, everything that was left out is stored."""
    flow.fill(30, prefix="s")
    flow.fill(20, prefix="h", start_ms=YESTERDAY.from_ms + HOUR)
    assign(flow, s="Sales", h="HR")
    await flow.run(filters=SALES)
    pages = len(flow.webex.pages)
    await flow.run()
    assert len(flow.webex.pages) == pages
    left, counts = await left_in(flow, NO_FILTERS)
    assert left.tasks == 0
    assert (counts.tasks_listed, counts.stored, counts.already_stored) == (50, 20, 30)


async def test_a_second_filtered_run_leaves_the_same_out_again(flow: Flow) -> None:
    """The count does not depend on which run listed a task."""
    flow.fill(3, prefix="s")
    flow.fill(1100, prefix="h", start_ms=YESTERDAY.from_ms + HOUR)
    assign(flow, s="Sales", h="HR")
    for _ in range(2):
        flow.told.clear()
        await flow.run(filters=SALES)
        left, counts = await left_in(flow, SALES)
        assert left.reasons == {"queue": 1100}
        assert exit_code(counts, Ending()) == 0
        assert sum(event.tasks for event in flow.of(TasksLeftOut)) == 1100
    assert len(flow.store.objects) == 3


async def test_what_failed_before_is_left_out_when_it_is_not_wanted(flow: Flow) -> None:
    """A failure in another queue is neither tried again nor held against a run that did not ask for it."""
    flow.fill(3, prefix="s")
    flow.fill(2, prefix="h", start_ms=YESTERDAY.from_ms + HOUR)
    assign(flow, s="Sales", h="HR")
    flow.source.bodies["r-h0"] = [Body([], refuse=refused())]
    flow.webex.failing["h1"] = "http_400"
    flow.source.bodies["r-s0"] = [Body([], refuse=refused())]
    await flow.run()
    assert exit_code(await flow.counts(), Ending()) == 3
    await flow.run(filters=SALES)
    left, counts = await left_in(flow, SALES)
    assert (left.reasons, left.failed) == ({"queue": 2}, {"h0", "h1"})
    assert (counts.failed, counts.failed_tasks) == (1, 0)
    assert [failure.task_id for failure in left.wanted(await flow.failures())] == ["s0"]
    assert flow.source.gets["r-h0"] == 1
    assert flow.source.gets["r-s0"] == 2


async def test_what_is_owed_or_was_begun_is_left_out_too(flow: Flow) -> None:
    """Every state that is work is found: owed, found and not fetched, begun."""
    flow.add("owed", created_ms=YESTERDAY.from_ms)
    flow.fill(4, prefix="h", start_ms=YESTERDAY.from_ms + HOUR)
    assign(flow, owed="HR", h="HR")
    await flow.run(limit=2, concurrency=1)
    async with flow.ledger() as ledger:
        counts = await ledger.counts(Everything(), None)
    assert (counts.owed, counts.unfinished_recordings) == (1, 2)
    left, rest = await left_in(flow, SALES)
    assert left.reasons == {"queue": 3}
    assert (rest.owed, rest.unfinished_recordings, rest.unfinished_tasks, rest.stored) == (0, 0, 0, 2)
    assert exit_code(rest, Ending()) == 0


async def test_a_task_with_a_stored_and_a_failed_recording_keeps_what_is_stored(flow: Flow) -> None:
    """Its failed recording is left out with it; the stored one stays counted, for it is in the bucket."""
    flow.add("two", ("r1", b"x" * 60), ("r2", b"y" * 60), created_ms=YESTERDAY.from_ms)
    flow.source.bodies["r2"] = [Body([], refuse=refused())]
    flow.source.bodies["r1"] = [Body([b"RIFF" + b"\x00" * 60])]
    assign(flow, two="HR")
    await flow.run()
    async with flow.ledger() as ledger:
        states = sorted((await ledger.known("two")).recordings.values())
    assert states == [RecordingState.FAILED, RecordingState.STORED]
    left, counts = await left_in(flow, SALES)
    assert (left.tasks, counts.tasks_with_recordings, counts.failed, counts.stored) == (1, 0, 0, 1)


async def test_young_calls_that_are_not_wanted_are_not_owed(flow: Flow) -> None:
    """A call that is still settling is left alone as well: a run with filters can end with 0 while others talk."""
    flow.fill(1, prefix="h", start_ms=flow.now_ms - HOUR // 6)
    assign(flow, h="HR")
    period = replace(YESTERDAY, to_ms=flow.now_ms)
    await flow.run(period, filters=SALES)
    async with flow.ledger() as ledger:
        asked = await ledger.asked(["h0"])
    assert asked["h0"].state is TaskState.LISTED


async def test_an_attribute_that_webex_tells_later_is_seen_while_the_window_is_open(flow: Flow) -> None:
    """A call without a queue is left out; listed again with one, it is wanted."""
    moment = flow.now_ms - HOUR // 6
    flow.fill(1, prefix="s", start_ms=moment)
    period = replace(YESTERDAY, to_ms=flow.now_ms)
    await flow.run(period, filters=SALES)
    assert flow.of(TasksLeftOut)
    flow.webex.tasks = [replace(task, queue_name="Sales", updated_ms=moment) for task in flow.webex.tasks]
    flow.now_ms += HOUR
    await flow.run(replace(YESTERDAY, to_ms=flow.now_ms), filters=SALES)
    assert set(flow.store.objects) == {"c/s0/recording.wav"}


async def test_retry_of_everything_counts_what_it_never_looks_at(flow: Flow) -> None:
    """`retry` is handed only what failed; the listed tasks of other queues are left out of its counts all the same."""
    flow.fill(3, prefix="s")
    flow.fill(4, prefix="h", start_ms=YESTERDAY.from_ms + HOUR)
    assign(flow, s="Sales", h="HR")
    await flow.run(filters=SALES)
    only = frozenset({BacklogReason.FAILED, BacklogReason.OWED})
    await flow.run(scope=Everything(), windows=(), only=only, filters=SALES)
    left, counts = await left_in(flow, SALES, Everything())
    assert left.reasons == {"queue": 4}
    assert exit_code(counts, Ending()) == 0


async def test_counting_hands_nothing_out_and_can_be_done_twice(flow: Flow) -> None:
    """Outside a run nothing is written; the answer is the same again."""
    flow.fill(5, prefix="h")
    assign(flow, h="HR")
    await flow.run(filters=SALES)
    async with flow.ledger() as ledger:
        first = await count_left_out(ledger, Everything(), SALES, flow.now_ms)
        again = await count_left_out(ledger, Everything(), SALES, flow.now_ms)
    assert first == again
    await flow.run()
    assert len(flow.store.objects) == 5


async def test_without_filters_the_ledger_is_not_read(flow: Flow) -> None:
    """Whoever filters nothing pays nothing."""

    class Untouchable:
        async def backlog(self, *_: object, **__: object) -> list[object]:
            raise AssertionError

        async def known(self, task_id: str) -> object:
            raise AssertionError

    assert await count_left_out(Untouchable(), Everything(), NO_FILTERS, 0) == FilteredWork()  # type: ignore[arg-type]


def test_progress_does_not_wait_for_what_is_left_out() -> None:
    """Tasks left out of a page come to rest with it; those of earlier runs were not listed by this one."""
    totals = RunTotals()
    totals.add(PageListed(YESTERDAY, 10, 10))
    totals.add(TasksLeftOut(YESTERDAY, 4))
    totals.add(TasksLeftOut(None, 7))
    assert (totals.left_out, totals.tasks_settled.total(), totals.tasks_listed) == (11, 4, 10)
