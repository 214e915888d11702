"""The pipe against a list: whatever is sent, taken, cancelled, finished or failed, in whatever order."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.stateful import walks
from wxrec_async.plumbing.pipe import Chunk, Pipe

LIMIT = 10
TURNS = 5


class PipeMachine(RuleBasedStateMachine):
    """One writer and one reader, each with at most one call under way; ``sent`` is what the pipe has accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.pipe = Pipe(LIMIT)
        self.sending: tuple[asyncio.Task[None], bytes] | None = None
        self.taking: asyncio.Task[Chunk] | None = None
        self.sent = b""
        self.taken = b""
        self.held: list[int] = []
        self.finished = self.abandoned = False
        self.failure: Exception | None = None
        self.next_byte = 0

    def turn(self) -> None:
        """Let the loop turn until nothing moves, and note what came of the calls under way."""

        async def wait() -> None:
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(wait())
        self._note_sent()
        self._note_taken()

    def _note_sent(self) -> None:
        if self.sending is None or not self.sending[0].done():
            return
        (task, chunk), self.sending = self.sending, None
        if task.cancelled():
            return
        failure = task.exception()
        if failure is None:
            self.sent += chunk
            self.held += [len(chunk)] if chunk else []
        elif self.abandoned:
            assert isinstance(failure, anyio.BrokenResourceError)
        else:
            assert isinstance(failure, RuntimeError)
            assert self.finished or self.failure

    def _note_taken(self) -> None:
        if self.taking is None or not self.taking.done():
            return
        task, self.taking = self.taking, None
        if task.cancelled():
            return
        failure = task.exception()
        if failure is None:
            self.taken += bytes(task.result())
        elif self.failure is not None:
            assert failure is self.failure
            assert self.taken == self.sent
        else:
            assert str(failure) == "the end"
            assert self.finished
            assert self.taken == self.sent

    # The writer

    @precondition(lambda self: self.sending is None)
    @rule(size=st.integers(0, LIMIT + 5), at_once=st.booleans())
    def send(self, size: int, at_once: bool) -> None:
        chunk = bytes((self.next_byte + n) % 256 for n in range(size))
        self.next_byte += size
        self.sending = (self.loop.create_task(self.pipe.send(chunk)), chunk)
        if not at_once:
            self.turn()

    @precondition(lambda self: self.sending is not None)
    @rule()
    def cancel_send(self) -> None:
        assert self.sending is not None
        (task, chunk) = self.sending
        task.cancel()
        self.turn()
        if task.cancelled():
            self.next_byte -= len(chunk)  # it was not sent: the next one begins where it would have

    @rule()
    def finish(self) -> None:
        if self.failure is not None:
            with pytest.raises(RuntimeError):
                self.pipe.finish()
        elif self.sending is None:
            self.pipe.finish()
            self.finished = True
        self.turn()

    @rule()
    def fail(self) -> None:
        failure = OSError("the source broke")
        self.pipe.fail(failure)
        if not self.finished and self.failure is None:
            self.failure = failure
        self.turn()

    # The reader

    @precondition(lambda self: self.taking is None and not self.abandoned)
    @rule(at_once=st.booleans())
    def take(self, at_once: bool) -> None:
        async def next_chunk() -> Any:
            try:
                return await anext(self.pipe.__aiter__())
            except StopAsyncIteration:
                raise LookupError("the end") from None

        self.taking = self.loop.create_task(next_chunk())
        if not at_once:
            self.turn()

    @precondition(lambda self: self.taking is not None)
    @rule()
    def cancel_take(self) -> None:
        assert self.taking is not None
        self.taking.cancel()
        self.turn()

    @precondition(lambda self: self.taking is None)
    @rule()
    def abandon(self) -> None:
        self.pipe.abandon()
        self.abandoned = True
        self.turn()

    # What always holds

    @invariant()
    def bytes_come_in_order_and_none_is_made_up(self) -> None:
        assert self.sent.startswith(self.taken)
        assert self.pipe.taken == len(self.taken)
        assert self.sent == bytes(n % 256 for n in range(len(self.sent))) or self.finished or self.failure

    @invariant()
    def no_more_is_held_than_allowed(self) -> None:
        between = self.pipe.sent - self.pipe.taken
        assert self.abandoned or between <= max(LIMIT, max(self.held[-1:], default=0), LIMIT + 5)
        if not self.abandoned and between > LIMIT:
            assert between == self.held[-1]  # one chunk too large for the pipe, alone in it

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if self.sending is not None and self.sending[0]._state == "PENDING" and self.pipe.sent == self.pipe.taken:
            self.turn()
            assert self.sending is None
        if self.taking is not None and self.pipe.sent > self.pipe.taken:
            self.turn()
            assert self.taking is None

    def teardown(self) -> None:
        for task in (self.sending and self.sending[0], self.taking):
            if task is not None:
                task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


TestPipeMachine = PipeMachine.TestCase
TestPipeMachine.settings = walks(30)
