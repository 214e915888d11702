"""The bounded queue that is emptied in batches."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxrec_async.plumbing.batches import BatchQueue
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.signal import ChangeNotifier

from .virtual import run

pytestmark = pytest.mark.anyio


async def test_a_full_queue_makes_the_writer_wait() -> None:
    """The lister waits while the queue is full, and goes on as soon as somebody takes."""
    queue: BatchQueue[int] = BatchQueue(3)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.put, range(5))
        await anyio.wait_all_tasks_blocked()
        assert len(queue) == 3
        assert await queue.take(2) == [0, 1]
        await anyio.wait_all_tasks_blocked()
        assert len(queue) == 3
        assert await queue.take(3) == [2, 3, 4]


async def test_a_reader_lingers_for_a_full_batch() -> None:
    """Ten tasks that come one by one cost one call, not ten."""
    queue: BatchQueue[int] = BatchQueue(100, linger_s=1.0)

    async def trickle() -> None:
        for item in range(10):
            await queue.put([item])
            await anyio.sleep(0.05)

    async with anyio.create_task_group() as group:
        group.start_soon(trickle)
        assert await queue.take(10) == list(range(10))


async def test_a_reader_does_not_linger_longer_than_it_may() -> None:
    """A small batch goes after the linger time."""
    queue: BatchQueue[int] = BatchQueue(100, linger_s=1.0)
    await queue.put([1, 2])
    before = anyio.current_time()
    assert await queue.take(10) == [1, 2]
    assert anyio.current_time() - before == pytest.approx(1.0)


async def test_a_queue_smaller_than_a_batch_does_not_wait_for_what_cannot_come() -> None:
    """Full is as full as it gets."""
    queue: BatchQueue[int] = BatchQueue(2, linger_s=60.0)
    await queue.put([1, 2])
    before = anyio.current_time()
    assert await queue.take(10) == [1, 2]
    assert anyio.current_time() == before


async def test_a_closed_queue_gives_what_is_left_at_once_and_then_nothing() -> None:
    """The end comes after the last item, for every reader, and stays."""
    queue: BatchQueue[int] = BatchQueue(10, linger_s=60.0)
    await queue.put([1])
    queue.close()
    queue.close()
    before = anyio.current_time()
    assert await queue.take(5) == [1]
    assert await queue.take(5) == []
    assert await queue.take(5) == []
    assert anyio.current_time() == before
    assert queue.ended


async def test_closing_wakes_every_reader_that_waits() -> None:
    """No worker is left waiting for work that will not come."""
    queue: BatchQueue[int] = BatchQueue(10)
    got: list[list[int]] = []

    async def read() -> None:
        got.append(await queue.take(5))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        queue.close()
    assert got == [[], [], []]


async def test_a_cancelled_reader_takes_nothing_with_it() -> None:
    """Lingering takes nothing out before the batch is handed over."""
    queue: BatchQueue[int] = BatchQueue(10, linger_s=60.0)
    await queue.put([1, 2])
    with anyio.move_on_after(1):
        await queue.take(5)
    assert len(queue) == 2


async def test_a_cancelled_writer_leaves_what_it_put() -> None:
    """What got in stays in, the rest never was."""
    queue: BatchQueue[int] = BatchQueue(2, linger_s=0)
    with anyio.move_on_after(1):
        await queue.put([1, 2, 3])
    assert await queue.take(5) == [1, 2]


@settings(max_examples=80)
@given(
    capacity=st.integers(1, 7),
    items=st.integers(0, 40),
    readers=st.integers(1, 4),
    most=st.integers(1, 12),
    pause=st.sampled_from([0, 0.3, 2]),
)
def test_every_item_is_taken_exactly_once(capacity: int, items: int, readers: int, most: int, pause: float) -> None:
    """Any number of readers: bounded, in order, nothing lost, nothing twice."""
    queue: BatchQueue[int] = BatchQueue(capacity)
    taken: list[int] = []

    async def write() -> None:
        for item in range(items):
            await queue.put([item])
            assert len(queue) <= capacity
            await anyio.sleep(pause)
        queue.close()

    async def read() -> None:
        while batch := await queue.take(most):
            assert len(batch) <= most
            taken.extend(batch)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            for _ in range(readers):
                group.start_soon(read)

    run(main)
    assert taken == list(range(items))


def test_a_queue_needs_room() -> None:
    """A queue of nothing would never move."""
    with pytest.raises(ValueError, match="at least one item"):
        BatchQueue(0)


async def test_a_signal_wakes_those_who_wait_now_and_nobody_later() -> None:
    """A notification is not kept for those who come after it."""
    signal, woken = ChangeNotifier(), []

    async def wait(name: str) -> None:
        await signal.wait()
        woken.append(name)

    async with anyio.create_task_group() as group:
        signal.notify()
        group.start_soon(wait, "a")
        group.start_soon(wait, "b")
        await anyio.wait_all_tasks_blocked()
        assert woken == []
        signal.notify()
        await anyio.wait_all_tasks_blocked()
        assert sorted(woken) == ["a", "b"]


def test_the_first_failure_is_found_however_deep_it_lies() -> None:
    """Groups within groups are unwrapped to the one that came first."""
    cause = ValueError("cause")
    nested = BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [cause, KeyError("later")]), OSError("later")])
    assert first_failure(nested) is cause
