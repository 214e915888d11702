"""How a worker spends a budget that somebody else keeps.

The engine lets a piece of work begin when one call to Webex is due, so the first
call of the work is paid for.  There is no second one: work from which nothing is
lost goes back (`Requeue`), and the engine lets it begin again when its next call
is due.  Only where going back would throw bytes away (a URL that expires in the
middle of a recording, a body that is fetched anew to tell a bad one from a bad
transfer) a further call is asked for, and waited for in place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from wxrec_async.errors import InvalidResponse, RemoteError
from wxrec_async.flow.part_reader import MediaStream
from wxrec_async.flow.transfer import MediaSource
from wxrec_async.model import Recording
from wxrec_async.plumbing.pacer import CircuitBreaker, Pacer
from wxrec_async.plumbing.retrying import OperationFailed, RetryPolicy
from wxrec_async.rules.redact import redact_text
from wxrec_async.rules.retry import Attempts, Decision, GiveUp, PauseAll, RetryAfter
from wxrec_async.webex.media import Renew
from wxrec_async.wiring.account import CallPolicy

# A reason that never leaves this room: `BatchWorker.store` turns it into "comes back".
FRESH_URL = "fresh_url"
# After that it is asked for in place: waiting for room may outlast a URL each time.
MAX_RETURNS = 3

ExtraCall = Callable[[], Awaitable[None]]


class Requeue(Exception):
    """Let this work begin again after ``after_s`` seconds; ``tries`` is its history then."""

    def __init__(self, why: str, after_s: float, tries: Attempts) -> None:
        super().__init__(why)
        self.after_s, self.tries = after_s, tries


class BudgetSpent(Exception):
    """The one call that was paid for is made, and another one is needed to go on: the token was refused."""


@dataclass(slots=True)
class CallAllowance:
    """What one piece of work may ask of Webex: ``calls`` that are paid for; ``in_place`` waits for more."""

    calls: int = 1
    tries: Attempts = field(default_factory=Attempts)
    in_place: bool = False


# Per piece of work, not per worker: many of them share one client, and each has paid for its own call.
_ALLOWED: ContextVar[CallAllowance] = ContextVar("allowance")


@contextmanager
def allowed(allowance: CallAllowance) -> Iterator[None]:
    """Work on these terms while the context lasts, in this task and those it starts."""
    token = _ALLOWED.set(allowance)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


class EngineCallPolicy(CallPolicy):
    """Calls are paid for by the engine: one at the beginning, others by ``further``, which returns when one is due."""

    def __init__(self, further: ExtraCall) -> None:
        self._further = further
        self.under_way: dict[tuple[str, str], MediaStream] = {}
        self.returns: dict[tuple[str, str], int] = {}

    def pacer(self, per_minute: float, gate: CircuitBreaker) -> Pacer:
        return PaidPacer(per_minute, gate, self._further)

    def judge(self, judge: RetryPolicy) -> RetryPolicy:
        def judged(trouble: RemoteError, tries: Attempts, chance: float) -> Decision:
            allowance = _ALLOWED.get()
            if allowance.in_place:
                return judge(trouble, tries, chance)
            # Attempts and waits are those of all attempts at this piece, on whatever machine; what tells of this
            # worker's own network is its own.
            tries = replace(allowance.tries, digests=tries.digests, outage_s=tries.outage_s)
            decision = judge(trouble, tries, chance)
            # Waiting would hold a slot of the worker, and a second call would not be paid for.
            if isinstance(decision, RetryAfter | PauseAll):
                raise Requeue(redact_text(str(trouble)), decision.after_s, tries.counted(decision)) from None
            return decision

        return judged

    def renew(self, renew: Renew) -> Renew:
        async def renewed(recording: Recording) -> Recording:
            if self._can_go_back(recording):
                raise OperationFailed(GiveUp(FRESH_URL), InvalidResponse("its URL has expired"))
            # Going back would throw bytes away, or never end (`_can_go_back`).
            with allowed(CallAllowance(calls=0, in_place=True)):
                return await renew(recording)

        return renewed

    def _can_go_back(self, recording: Recording) -> bool:
        """Not with bytes in hand, not when `transfer` begins anew on purpose, and not for ever."""
        key = (recording.task_id, recording.id)
        stream = self.under_way.get(key)
        begun = stream is not None and stream.offset > 0
        return not begun and recording.lease_s > 0 and self.returns.get(key, 0) < MAX_RETURNS

    def watched(self, source: MediaSource) -> MediaSource:
        """Return ``source`` so that its open streams are in ``under_way``."""
        return _Watched(source, self.under_way)


class _Watched:
    """A `MediaSource` whose open streams others can look at."""

    def __init__(self, source: MediaSource, streams: dict[tuple[str, str], MediaStream]) -> None:
        self._source, self._streams = source, streams

    @asynccontextmanager
    async def open(self, recording: Recording) -> AsyncIterator[MediaStream]:
        """See `flow.transfer.MediaSource`."""
        key = (recording.task_id, recording.id)
        async with self._source.open(recording) as stream:
            self._streams[key] = stream
            try:
                yield stream
            finally:
                self._streams.pop(key, None)


class PaidPacer(Pacer):
    """A `Pacer` for one worker that lets nothing through that is not paid for, and keeps its own gate and spacing."""

    def __init__(self, per_minute: float, gate: CircuitBreaker, further: ExtraCall) -> None:
        super().__init__(per_minute, gate=gate)
        self._further = further

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """See `Pacer.turn`; raises `BudgetSpent` when the work should go back for its next call."""
        allowance = _ALLOWED.get()
        if allowance.calls:
            allowance.calls -= 1
        elif allowance.in_place:
            await self._further()
        else:
            raise BudgetSpent
        # Paid for, and yet this worker's gate may be closed: by a Retry-After that another call was given.
        async with super().turn():
            yield
