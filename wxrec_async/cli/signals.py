"""Signals: the first one drains, the second one aborts, the third one is the operating system's."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Protocol

import anyio
from anyio.abc import TaskStatus

from wxrec_async import events
from wxrec_async.events import Event

# SIGHUP as well: when a terminal is closed, what is in flight may still finish.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# The program is to be gone within five seconds of the second signal.
ABORT_PATIENCE_S = 4.0
ASK_AGAIN_S = 0.05


class Stoppable(Protocol):
    """What of a `Backfill` signals call."""

    def stop(self, reason: str) -> None: ...

    def abort(self) -> None: ...


class Stopper:
    """Turns signals into calls, and is the listener that knows whether they were heard.

    ``scope`` surrounds the work.  It is cancelled when nothing has begun that
    could drain, and when an abort takes longer than ``ABORT_PATIENCE_S``.
    """

    def __init__(self, message: Callable[[str], None], grace_s: float) -> None:
        self.scope = anyio.CancelScope()
        self.backfill: Stoppable | None = None
        self.signal: str | None = None
        self._message, self._grace_s = message, grace_s
        self._begun = self._draining = False

    def on_event(self, event: Event) -> None:
        """Notice that a run began, and that it drains."""
        self._begun = self._begun or isinstance(event, events.RunStarted)
        self._draining = self._draining or isinstance(event, events.Draining)

    async def listen(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Take signals until cancelled."""
        with anyio.open_signal_receiver(*SIGNALS) as signals:
            task_status.started()
            async with anyio.create_task_group() as group:
                async for number in signals:
                    if self.signal is None:
                        self.signal = number.name
                        # Beside this loop: it may wait until it is heard, and a second signal must get through.
                        group.start_soon(self._stop, number.name)
                    else:
                        break
                await self._abort()

    async def _stop(self, name: str) -> None:
        """Ask until it is heard: for a moment at its beginning a run cannot be stopped yet."""
        # Nothing is in flight, so there is nothing to wait for.
        if not self._begun or self.backfill is None:
            self._message(f"{name}: nothing was begun")
            self.scope.cancel()
            return
        again = "Ctrl-C again" if name == "SIGINT" else "a second signal"
        self._message(f"{name}: finishing what is in flight, for at most {self._grace_s:g} s; {again} breaks it off")
        self.backfill.stop(name)
        while not self._draining:
            await anyio.sleep(ASK_AGAIN_S)
            self.backfill.stop(name)

    async def _abort(self) -> None:
        self._message("breaking off")
        # Before the abort, which may hang: from here on a signal ends the process at once.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        if self.backfill is not None:
            self.backfill.abort()
        await anyio.sleep(ABORT_PATIENCE_S)
        self.scope.cancel()
