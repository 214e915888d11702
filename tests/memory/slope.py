"""What a task more costs in memory that is never given back."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.memory.crowd import Crowd
from tests.memory.watching import watching
from wxrec_async.sandbox import Options, Sandbox

PER = 100_000


@dataclass(frozen=True, slots=True)
class Slope:
    """A run: ``curve`` is (tasks listed, MiB resident), ``mib_per_100k`` the line through it after the warm-up.

    ``tail_mib`` is what the end of the run, with its counting, took above all that.
    """

    tasks: int
    code: int
    curve: tuple[tuple[int, float], ...]
    peak_mib: float
    ceiling_mib: int
    said: str

    @property
    def mib_per_100k(self) -> float:
        return PER * line([point for point in self.curve if self.tasks / 10 <= point[0] < self.tasks])

    @property
    def tail_mib(self) -> float:
        return self.peak_mib - max(mib for listed, mib in self.curve if listed < self.tasks)

    def thinned(self, points: int = 20) -> list[tuple[int, float]]:
        """Return the curve at about so many tasks, evenly spread: the largest size seen in each stretch."""
        width = max(1, self.tasks // points)
        groups = itertools.groupby(self.curve, key=lambda point: point[0] // width)
        return [(number * width, max(mib for _, mib in group)) for number, group in groups]


def line(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line through points, 0 when they have none."""
    if len(points) < 2:
        return 0.0
    middle = sum(x for x, _ in points) / len(points)
    height = sum(y for _, y in points) / len(points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - height) for x, y in points) / spread if spread else 0.0


async def measure(folder: Path, tasks: int, *, days: float = 7, recorded: int = 20, concurrency: int = 32) -> Slope:
    """Run the program once over ``tasks`` tasks and watch it."""
    crowd = Crowd(tasks, days=days, recorded=recorded)
    options = Options(organisation=crowd, discard=True, requests_per_minute=0)
    async with Sandbox(options) as sandbox:
        sandbox.log.entries = deque(maxlen=1000)  # a million requests are not to be kept
        arguments = ("--concurrency", str(concurrency))
        async with watching(sandbox, folder, lambda: crowd.shown, arguments) as watched:
            code = await watched.process.wait()
        return Slope(tasks, code, tuple(watched.curve), watched.peak_mib, watched.ceiling_mib, watched.said)
