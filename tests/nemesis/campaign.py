"""One run from plan to verdict, and how it is told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.nemesis.judge import Evidence, Verdict, judge
from tests.nemesis.plan import Mode, make
from tests.nemesis.world import Round, moments, world

SHOWN = 5
MORE_ROUNDS = 3  # one for what came late, one for what used up its tries, one to spare


@dataclass(frozen=True, slots=True)
class Asked:
    """What to run.  ``within_s`` bounds every single start of the program."""

    recordings: int
    seed: int
    concurrency: int
    mode: Mode = "all"
    kills: int = 0
    large_every: int = 50
    within_s: float = 600.0


@dataclass(slots=True)
class Result:
    """What came of it."""

    asked: Asked
    verdict: Verdict
    rounds: list[Round] = field(default_factory=list)
    hits: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        names = ("recordings", "seed", "concurrency", "mode", "kills")
        return {
            **{name: getattr(self.asked, name) for name in names},
            "clean": self.verdict.clean,
            "violations": {name: len(found) for name, found in self.verdict.violations.items()},
            "examples": {name: found[:SHOWN] for name, found in self.verdict.violations.items() if found},
            "figures": self.verdict.figures,
            "exit_codes": [each.code for each in self.rounds],
            "hits": self.hits,
            "wall_seconds": round(self.seconds, 1),
        }


def run(asked: Asked) -> Result:
    """Run until everything has come to rest, or has had every chance to, and judge."""
    begun = time.monotonic()
    plan = make(asked.seed, asked.recordings, asked.mode, asked.large_every)
    with world(plan, asked.concurrency) as here:
        for moment in moments(asked.seed, asked.kills, max(4.0, asked.recordings / 40)):
            if not here.run(within_s=asked.within_s, kill_after_s=moment).killed:
                break
        for _ in range(plan.stops + MORE_ROUNDS):
            here.run(within_s=asked.within_s)
            verdict = judge(evidence := Evidence.of(here), plan, here)
            if not verdict.unfinished:
                break
        hits = evidence.faults["campaign"]
        return Result(asked, verdict, here.rounds, hits, time.monotonic() - begun)


def table(result: Result) -> str:
    """Write a result for people."""
    asked = result.asked
    lines = [f"seed {asked.seed}, K = {asked.concurrency}, faults: {asked.mode}, kills: {asked.kills}"]
    lines += [f"  {name:32} {value:>12,g}" for name, value in result.verdict.figures.items()]
    lines.append(f"  {'exit codes':32} {' '.join(str(each.code) for each in result.rounds):>12}")
    for name, found in result.verdict.violations.items():
        lines.append(f"  {name:32} {len(found):>12}{'  <-- must be 0' if found else ''}")
        lines += [f"      {words}" for words in found[:SHOWN]]
    lines.append("  " + ("green" if result.verdict.clean else "RED"))
    return "\n".join(lines)
