"""Decisions are carried out, and an outage is nobody's fault."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from wxrec_async.errors import (
    AuthError,
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    InvalidResponse,
    RemoteError,
    RunStopped,
    TimedOut,
)
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.plumbing.reach import MIN_OUTAGE_S, QUORUM, NetworkMonitor
from wxrec_async.plumbing.retrying import OperationFailed, Retrier, RetryPolicy
from wxrec_async.rules import retry
from wxrec_async.rules.retry import Attempts, Decision, DeletedAtSource, GiveUp, PauseAll, RetryAfter, StopRun

pytestmark = pytest.mark.anyio


class Bench:
    """A retrier whose judge reads its decisions from a list."""

    def __init__(self, *decisions: Decision, judge: RetryPolicy | None = None) -> None:
        self.decisions = list(decisions)
        self.seen: list[Attempts] = []
        self.told: list[tuple[str, int, float]] = []
        self.gate, self.reach = CircuitBreaker(), NetworkMonitor()
        self.retrier = Retrier(
            judge or self._judge, gate=self.gate, reach=self.reach, on_retry=self._on_retry, chance=lambda: 1.0
        )

    def _judge(self, trouble: RemoteError, tries: Attempts, chance: float) -> Decision:
        self.seen.append(tries)
        return self.decisions.pop(0)

    def _on_retry(self, operation: str, attempt: int, after_s: float, trouble: RemoteError) -> None:
        self.told.append((operation, attempt, after_s))


def failing(times: int, trouble: Callable[[], RemoteError] = ConnectionLost) -> Callable[[], object]:
    left = times

    async def attempt() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise trouble()
        return "done"

    return attempt


async def test_a_success_is_handed_back_and_nothing_is_judged() -> None:
    """The way things mostly go."""
    bench = Bench()
    assert await bench.retrier.run("op", failing(0)) == "done"  # type: ignore[arg-type]
    assert bench.seen == []


async def test_again_waits_and_counts() -> None:
    """Each failure is judged with the history before it, and told before the wait."""
    bench = Bench(RetryAfter(2.0), RetryAfter(3.0))
    begun = anyio.current_time()
    assert await bench.retrier.run("op", failing(2)) == "done"  # type: ignore[arg-type]
    assert anyio.current_time() - begun == pytest.approx(5)
    assert [tries.attempts for tries in bench.seen] == [0, 1]
    assert bench.told == [("op", 1, 2.0), ("op", 2, 3.0)]


@pytest.mark.fault("W01")
async def test_a_named_wait_shuts_the_gate_for_everybody_and_is_no_attempt() -> None:
    """Whoever else comes to this server waits as well."""
    bench = Bench(PauseAll(4.0), PauseAll(4.0))
    begun = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.retrier.run, "op", failing(2))  # type: ignore[arg-type]
        await anyio.wait_all_tasks_blocked()
        assert bench.gate.closed_for_s == pytest.approx(4)
        await bench.gate.wait_open()
        assert anyio.current_time() - begun >= 4
    assert anyio.current_time() - begun == pytest.approx(8)
    assert [(tries.attempts, tries.waits) for tries in bench.seen] == [(0, 0), (0, 1)]


async def test_a_wait_of_a_server_in_trouble_is_an_attempt_all_the_same() -> None:
    """503 with Retry-After: the gate is shut, and patience ends."""
    bench = Bench(judge=retry.for_api)
    tried = 0

    async def attempt() -> None:
        nonlocal tried
        tried += 1
        raise HTTPStatusError(503, retry_after_s=2.0)

    with pytest.raises(OperationFailed) as failure:
        await bench.retrier.run("op", attempt)
    assert failure.value.decision == GiveUp("retries_exhausted")
    assert tried == retry.MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (GiveUp("reason"), OperationFailed),
        (DeletedAtSource(), OperationFailed),
        (StopRun("why"), RunStopped),
        (StopRun("why", auth=True), AuthError),
    ],
)
async def test_decisions_that_end_come_out_as_what_they_are(decision: Decision, expected: type[Exception]) -> None:
    """One item, the run, or the run for want of permission."""
    bench = Bench(decision)
    with pytest.raises(expected) as failure:
        await bench.retrier.run("op", failing(1))  # type: ignore[arg-type]
    if isinstance(failure.value, OperationFailed):
        assert failure.value.decision is decision
        assert isinstance(failure.value.trouble, ConnectionLost)
    assert failure.value.__cause__ is None
    assert bench.told == []


@pytest.mark.fault("W06")
async def test_a_refused_token_ends_the_run_with_what_support_asks_for() -> None:
    """The tracking id travels with the failure."""
    bench = Bench(judge=retry.for_api)
    with pytest.raises(AuthError) as failure:
        await bench.retrier.run("op", failing(1, lambda: HTTPStatusError(401, tracking_id="ROUTER_1")))  # type: ignore[arg-type]
    assert failure.value.tracking_id == "ROUTER_1"


async def test_what_is_no_trouble_is_not_tried_again() -> None:
    """An error of the program is seen at once."""

    async def attempt() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await Bench().retrier.run("op", attempt)


@pytest.mark.fault("D25", "L11")
async def test_while_the_network_is_down_no_attempts_are_counted() -> None:
    """Ten minutes without a network: 32 workers wait it out, and not one gives up."""
    bench = Bench(judge=retry.for_s3)
    bench.reach.succeeded()
    back_at = anyio.current_time() + 600
    done = 0

    async def work() -> None:
        nonlocal done

        async def attempt() -> None:
            if anyio.current_time() < back_at:
                raise ConnectError

        await bench.retrier.run("op", attempt)
        done += 1

    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(work)
    assert done == 32
    assert anyio.current_time() - back_at <= 30


@pytest.mark.fault("L11")
@pytest.mark.parametrize("trouble", [TimedOut, ConnectionLost])
async def test_a_cut_or_a_silence_is_no_sign_of_life(trouble: type[RemoteError]) -> None:
    """In an outage running bodies time out; that must not pass for an answer and start the count anew."""
    reach, gate = NetworkMonitor(), CircuitBreaker()
    retrier = Retrier(lambda *_: RetryAfter(0.0), gate=gate, reach=reach, on_retry=lambda *_: None)
    reach.succeeded()
    for _ in range(QUORUM):
        reach.failed()
    await anyio.sleep(MIN_OUTAGE_S + 1)
    await retrier.after("op", trouble(), Attempts())
    assert reach.failed() > MIN_OUTAGE_S


@pytest.mark.parametrize(
    "trouble", [HTTPStatusError(500), HTTPStatusError(429), InvalidResponse()], ids=["500", "429", "nonsense"]
)
async def test_any_answer_is_a_sign_of_life(trouble: RemoteError) -> None:
    """Whatever it said, somebody said it."""
    reach, gate = NetworkMonitor(), CircuitBreaker()
    retrier = Retrier(lambda *_: RetryAfter(0.0), gate=gate, reach=reach, on_retry=lambda *_: None)
    reach.succeeded()
    for _ in range(QUORUM):
        reach.failed()
    await anyio.sleep(MIN_OUTAGE_S + 1)
    await retrier.after("op", trouble, Attempts())
    assert reach.failed() == 0


async def test_one_dead_host_among_living_ones_is_given_up() -> None:
    """32 workers fail at one host while another answers: attempts count, and everybody comes to an end."""
    bench = Bench(judge=retry.for_s3)
    given_up = 0

    async def work() -> None:
        nonlocal given_up
        with pytest.raises(OperationFailed):
            await bench.retrier.run("op", failing(10_000, ConnectError))  # type: ignore[arg-type]
        given_up += 1

    async def other_host() -> None:
        while given_up < 32:
            bench.reach.succeeded()
            await anyio.sleep(0.5)

    with anyio.fail_after(1_000):
        async with anyio.create_task_group() as group:
            group.start_soon(other_host)
            for _ in range(32):
                group.start_soon(work)
    assert given_up == 32


class Wire:
    """Counts what `NetworkMonitor` tells."""

    def __init__(self) -> None:
        self.now = 0.0
        self.downs, self.ups = 0, list[float]()
        self.reach = NetworkMonitor(self._down, self.ups.append, clock=lambda: self.now)

    def _down(self) -> None:
        self.downs += 1

    def fail(self, times: int, every_s: float = 0.0) -> float:
        seconds = 0.0
        for _ in range(times):
            seconds = self.reach.failed()
            self.now += every_s
        return seconds


@pytest.mark.fault("L11")
def test_an_outage_is_told_once_and_its_end_once() -> None:
    """One pause, one event, however many workers notice."""
    wire = Wire()
    wire.reach.succeeded()
    assert wire.fail(100, every_s=1.0) == pytest.approx(99)
    wire.reach.succeeded()
    wire.reach.succeeded()
    assert wire.downs == 1
    assert wire.ups == pytest.approx([100.0])
    assert wire.fail(1) == 0


def test_a_wrong_address_is_no_outage() -> None:
    """Nothing ever answered: then it is not the network that failed, and no end of an outage is told either."""
    wire = Wire()
    assert wire.fail(50, every_s=1.0) == 0
    wire.reach.succeeded()
    assert (wire.downs, wire.ups) == (0, [])


def test_a_crowd_failing_in_one_moment_is_no_outage_yet() -> None:
    """A dead host fails many workers at once; only time without any answer tells it from a dead network."""
    wire = Wire()
    wire.reach.succeeded()
    assert wire.fail(1_000) == 0
    wire.now += MIN_OUTAGE_S
    assert wire.fail(1) >= MIN_OUTAGE_S
    assert wire.downs == 1


def test_few_failures_are_no_outage() -> None:
    """Fewer than the quorum prove nothing, however long ago the first one was."""
    wire = Wire()
    wire.reach.succeeded()
    assert wire.fail(QUORUM - 1, every_s=100.0) == 0
    assert wire.downs == 0
