"""One request budget and one gate for all workers, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxrec_async.plumbing.pacer import CATCH_UP_S, PROBE_PATIENCE_S, CircuitBreaker, Pacer, burst_for

from .virtual import VirtualLoop, run

pytestmark = pytest.mark.anyio


def most_in_a_minute(times: list[float]) -> int:
    """The largest number of moments in any half-open 60 seconds."""
    return max((bisect_left(times, start + 60 - 1e-6) - place for place, start in enumerate(times)), default=0)


@pytest.mark.fault("C11")
@settings(max_examples=60)
@given(
    per_minute=st.sampled_from([6, 30, 250, 300, 1000.0, 7.5]),
    burst=st.integers(1, 50),
    idle=st.lists(st.sampled_from([0.0, 0.0, 0.01, 0.5, 59.9, 60.0, 61.0]), min_size=1, max_size=40),
    workers=st.integers(1, 20),
)
def test_no_minute_sees_more_than_the_budget(per_minute: float, burst: int, idle: list[float], workers: int) -> None:
    """Whatever comes when: at most per_minute + burst - 1 requests in any 60 seconds."""
    times: list[float] = []

    async def work(pacer: Pacer) -> None:
        for pause in idle:
            await anyio.sleep(pause)
            async with pacer.turn():
                times.append(anyio.current_time())

    async def main() -> None:
        pacer = Pacer(per_minute, burst=burst)
        async with anyio.create_task_group() as group:
            for _ in range(workers):
                group.start_soon(work, pacer)
        assert pacer.passed == workers * len(idle)

    run(main)
    assert times == sorted(times)
    assert most_in_a_minute(times) <= math.ceil(per_minute) + burst - 1


async def test_the_budget_is_used_in_full() -> None:
    """A budget that is kept by being slow would be no budget: 250 a minute are 250 in a minute and a moment."""
    pacer = Pacer(250)
    begun = anyio.current_time()
    for _ in range(501):
        async with pacer.turn():
            pass
    assert anyio.current_time() - begun == pytest.approx(2 * (60 + CATCH_UP_S), abs=0.01)


async def hold_up(lateness: Iterable[float]) -> None:
    """Let the loop be busy now and then, so that whoever waits wakes late."""
    for seconds in lateness:
        await anyio.sleep(0.7)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.hold(seconds)


@settings(max_examples=40)
@given(
    per_minute=st.sampled_from([30, 250, 300, 1000]),
    burst=st.sampled_from([1, 50]),
    lateness=st.lists(st.floats(0, 2), min_size=1, max_size=30),
)
def test_a_busy_loop_never_lets_one_too_many_through(per_minute: int, burst: int, lateness: list[float]) -> None:
    """However late everybody wakes, what is made up for stays within the minute."""
    times: list[float] = []

    async def work(pacer: Pacer, until: float) -> None:
        while anyio.current_time() < until:
            async with pacer.turn():
                times.append(anyio.current_time())

    async def main() -> None:
        pacer, until = Pacer(per_minute, burst=burst), anyio.current_time() + 150
        async with anyio.create_task_group() as group:
            group.start_soon(hold_up, itertools.islice(itertools.cycle(lateness), 100))
            for _ in range(5):
                group.start_soon(work, pacer, until)

    run(main)
    assert most_in_a_minute(times) <= per_minute + burst - 1


@pytest.mark.parametrize("burst", [1, 50])
async def test_a_busy_loop_costs_no_turns(burst: int) -> None:
    """Every waking is late by a fifth of a second, and two minutes still see two minutes' worth of requests."""
    pacer = Pacer(300, burst=burst)
    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(hold_up, [0.19] * 120)
        for _ in range(601):
            async with pacer.turn():
                pass
        group.cancel_scope.cancel()
    assert anyio.current_time() - begun <= 2 * (60 + CATCH_UP_S) + 0.2


async def test_callers_are_served_in_the_order_they_came() -> None:
    """Nobody starves behind the luckier ones, closed gate or not."""
    pacer = Pacer(60)
    served: list[int] = []

    async def call(name: int) -> None:
        async with pacer.turn():
            served.append(name)

    async with anyio.create_task_group() as group:
        for name in range(10):
            group.start_soon(call, name)
            await anyio.wait_all_tasks_blocked()
        await anyio.sleep(2.5)
        pacer.gate.close(30)
    assert served == list(range(10))


@pytest.mark.fault("W01", "C11")
async def test_a_closed_gate_stops_everybody() -> None:
    """16 workers, one 429 with Retry-After: 4: not one request of any of them within the four seconds."""
    pacer = Pacer(600, burst=5)
    times: list[float] = []
    closed_at = 0.0

    async def work() -> None:
        nonlocal closed_at
        for _ in range(20):
            async with pacer.turn():
                times.append(anyio.current_time())
                await anyio.sleep(0.05)
                if len(times) >= 40 and not closed_at:
                    closed_at = anyio.current_time()
                    pacer.gate.close(4)

    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(work)
    assert closed_at
    assert [time for time in times if closed_at < time < closed_at + 4] == []
    assert len(times) == 320


@pytest.mark.fault("W04")
async def test_ten_minutes_of_429_cost_one_request_a_gate_period() -> None:
    """Half open, one probe at a time, also for those who stood in line when the gate was shut."""
    pacer = Pacer(250)
    until = anyio.current_time() + 600
    refused, passed = 0, 0

    async def work() -> None:
        nonlocal refused, passed
        while True:
            async with pacer.turn():
                await anyio.sleep(1.5)  # a slow answer: many slots go by while it is under way
                if anyio.current_time() < until:
                    refused += 1
                    pacer.gate.close(10)
                    continue
            passed += 1
            return

    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(work)
    first_wave = 7  # sent before the first answer came: 1.5 s at 250 a minute
    assert refused <= first_wave + 600 / 11.5 + 1
    assert passed == 32


async def test_half_open_one_probe_at_a_time() -> None:
    """While one probe is under way nobody else goes through; when it comes back well, everybody does."""
    gate = CircuitBreaker()
    inside, most = 0, 0
    gate.close(5)

    async def call() -> None:
        nonlocal inside, most
        async with gate.request():
            inside += 1
            most = max(most, inside) if probing else most
            await anyio.sleep(1)
            inside -= 1

    probing = True
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(call)
        await anyio.sleep(5.5)
        assert (inside, most) == (1, 1)
        probing = False
        await anyio.sleep(1)
        assert inside == 4


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_probe_that_breaks_off_lets_the_next_one_go(how: str) -> None:
    """Neither a cancelled nor a failed probe leaves the door shut for ever, nor does it open it."""
    gate = CircuitBreaker()
    gate.close(5)
    entered: list[str] = []

    async def probe() -> None:
        async with gate.request():
            entered.append("doomed")
            await anyio.sleep(1 if how == "failed" else 60)
            raise ValueError("the probe failed")

    async def doomed() -> None:
        with anyio.move_on_after(8), suppress(ValueError):
            await probe()

    async def follower(name: str) -> None:
        async with gate.request():
            entered.append(name)
            await anyio.sleep(1)

    async with anyio.create_task_group() as group:
        group.start_soon(doomed)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(follower, "second")
        group.start_soon(follower, "third")
        await anyio.sleep(5.5)
        assert entered == ["doomed"]
        await anyio.sleep(3)
        assert entered in (["doomed", "second"], ["doomed", "second", "third"])
    assert entered == ["doomed", "second", "third"]


@pytest.mark.fault("W04")
async def test_a_probe_that_takes_long_holds_nobody_up_for_ever() -> None:
    """A request that is not refused was let in: the others follow when their patience is over, not at its end."""
    gate = CircuitBreaker()
    gate.close(1)
    passed: list[float] = []

    async def slow() -> None:
        async with gate.request():
            await anyio.sleep(300)

    async def quick() -> None:
        async with gate.request():
            passed.append(anyio.current_time())

    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(slow)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            group.start_soon(quick)
    assert len(passed) == 5
    assert max(passed) - begun < 1 + PROBE_PATIENCE_S + 1


async def test_a_gate_shut_again_stays_shut_for_the_longer_time() -> None:
    """A shorter wait does not shorten a longer one, and one closing is told once."""
    told: list[float] = []
    gate = CircuitBreaker(on_close=told.append)
    begun = anyio.current_time()
    gate.close(10)
    gate.close(2)
    gate.close(12)
    assert gate.closed_for_s == pytest.approx(12)
    await gate.wait_open()
    assert anyio.current_time() - begun == pytest.approx(12)
    assert told == [10]
    gate.close(3)
    assert told == [10, 3]


async def test_a_gate_shut_while_somebody_waits_for_a_slot_holds_him_too() -> None:
    """A turn that was nearly there waits for the gate like all others."""
    pacer = Pacer(60)
    async with pacer.turn():
        pass
    times: list[float] = []

    async def call() -> None:
        async with pacer.turn():
            times.append(anyio.current_time())

    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await anyio.sleep(0.5)
        pacer.gate.close(10)
    assert times == [pytest.approx(begun + 10.5)]


@settings(max_examples=60)
@given(
    closings=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 20)), max_size=6),
    callers=st.lists(st.tuples(st.floats(0, 40), st.floats(0, 5), st.floats(0.1, 30)), min_size=1, max_size=15),
)
def test_nobody_ever_passes_a_shut_gate(
    closings: list[tuple[float, float]], callers: list[tuple[float, float, float]]
) -> None:
    """Any closings, any callers, cancelled at any time: no entry while shut, and everybody patient gets through."""

    async def main() -> None:
        pacer = Pacer(600, burst=3)

        async def shut(after: float, seconds: float) -> None:
            await anyio.sleep(after)
            pacer.gate.close(seconds)

        async def call(after: float, holds: float, patience: float) -> None:
            await anyio.sleep(after)
            with anyio.move_on_after(patience):
                async with pacer.turn():
                    assert pacer.gate.closed_for_s == 0
                    await anyio.sleep(holds)

        async with anyio.create_task_group() as group:
            for closing in closings:
                group.start_soon(shut, *closing)
            for caller in callers:
                group.start_soon(call, *caller)
        with anyio.fail_after(1_000):
            async with pacer.turn():
                pass

    run(main)


@pytest.mark.parametrize(
    ("per_minute", "allowed", "burst"), [(250, 300, 50), (299, 300, 1), (300, 300, 1), (400, 300, 1), (10, 300, 50)]
)
def test_the_burst_leaves_the_minute_within_what_is_allowed(per_minute: float, allowed: float, burst: int) -> None:
    """per_minute + burst - 1 is what a minute can see; never more than allowed unless asked for."""
    assert burst_for(per_minute, allowed) == burst
    assert per_minute >= allowed or per_minute + burst - 1 <= allowed


@pytest.mark.parametrize(("per_minute", "burst"), [(0, 1), (-1, 1), (10, 0)])
def test_a_budget_of_nothing_is_refused(per_minute: float, burst: int) -> None:
    """It would never let anybody through."""
    with pytest.raises(ValueError, match="more than nothing"):
        Pacer(per_minute, burst=burst)
