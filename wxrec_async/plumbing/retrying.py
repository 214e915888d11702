"""Carries out a retry decision: waits, calls again, reports."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from wxrec_async.errors import AuthError, ConnectError, HTTPStatusError, InvalidResponse, RemoteError, RunStopped
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.rules.retry import Attempts, Decision, PauseAll, RetryAfter, StopRun

T = TypeVar("T")
RetryPolicy = Callable[[RemoteError, Attempts, float], Decision]
OnRetry = Callable[[str, int, float, RemoteError], None]


class OperationFailed(Exception):
    """A decision that ends the operation; ``trouble`` is its last failure."""

    def __init__(self, decision: Decision, trouble: RemoteError) -> None:
        super().__init__(str(trouble))
        self.decision, self.trouble = decision, trouble


class Retrier:
    """Tries one kind of operation until it succeeds or `rules.retry` says otherwise.

    ``gate`` is shared by all who talk to the same server; ``on_retry`` gets the
    operation's name, the attempt, the wait in seconds and the failure.
    """

    def __init__(
        self,
        judge: RetryPolicy,
        *,
        gate: CircuitBreaker,
        reach: NetworkMonitor,
        on_retry: OnRetry,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._judge, self._gate, self._reach = judge, gate, reach
        self._on_retry, self._chance = on_retry, chance

    async def run(self, operation: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Call ``attempt`` until it returns.

        Raises `OperationFailed` with the decision when it will not be tried again, and
        `AuthError` or `RunStopped` when nobody should go on.
        """
        tries = Attempts()
        while True:
            try:
                result = await attempt()
            except RemoteError as trouble:
                tries = await self.after(operation, trouble, tries)
            else:
                self._reach.succeeded()
                return result

    async def after(self, operation: str, trouble: RemoteError, tries: Attempts) -> Attempts:
        """Judge ``trouble``; wait when it is to be tried again, else raise as `run` does."""
        tries = tries.seeing(trouble, self._outage_s(trouble))
        decision = self._judge(trouble, tries, self._chance())
        match decision:
            case RetryAfter(after_s=after_s):
                self._on_retry(operation, tries.attempts + 1, after_s, trouble)
                await anyio.sleep(after_s)
            case PauseAll(after_s=after_s):
                self._on_retry(operation, tries.attempts + 1, after_s, trouble)
                # The gate and no sleep of our own: others may learn of a longer wait meanwhile.
                self._gate.close(after_s)
                await self._gate.wait_open()
            case StopRun(reason=reason, auth=True):
                raise AuthError(reason, tracking_id=getattr(trouble, "tracking_id", None)) from None
            case StopRun(reason=reason):
                raise RunStopped(reason) from None
            case _:
                raise OperationFailed(decision, trouble) from None
        return tries.counted(decision)

    def _outage_s(self, trouble: RemoteError) -> float:
        """Tell the others what this failure shows of the network; return for how long it has been down."""
        if isinstance(trouble, ConnectError):
            return self._reach.failed()
        if isinstance(trouble, HTTPStatusError | InvalidResponse):
            self._reach.succeeded()  # an answer, if not the one we want
        return 0.0
