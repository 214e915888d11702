"""A worker may be cancelled at any moment; no token is lost by it and nobody else is held up."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auth.auth_kit import DAY, T0, Bench, TokenRules, bench, cancelled_after, number, pair
from wxrec_async.errors import AuthError
from wxrec_async.plumbing.finishing import run_to_completion

pytestmark = pytest.mark.anyio

DEAD = T0 - 1


@pytest.mark.fault("T08")
@pytest.mark.parametrize("natively", [False, True], ids=["by a scope", "by the task"])
async def test_a_refresh_cancelled_at_any_turn_loses_no_token_and_frees_the_lock(natively: bool) -> None:
    """What the server handed out is stored, nobody asks twice, and the next worker goes on."""
    finished_without_asking = 0
    for turns in range(60):
        async with bench(pair(1, DEAD)) as b:
            await cancelled_after(turns, b.refresher.current, natively=natively)
            assert number(b.store.tokens) == b.rules.newest
            finished_without_asking += b.rules.posts == 0
            with anyio.fail_after(24):
                assert number(await b.refresher.current()) == 2
            assert b.rules.posts == 1
    assert 0 < finished_without_asking < 40  # the cancellations did hit both sides of the request


@pytest.mark.fault("T08")
async def test_workers_waiting_behind_a_cancelled_one_get_their_token() -> None:
    """Whether it held the lock or stood in the queue."""
    for turns in range(0, 60, 3):
        async with bench(pair(1, DEAD)) as b:
            got: list[int] = []

            async def work(bench_: Bench, into: list[int]) -> None:
                into.append(number(await bench_.refresher.current()))

            async with anyio.create_task_group() as group:
                group.start_soon(cancelled_after, turns, b.refresher.current)
                for _ in range(5):
                    group.start_soon(work, b, got)
                group.start_soon(cancelled_after, turns // 2, b.refresher.current)
            assert got == [2] * 5
            assert b.rules.posts == 1


@pytest.mark.fault("T08")
async def test_work_that_is_to_be_finished_is_finished_whoever_cancels_and_however_often() -> None:
    """A cancellation waits; asyncio's own, too, which a shield alone lets through."""
    steps: list[int] = []

    async def work() -> None:
        for step in range(5):
            await anyio.sleep(0.005)
            steps.append(step)

    task = asyncio.create_task(run_to_completion(work))
    await anyio.sleep(0.001)
    for _ in range(3):
        task.cancel()
        await anyio.sleep(0.002)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == [0, 1, 2, 3, 4]


@pytest.mark.fault("T08", "C6")
@pytest.mark.parametrize("natively", [False, True], ids=["by a scope", "by the task"])
async def test_work_that_hangs_is_left_a_while_after_the_cancellation_but_not_what_it_shields(natively: bool) -> None:
    """A token endpoint that never answers does not hold up the end; a token that was answered is still saved."""
    steps: list[str] = []

    async def hangs() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            steps.append("left")

    async def saves() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
            steps.append("saved")

    with anyio.fail_after(30):
        await cancelled_after(5, lambda: run_to_completion(hangs, hurried_s=0.01), natively=natively)
        await cancelled_after(5, lambda: run_to_completion(saves, hurried_s=0.01), natively=natively)
    assert steps == ["left", "saved"]


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("workers"), st.integers(1, 5)),
        st.tuples(st.just("cancel"), st.integers(0, 40)),
        st.tuples(st.just("force"), st.integers(0, 3)),
        st.tuples(st.just("cancel force"), st.integers(0, 40)),
        st.tuples(st.just("expire"), st.just(0)),
        st.tuples(st.just("full"), st.integers(1, 2)),
        st.tuples(st.just("other process"), st.just(0)),
    ),
    max_size=12,
)


async def do(b: Bench, operation: str, amount: int) -> None:
    refresher = b.refresher
    match operation:
        case "workers":
            async with anyio.create_task_group() as group:
                for _ in range(amount):
                    group.start_soon(refresher.current)
        case "cancel":
            await cancelled_after(amount, refresher.current)
        case "force":
            await refresher.refresh(refresher.generation - amount)
        case "cancel force":
            await cancelled_after(amount, lambda: refresher.refresh(refresher.generation))
        case "expire":
            b.clock.at += 15 * DAY
        case "full":
            b.store.failures = [AuthError("full")] * amount
        case "other process" if not refresher.unsaved:
            b.rules.newest += 1
            b.store.tokens = pair(b.rules.newest, b.clock.at + 14 * DAY)
        case _:
            pass


@pytest.mark.fault("T01", "T05", "T08")
@given(operations=OPERATIONS)
@settings(max_examples=150, derandomize=True)
def test_the_newest_refresh_token_is_never_lost_whatever_happens(operations: list[tuple[str, int]]) -> None:
    """After every step it is in the store, or in memory and known to be unsaved; a revoked one is never sent."""

    async def scenario() -> None:
        async with bench(pair(1, T0 + DAY), TokenRules()) as b:
            await b.refresher.current()
            for operation, amount in operations:
                posts = b.rules.posts
                await do(b, operation, amount)
                assert b.rules.posts - posts <= 1
                assert b.store.tokens is not None
                assert number(b.store.tokens) == b.rules.newest or b.refresher.unsaved
            b.store.failures = []
            assert await b.refresher.save_pending()
            assert number(b.store.tokens) == b.rules.newest
            assert (await b.refresher.current()).fresh(b.clock.at)

    anyio.run(scenario)
