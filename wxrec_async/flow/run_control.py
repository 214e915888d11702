"""One run from outside: how it is stopped, hurried, watched, and what ended it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.events import Draining, Emit, Event, Gauges, Warned
from wxrec_async.flow.orchestrator import Orchestrator
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.rules.server_time import Moment, sleep_notice

GAUGES_EVERY_S = 5.0


def both_clocks(now_ms: Callable[[], int]) -> Moment:
    """Read this machine's time, and the clock that goes on while it sleeps, where the system has one (Linux)."""
    awake_or_not = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Moment(now_ms() / 1000, time.clock_gettime(awake_or_not))


class BudgetMeter:
    """How much of a request budget is used; ``passed`` counts its requests, ever."""

    def __init__(self, passed: Callable[[], int], per_minute: float) -> None:
        self._passed, self._per_second = passed, per_minute / 60
        self._seen, self._since = passed(), anyio.current_time()

    def used(self) -> tuple[int, float]:
        """Return the requests since the last call, and their share of what was allowed in that time (at most 1)."""
        now, passed = anyio.current_time(), self._passed()
        requests, seconds = passed - self._seen, now - self._since
        self._seen, self._since = passed, now
        return requests, min(1.0, requests / (seconds * self._per_second)) if seconds > 0 else 0.0


class RunControl:
    """Prepares, then lets the orchestrator work; `stop` drains, and aborts when the grace period is over.

    ``moment`` reads this machine's clocks, to notice that it slept.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        prepare: Callable[[], Awaitable[None]],
        budget: BudgetMeter,
        *,
        grace_s: float,
        emit: Emit,
        moment: Callable[[], Moment],
    ) -> None:
        self._moment = moment
        self._orchestrator, self._prepare, self._budget = orchestrator, prepare, budget
        self._grace_s, self._emit = grace_s, emit
        self._draining = anyio.Event()
        self._preparing = anyio.CancelScope()

    def stop(self, reason: str) -> None:
        """Take no new work; what is in flight has the grace period to finish.  The first reason stays."""
        if not self._draining.is_set():
            self._emit(Draining(reason, self._grace_s))
        self._orchestrator.drain(reason)
        self._draining.set()

    def abort(self) -> None:
        """Break off what is in flight."""
        self._orchestrator.abort()
        self._preparing.cancel()

    async def carry_out(self, max_duration_s: float | None) -> AuthError | RunStopped | None:
        """Do it all; return what ended it before its time, when that is for the summary to tell."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._abort_after_grace)
                group.start_soon(self._tell_gauges)
                if max_duration_s is not None:
                    group.start_soon(self._stop_after, max_duration_s)
                # A scope of its own for `abort`.  The orchestrator comes after it in any case, and
                # ends at once when it was aborted.
                with self._preparing:
                    await self._prepare()
                await self._orchestrator.run()
                # The watchers beside the work have no end of their own.
                group.cancel_scope.cancel()
        except BaseExceptionGroup as failures:
            failure = first_failure(failures)
            if isinstance(failure, AuthError | RunStopped):
                return failure
            raise failure from None
        finally:
            # Whoever shows them would go on showing the last ones.
            self._emit(Gauges(0, 0, 0, self._budget.used()[0], 0.0))
        return None

    async def _tell_gauges(self) -> None:
        while True:
            before = self._moment()
            await anyio.sleep(GAUGES_EVERY_S)
            if notice := sleep_notice(before, self._moment(), GAUGES_EVERY_S):
                self._emit(Warned("slept", notice))
            self._emit(Gauges(*self._orchestrator.load, *self._budget.used()))

    async def _abort_after_grace(self) -> None:
        await self._draining.wait()
        await anyio.sleep(self._grace_s)
        self.abort()

    async def _stop_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self.stop("max_duration")


class EventBroadcaster:
    """Passes events on to who listens."""

    def __init__(self, emit: Emit) -> None:
        self._listeners = [emit]

    def __call__(self, event: Event) -> None:
        for listen in self._listeners:
            listen(event)

    @contextmanager
    def heard_by(self, listener: Emit | None) -> Iterator[None]:
        """Pass events on to one listener more while the context lasts."""
        before = self._listeners
        self._listeners = [*before, listener] if listener else before
        try:
            yield
        finally:
            self._listeners = before
