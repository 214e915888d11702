"""The same work for many things: bounded, in order, ended by the first failure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import anyio
import pytest

from wxrec_async.plumbing.for_each import Put, each_fed, each_of

pytestmark = pytest.mark.anyio


async def test_every_thing_is_worked_on_once_in_order_and_so_many_at_once() -> None:
    """Never more than were asked for, and as many when there are enough."""
    begun: list[int] = []
    busy = most_busy = 0

    async def work(item: int) -> None:
        nonlocal busy, most_busy
        begun.append(item)
        busy += 1
        most_busy = max(most_busy, busy)
        await anyio.sleep(0.001)
        busy -= 1

    await each_of(range(50), work, 4)
    assert begun == list(range(50))
    assert most_busy == 4


async def test_nothing_to_do_is_done_at_once() -> None:
    """No item, no work."""

    async def work(item: int) -> None:
        pytest.fail(f"{item} was never put")

    await each_of([], work, 3)


async def test_who_feeds_waits_while_all_are_busy() -> None:
    """However much there is, only what is worked on and as much again is held."""
    fed = 0
    free = anyio.Event()

    async def feed(put: Put[int]) -> None:
        nonlocal fed
        for item in range(100):
            await put(item)
            fed += 1

    async def work(_: int) -> None:
        await free.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(each_fed, feed, work, 3)
        await anyio.wait_all_tasks_blocked()
        assert fed == 6
        free.set()
    assert fed == 100


def failing_at(item: int) -> Callable[[int], None]:
    def fail(each: int) -> None:
        if each == item:
            raise ValueError(each)

    return fail


async def test_the_first_failure_ends_it_and_is_raised_as_it_is() -> None:
    """Others are cancelled, nothing more is begun, and nobody sees a group of exceptions."""
    begun: list[int] = []
    cancelled: list[int] = []
    fail = failing_at(3)

    async def work(item: int) -> None:
        begun.append(item)
        fail(item)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(item)
            raise

    with pytest.raises(ValueError, match="3"):
        await each_of(count(), work, 4)
    assert sorted(begun) == [0, 1, 2, 3]
    assert sorted(cancelled) == [0, 1, 2]


async def test_a_failure_of_who_feeds_ends_it_too() -> None:
    """What is under way is cancelled: a list that cannot be read to its end is no list."""
    fail = failing_at(2)

    async def feed(put: Put[int]) -> None:
        for item in range(5):
            fail(item)
            await put(item)

    async def work(_: int) -> None:
        await anyio.sleep_forever()

    with pytest.raises(ValueError, match="2"):
        await each_fed(feed, work, 8)


async def test_who_cancels_it_from_outside_ends_it() -> None:
    """Neither feeder nor worker outlives it."""
    ended: list[str] = []

    async def feed(put: Put[str]) -> None:
        try:
            await put("one")
            await anyio.sleep_forever()
        finally:
            ended.append("feed")

    async def work(_: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("work")

    with anyio.move_on_after(0.01) as scope:
        await each_fed(feed, work, 2)
    assert scope.cancelled_caught
    assert sorted(ended) == ["feed", "work"]
