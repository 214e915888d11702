"""One byte rate for all, on a clock that jumps."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from wxrec_async.plumbing.throttle import BURST_S, Throttle

from .virtual import run

pytestmark = pytest.mark.anyio

RATE = 1000.0


def most_within(passed: list[tuple[float, int]], seconds: float) -> int:
    """Return the most bytes that passed in any ``seconds``, both ends included."""
    sums = [0, *accumulate(size for _, size in passed)]
    most = first = 0
    for last, (moment, _) in enumerate(passed):
        while passed[first][0] < moment - seconds:
            first += 1
        most = max(most, sums[last + 1] - sums[first])
    return most


async def move(throttle: Throttle, size: int, chunk: int, passed: list[tuple[float, int]]) -> None:
    """Pass ``size`` bytes in chunks, writing down what passed when."""
    for start in range(0, size, chunk):
        for piece in throttle.slices(bytes(min(chunk, size - start))):
            await throttle.take(len(piece))
            passed.append((anyio.current_time(), len(piece)))


@settings(max_examples=60)
@given(
    workers=st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 900), st.floats(0, 3)), min_size=1, max_size=8),
    rate=st.floats(50, 5000),
)
def test_any_second_stays_within_the_rate_and_one_burst(workers: list[tuple[int, int, float]], rate: float) -> None:
    """However many take part, with whatever chunks, from whenever: never over rate + burst, never idle for long."""
    passed: list[tuple[float, int]] = []

    async def main() -> None:
        throttle = Throttle(rate)
        begun = anyio.current_time()

        async def worker(size: int, chunk: int, after: float) -> None:
            await anyio.sleep(after)
            await move(throttle, size, chunk, passed)

        async with anyio.create_task_group() as group:
            for size, chunk, after in workers:
                group.start_soon(worker, size, chunk, after)
        total = sum(size for size, _, _ in workers)
        assert throttle.passed == total == sum(size for _, size in passed)
        # Not faster than it may, and not slower: the time it takes once everybody is there.
        assert anyio.current_time() - begun <= 3 + total / rate + 1e-3
        assert passed[-1][0] - passed[0][0] >= (total - throttle.largest - 1) / rate - BURST_S - 1e-3

    run(main)
    for seconds in (0.0, 0.1, 1.0, 5.0):
        assert most_within(passed, seconds) <= rate * (seconds + BURST_S) + 1 + 1e-3


async def test_a_long_pause_saves_up_no_more_than_a_burst() -> None:
    """What was not used is not made up for."""
    throttle, passed = Throttle(RATE), list[tuple[float, int]]()
    await move(throttle, 2000, 50, passed)
    await anyio.sleep(3600)
    passed.clear()
    await move(throttle, 2000, 50, passed)
    assert most_within(passed, 0.0) <= RATE * BURST_S
    assert most_within(passed, 1.0) <= RATE * (1 + BURST_S)


async def test_large_chunks_take_turns_with_small_ones() -> None:
    """Of eight readers, one with chunks a hundred times as large, each gets on; nobody waits longer than a round."""
    throttle, moved = Throttle(RATE), Counter[int]()

    async def reader(number: int, chunk: int) -> None:
        while True:
            for piece in throttle.slices(bytes(chunk)):
                await throttle.take(len(piece))
                moved[number] += 1

    with anyio.move_on_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(reader, 0, 25_000)
            for number in range(1, 8):
                group.start_soon(reader, number, 250)
    assert max(moved.values()) - min(moved.values()) <= 1
    assert throttle.passed == pytest.approx(60 * RATE, rel=0.02)


async def test_callers_are_served_in_the_order_they_came() -> None:
    """First come, first served."""
    throttle, order = Throttle(RATE), list[int]()

    async def caller(number: int) -> None:
        await throttle.take(200)
        order.append(number)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(caller, number)
            await checkpoint()
    assert order == list(range(20))


async def test_who_is_cancelled_while_waiting_books_nothing_and_holds_nobody_up() -> None:
    """A reader that is given up takes none of the budget with it, at the head of the line or within it."""
    throttle = Throttle(RATE)
    await throttle.take(250)

    async def doomed() -> None:
        await throttle.take(250)

    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(doomed)
        await anyio.sleep(0.1)
        group.cancel_scope.cancel()
    assert throttle.passed == 250
    await throttle.take(250)
    assert anyio.current_time() - begun == pytest.approx(0.25)


async def test_small_chunks_are_handed_on_as_they_are() -> None:
    """A chunk that fits is not copied; a larger one is cut without losing a byte."""
    throttle, chunk = Throttle(RATE), bytes(range(200))
    assert [piece is chunk for piece in throttle.slices(chunk)] == [True]
    large = bytes(range(256)) * 4
    pieces = list(throttle.slices(large))
    assert b"".join(pieces) == large
    assert max(map(len, pieces)) == throttle.largest == 250


@pytest.mark.parametrize("rate", [0.5, 3.0])
async def test_a_rate_below_a_byte_in_a_burst_still_gets_on(rate: float) -> None:
    """One byte after the other, in the time they take."""
    throttle, passed = Throttle(rate), list[tuple[float, int]]()
    begun = anyio.current_time()
    await move(throttle, 10, 10, passed)
    assert anyio.current_time() - begun == pytest.approx(9 / rate)


async def test_what_cannot_be_meant_is_refused() -> None:
    """No rate is no limit, and that is not made here; more than a burst at once would break the promise."""
    with pytest.raises(ValueError, match="more than nothing"):
        Throttle(0)
    with pytest.raises(ValueError, match="at most 250 bytes"):
        await Throttle(RATE).take(251)
