"""Alternating runs: every contestant once, then every contestant again, so that a drifting machine drifts for all."""

from __future__ import annotations

import statistics
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.contestants import Heat, Prepare
from tests.benchmarks.farm import SIZES
from tests.benchmarks.measuring import Failed, Measured, run

OURS = "wxrec_async"
PATIENCE_S = 1800.0
Tell = Callable[[str], None]
Figure = Callable[[Measured], float]


def wall(run: Measured) -> float:
    return run.seconds


def cpu(run: Measured) -> float:
    return run.cpu_s


def memory(run: Measured) -> float:
    return run.peak_mib


@dataclass(slots=True)
class Lane:
    """Every run of one contestant in one heat, for a whole heat's work.

    ``moved`` is how many recordings it was given, when that was a share of the
    work and its figures are scaled up; ``trouble`` is why it did not finish.
    """

    runs: list[Measured] = field(default_factory=list)
    trouble: str | None = None
    moved: int | None = None

    def median(self, figure: Figure) -> float:
        return statistics.median(map(figure, self.runs))


@dataclass(slots=True)
class Result:
    """One heat's lanes by contestant; ``facts`` tells what it ran on."""

    size: str
    count: int
    workers: int
    kind: str
    tls: bool
    facts: dict[str, Any] = field(default_factory=dict)
    lanes: dict[str, Lane] = field(default_factory=dict)

    @property
    def mib(self) -> float:
        return self.count * SIZES[self.size] / (1 << 20)

    def row(self, name: str) -> dict[str, float]:
        """Return MiB/s, recordings/s, CPU in ms per recording and MiB of peak memory, each a median."""
        lane = self.lanes[name]
        return {
            "mib_per_s": self.mib / lane.median(wall),
            "recordings_per_s": self.count / lane.median(wall),
            "cpu_ms": 1000 * lane.median(cpu) / self.count,
            "peak_mib": lane.median(memory),
        }

    def ratio(self, name: str, figure: Figure, ours: str = OURS) -> float | None:
        """Return the median, pair by pair, of our figure by another's; None when one of the two did not run."""
        pairs = [(figure(a), figure(b)) for a, b in zip(self._runs(ours), self._runs(name), strict=False)]
        return statistics.median(a / b for a, b in pairs) if pairs else None

    def _runs(self, name: str) -> list[Measured]:
        return self.lanes[name].runs if name in self.lanes else []

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads; ``medians`` is for people."""
        return {**asdict(self), "medians": {name: self.row(name) for name, lane in self.lanes.items() if lane.runs}}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Result:
        """Read a kept heat."""
        lanes = {
            name: Lane([Measured(**run) for run in lane["runs"]], lane["trouble"], lane["moved"])
            for name, lane in told["lanes"].items()
        }
        given = {name: told[name] for name in ("size", "count", "workers", "kind", "tls", "facts")}
        return cls(**given, lanes=lanes)


def race(
    heat: Heat, contestants: Mapping[str, Prepare], pairs: int, tell: Tell, shares: Mapping[str, int] | None = None
) -> Result:
    """Run ``pairs`` rounds; a contestant in ``shares`` moves only so many recordings, once, and is scaled up."""
    shares = shares or {}
    result = Result(heat.size, heat.count, heat.workers, heat.kind, heat.farm.tls)
    result.lanes = {name: Lane(moved=_share(shares.get(name), heat.count)) for name in contestants}
    for number in range(pairs):
        for name, prepare in contestants.items():
            lane = result.lanes[name]
            if lane.trouble or (lane.moved and number):
                continue
            try:
                lane.runs.append(once(heat, prepare, lane.moved or heat.count))
            except Failed as failure:
                lane.trouble = str(failure)
                tell(f"    {name}: {failure}")
    return result


def _share(wanted: int | None, count: int) -> int | None:
    return wanted if wanted and wanted < count else None


def once(heat: Heat, prepare: Prepare, count: int) -> Measured:
    """Run once with ``count`` recordings, see that everything arrived, and scale the figures to the whole heat.

    Raises `Failed` when it ended badly or fewer recordings arrived.
    """
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    heat.farm.clear()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        entry = prepare(replace(heat, count=count), Path(folder), bucket)
        measured = run(entry.command, env=entry.env, folder=Path(folder), timeout_s=PATIENCE_S)
    stored = heat.farm.counts().get("stored", 0)
    if stored < count:
        raise Failed(f"only {stored} of {count} recordings arrived")
    scale = heat.count / count
    return Measured(measured.seconds * scale, measured.cpu_s * scale, measured.peak_mib)
