"""One run from outside: how it is stopped, hurried, and what ended it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.events import Draining, Emit, Event, UploadLeftOpen
from wxrec_async.orchestrator import Orchestrator
from wxrec_async.plumbing.groups import first_failure


class Run:
    """Prepares, then lets the orchestrator work; `stop` drains, and aborts when the grace period is over."""

    def __init__(
        self, orchestrator: Orchestrator, prepare: Callable[[], Awaitable[None]], *, grace_s: float, emit: Emit
    ) -> None:
        self._orchestrator, self._prepare = orchestrator, prepare
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
                if max_duration_s is not None:
                    group.start_soon(self._stop_after, max_duration_s)
                with self._preparing:
                    await self._prepare()
                await self._orchestrator.run()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as failures:
            failure = first_failure(failures)
            if isinstance(failure, AuthError | RunStopped):
                return failure
            raise failure from None
        return None

    async def _abort_after_grace(self) -> None:
        await self._draining.wait()
        await anyio.sleep(self._grace_s)
        self.abort()

    async def _stop_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self.stop("max_duration")


class LeftOpen:
    """Passes events on, and remembers which uploads were left open."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.uploads: set[tuple[str, str]] = set()

    def __call__(self, event: Event) -> None:
        if isinstance(event, UploadLeftOpen):
            self.uploads.add((event.key, event.upload_id))
        self._emit(event)
