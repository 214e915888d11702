"""An event loop whose clock jumps: a test of ten minutes takes none, and one that hangs fails at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import anyio


class _Jumping(selectors.DefaultSelector):
    """Never waits: where it would, virtual time moves on instead."""

    now = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits for somebody: a deadlock")
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs on virtual time; everything else is asyncio's own."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9  # timers fire at their own moment, not a tick early

    def time(self) -> float:
        return self._jumping.now

    def hold(self, seconds: float) -> None:
        """Let time pass as if somebody kept the loop busy: whoever waits wakes late."""
        self._jumping.now += seconds


OPTIONS: dict[str, Any] = {"loop_factory": VirtualLoop}


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run ``main`` to its end in virtual time; for tests that hypothesis calls many times."""
    anyio.run(main, backend_options=OPTIONS)
