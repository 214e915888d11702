"""Time that is moved by hand: the world's clock, the program's clock, and the loop's own.

The sandbox goes by the world's.  The program's clock on the wall may be wrong
against it, and the loop's clock, which nobody can set, moves with both when
somebody waits.  A process that was stopped finds all three further on; in a
machine that slept, the loop's stood still.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable
from dataclasses import dataclass, field

from anyio.lowlevel import checkpoint

HOUR_S, DAY_S = 3600.0, 86_400.0


class SkyLoop(asyncio.SelectorEventLoop):
    """A loop on real sockets whose clock can be put forward by ``ahead_s``: what was due by then is due at once."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


@dataclass(slots=True)
class Sky:
    """The world's clock ``now``, epoch seconds; the program's is wrong by ``skew_s``.

    ``plan`` holds what happens at which moment of the world; ``naps`` is how often somebody waited, and
    ``shortest_s`` and ``longest_s`` for how long.  ``resting`` is called at every twentieth nap.
    """

    now: float
    skew_s: float = 0.0
    naps: int = 0
    shortest_s: float = DAY_S
    longest_s: float = 0.0
    resting: Callable[[], None] = lambda: None
    plan: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def world(self) -> float:
        return self.now

    def program(self) -> float:
        return self.now + self.skew_s

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Let something happen at a moment, in the order in which it is said."""
        bisect.insort_right(self.plan, (moment, act), key=lambda each: each[0])

    def move(self, seconds: float, *, loop_too: bool = True) -> None:
        """Let time pass, and what was planned for it happen."""
        self.now += seconds
        if loop_too:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SkyLoop)
            loop.ahead_s += seconds
        while self.plan and self.plan[0][0] <= self.now:
            self.plan.pop(0)[1]()

    async def pause(self, seconds: float) -> None:
        """Stand in for sleeping."""
        self.naps += 1
        self.shortest_s, self.longest_s = min(self.shortest_s, seconds), max(self.longest_s, seconds)
        await checkpoint()
        self.move(seconds)
        if self.naps % 20 == 0:
            self.resting()
