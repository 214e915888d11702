"""Time that passes only when everybody waits, and work of threads done where it is asked for.

The loop, the wall clock and the servers go by one `Sky`.  `install` has to come
before the program is imported, because defaults such as ``clock=time.time`` are
bound then; a world is therefore always lived in a process of its own.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio.to_thread
from anyio.lowlevel import checkpoint

T = TypeVar("T")
REAL_TIME = time.time


class TooLong(BaseException):
    """A command took more virtual time than a command may; no handler of the program's is meant for it."""


@dataclass(slots=True)
class Sky:
    """The world's clock ``now``, epoch seconds; the program's own is wrong by ``skew_s``.

    ``until`` is when whoever is under way has taken too long.
    """

    now: float = 0.0
    skew_s: float = 0.0
    until: float = float("inf")
    active: bool = False

    def program(self) -> float:
        return self.now + self.skew_s if self.active else REAL_TIME()


SKY = Sky()


class _Jumping(selectors.DefaultSelector):
    """Never waits: where it would, virtual time moves on instead."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            if timeout is None or SKY.now + timeout > SKY.until:
                SKY.until = float("inf")  # the way out may take what it needs
                raise TooLong
            SKY.now += timeout
        return ready


class WorldLoop(asyncio.SelectorEventLoop):
    """Runs on the sky's time; everything else is asyncio's own."""

    def __init__(self) -> None:
        super().__init__(_Jumping())
        self._clock_resolution = 1e-6  # epoch seconds as floats are no finer than that

    def time(self) -> float:
        return SKY.now

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Find every name without asking anybody: in a thread of the executor this would take no time of the sky's."""
        await checkpoint()
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port or 0))]


class _Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return WorldLoop()


async def _at_once(func: Callable[..., T], *args: Any, **_: Any) -> T:
    await checkpoint()
    return func(*args)


def install() -> None:
    """Make this process one of worlds, for good."""
    time.time = SKY.program
    anyio.to_thread.run_sync = _at_once  # type: ignore[assignment]
    asyncio.set_event_loop_policy(_Policy())
