"""The pool of part buffers: a number that holds, and nobody left waiting."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxrec_async.plumbing.pool import MemoryPool, Reservation

from .virtual import run

pytestmark = pytest.mark.anyio


async def test_room_is_taken_and_given_back_once() -> None:
    """A release is counted once, however often it is called."""
    pool = MemoryPool(10)
    room = await pool.take(4)
    assert (pool.free, room.size) == (6, 4)
    room.release()
    room.release()
    assert pool.free == 10
    assert pool.most_held == 4


async def test_a_wish_beyond_the_pool_gets_all_of_it() -> None:
    """One recording always gets through, however large its parts."""
    pool = MemoryPool(10)
    with anyio.fail_after(12):
        room = await pool.take(1_000)
    assert (room.size, pool.free) == (10, 0)
    room.release()
    assert pool.free == 10


async def test_callers_are_served_in_the_order_they_came() -> None:
    """A large wish is not starved by small ones that would fit."""
    pool = MemoryPool(10)
    first = await pool.take(8)
    served: list[int] = []

    async def take(size: int) -> None:
        room = await pool.take(size)
        served.append(size)
        await anyio.sleep(1)
        room.release()

    async with anyio.create_task_group() as group:
        for size in (9, 1, 2, 10, 3):
            group.start_soon(take, size)
            await anyio.wait_all_tasks_blocked()
        assert served == []  # 1 would fit, but others were first
        first.release()
    assert served == [9, 1, 2, 10, 3]
    assert pool.free == 10


async def test_a_waiter_that_is_cancelled_lets_the_next_one_go() -> None:
    """The head of the line leaves, and what it waited for serves those behind it."""
    pool = MemoryPool(10)
    held = await pool.take(8)
    served = anyio.Event()

    async def small() -> None:
        (await pool.take(2)).release()
        served.set()

    async with anyio.create_task_group() as group:
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as doomed:
                doomed.start_soon(pool.take, 9)
                await anyio.wait_all_tasks_blocked()
                group.start_soon(small)
                await anyio.wait_all_tasks_blocked()
                assert not served.is_set()
                await anyio.sleep(5)
        with anyio.fail_after(12):
            await served.wait()
    held.release()
    assert pool.free == 10


async def test_room_granted_to_a_caller_that_is_being_cancelled_comes_back() -> None:
    """Cancelled and granted in one turn of the loop: the room must not vanish."""
    pool = MemoryPool(10)
    held = await pool.take(10)
    async with anyio.create_task_group() as group:
        group.start_soon(pool.take, 5)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        held.release()
        assert pool.free == 5
    assert pool.free == 10


def test_a_pool_needs_room() -> None:
    """A pool of nothing would let nobody through."""
    with pytest.raises(ValueError, match="at least one byte"):
        MemoryPool(0)


callers = st.lists(
    st.tuples(
        st.integers(0, 30),  # wish
        st.sampled_from([0, 1, 2, 5]),  # comes after
        st.sampled_from([0, 1, 3]),  # holds for
        st.sampled_from([0, 1, 2, 4, 100]),  # is cancelled after
    ),
    max_size=25,
)


@pytest.mark.fault("R01")
@settings(max_examples=150)
@given(total=st.integers(1, 20), plan=callers)
def test_whatever_happens_the_pool_is_never_overdrawn_and_ends_full(
    total: int, plan: list[tuple[int, int, int, int]]
) -> None:
    """Any callers, cancelled at any time: never below nothing, all room back at the end, and nobody hangs."""
    pool = MemoryPool(total)
    held: set[Reservation] = set()

    async def call(wish: int, after: int, holds: int, patience: int) -> None:
        await anyio.sleep(after)
        with anyio.move_on_after(patience):
            room = await pool.take(wish)
            held.add(room)
            try:
                assert 1 <= room.size <= total
                assert 0 <= pool.free <= total - sum(each.size for each in held)
                await anyio.sleep(holds)
            finally:
                held.discard(room)
                room.release()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for each in plan:
                group.start_soon(call, *each)
        assert pool.free == total
        assert pool.most_held <= total

    run(main)
