"""Alternating runs: every contestant once, then every contestant again, so that a drifting machine drifts for all."""

from __future__ import annotations

import statistics
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.benchmarks.contestants import Heat, Prepare
from tests.benchmarks.farm import SIZES
from tests.benchmarks.measuring import Failed, Measured, run

OURS = "wxrec_async"
Tell = Callable[[str], None]


@dataclass(slots=True)
class Lane:
    """Every run of one contestant in one heat; ``trouble`` is why it did not finish."""

    runs: list[Measured] = field(default_factory=list)
    trouble: str | None = None

    def median(self, figure: Callable[[Measured], float]) -> float:
        return statistics.median(map(figure, self.runs))


@dataclass(slots=True)
class Result:
    """One heat's lanes by contestant."""

    size: str
    count: int
    workers: int
    kind: str
    tls: bool
    lanes: dict[str, Lane] = field(default_factory=dict)

    @property
    def mib(self) -> float:
        return self.count * SIZES[self.size] / (1 << 20)

    def row(self, name: str) -> dict[str, float]:
        """Return MiB/s, recordings/s, CPU in ms per recording and MiB of peak memory, each a median."""
        lane = self.lanes[name]
        return {
            "mib_per_s": self.mib / lane.median(lambda each: each.seconds),
            "recordings_per_s": self.count / lane.median(lambda each: each.seconds),
            "cpu_ms": 1000 * lane.median(lambda each: each.cpu_s) / self.count,
            "peak_mib": lane.median(lambda each: each.peak_mib),
        }

    def ratio(self, name: str, figure: Callable[[Measured], float]) -> float:
        """Return the median, pair by pair, of our figure by another's."""
        ours, theirs = self.lanes[OURS].runs, self.lanes[name].runs
        return statistics.median(figure(a) / figure(b) for a, b in zip(ours, theirs, strict=False))

    def as_json(self) -> dict[str, object]:
        lanes = {
            name: {"runs": [asdict(each) for each in lane.runs], "trouble": lane.trouble}
            for name, lane in self.lanes.items()
        }
        rows = {name: self.row(name) for name, lane in self.lanes.items() if lane.runs}
        facts = {"size": self.size, "count": self.count, "workers": self.workers, "kind": self.kind, "tls": self.tls}
        return {**facts, "medians": rows, "lanes": lanes}


def race(heat: Heat, contestants: Mapping[str, Prepare], pairs: int, tell: Tell, slow: Sequence[str] = ()) -> Result:
    """Run ``pairs`` rounds; a contestant named in ``slow`` does a twentieth of the work, once, and is scaled up."""
    result = Result(heat.size, heat.count, heat.workers, heat.kind, heat.farm.tls)
    result.lanes = {name: Lane() for name in contestants}
    for number in range(pairs):
        for name, prepare in contestants.items():
            lane = result.lanes[name]
            if lane.trouble or (name in slow and number):
                continue
            try:
                lane.runs.append(_once(heat, prepare, 20 if name in slow else 1))
            except Failed as failure:
                lane.trouble = str(failure)
                tell(f"    {name}: {failure}")
    return result


def _once(heat: Heat, prepare: Prepare, share: int) -> Measured:
    """Run once and see that everything arrived; figures of a share of the work are scaled to the whole."""
    count = max(1, heat.count // share)
    part = Heat(heat.farm, heat.size, count, heat.workers, heat.kind, heat.rate)
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    heat.farm.clear()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        entry = prepare(part, Path(folder), bucket)
        measured = run(entry.command, env=entry.env, folder=Path(folder), timeout_s=1800)
    stored = heat.farm.counts().get("stored", 0)
    if stored < count:
        raise Failed(f"only {stored} of {count} recordings arrived")
    scale = heat.count / count
    return Measured(measured.seconds * scale, measured.cpu_s * scale, measured.peak_mib)
