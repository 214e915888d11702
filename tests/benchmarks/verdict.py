"""What was to be reached, and what was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.benchmarks.farm import SIZES
from tests.benchmarks.heats import GROWN, MORE_WORKERS, PSEUDO, RCLONE, SUSTAINED, WIDE_BYTES_PER_S, WIDE_NETWORK
from tests.benchmarks.heats import WIDE_OURS as MANY
from tests.benchmarks.race import OURS, Figure, Result, cpu, memory, wall

Results = Mapping[str, Result]
Measure = Callable[[Results], float | None]


@dataclass(frozen=True, slots=True)
class Target:
    """``must`` has to be reached, ``aim`` is hoped for; of CPU and memory less is better."""

    name: str
    must: float
    aim: float
    measure: Measure
    unit: str = "x"
    less_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A target and what was measured of it; None: its heat was not run, or did not finish."""

    target: Target
    measured: float | None

    @property
    def word(self) -> str:
        """``aim``, ``reached``, ``missed`` or ``not run``."""
        if self.measured is None:
            return "not run"
        sign = -1 if self.target.less_is_better else 1
        found = sign * self.measured
        return "aim" if found >= sign * self.target.aim else "reached" if found >= sign * self.target.must else "missed"


def _ratio(heat: str, other: str, figure: Figure, *, ours: str = OURS, inverse: bool = False) -> Measure:
    """Ours by another's, pair by pair; the ``inverse`` of a time is a speed."""

    def measure(results: Results) -> float | None:
        found = results[heat].ratio(other, figure, ours) if heat in results else None
        return 1 / found if found and inverse else found

    return measure


def _speed(heat: str, other: str, ours: str = OURS) -> Measure:
    return _ratio(heat, other, wall, ours=ours, inverse=True)


def _sustained(results: Results) -> float | None:
    found = results.get(SUSTAINED)
    return found.row(OURS)["recordings_per_s"] if found and found.lanes[OURS].runs else None


def _share_of_ideal(results: Results) -> float | None:
    """Time every connection needs when all are busy from the first moment to the last, by the time it took."""
    found = results.get(WIDE_NETWORK)
    if found is None or not found.lanes[OURS].runs:
        return None
    ideal_s = found.count * SIZES[found.size] / (found.workers * WIDE_BYTES_PER_S)
    return ideal_s / found.lanes[OURS].median(wall)


def _growth(figure: Figure, *, each: bool) -> Measure:
    def measure(results: Results) -> float | None:
        ends = [results.get(name) for name in (GROWN[0], GROWN[-1])]
        found = [
            end.lanes[OURS].median(figure) / (end.count if each else 1) for end in ends if end and end.lanes[OURS].runs
        ]
        return found[1] / found[0] if len(found) == 2 else None

    return measure


TARGETS = (
    Target("5 MiB: MiB/s against rclone copy", 0.9, 1.2, _speed("5 MiB", RCLONE)),
    Target("64 MiB: MiB/s against rclone copy", 0.9, 1.2, _speed("64 MiB", RCLONE)),
    Target("5 MiB: CPU against rclone copy", 1.15, 0.95, _ratio("5 MiB", RCLONE, cpu), less_is_better=True),
    Target("1 MiB: recordings/s against rclone copy", 0.8, 1.1, _speed("1 MiB", RCLONE)),
    Target("100 KiB: recordings/s against rclone copy", 0.6, 1.0, _speed("100 KiB", RCLONE)),
    Target("100 KiB: recordings/s against the pseudo code", 20, 40, _speed("100 KiB", PSEUDO)),
    Target("5 MiB: sustained tasks/s, whole job", 50, 60, _sustained, unit="/s"),
    Target("100,000 against 1,000: CPU per recording", 1.05, 1.0, _growth(cpu, each=True), less_is_better=True),
    Target("100,000 against 1,000: peak memory", 1.05, 1.0, _growth(memory, each=False), less_is_better=True),
    Target("128 workers against 32, 100 KiB: recordings/s", 0.95, 1.1, _speed(MORE_WORKERS, OURS, ours=MANY)),
    Target("wide network, 32 workers: share of the ideal", 0.95, 0.98, _share_of_ideal, unit=""),
)


def judge(results: Results) -> list[Judged]:
    """Hold what was measured against every target, run or not."""
    return [Judged(target, target.measure(results)) for target in TARGETS]


def table(judged: list[Judged]) -> str:
    """Write the judgement as lines of text."""
    lines = [f"verdict{'':43}{'must':>8}{'aim':>8}{'measured':>10}"]
    for each in judged:
        target, found = each.target, "-" if each.measured is None else f"{each.measured:.2f}"
        unit = f" {target.unit}" if target.unit == "x" else target.unit
        figures = f"{target.must:g}{unit:2}".rjust(8) + f"{target.aim:g}{unit:2}".rjust(8)
        lines.append(f"  {target.name:48}{figures}{found:>10}  {each.word}")
    return "\n".join(lines)


def as_json(judged: list[Judged]) -> list[dict[str, object]]:
    """Return the judgement for results.json."""
    return [
        {"target": each.target.name, "must": each.target.must, "aim": each.target.aim, "unit": each.target.unit,
         "less_is_better": each.target.less_is_better, "measured": each.measured, "verdict": each.word}
        for each in judged
    ]  # fmt: skip
