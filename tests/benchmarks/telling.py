"""What was measured, for people: a table, JSON, and one picture.

Several invocations fill one results.json: a heat takes the place of an earlier
one of its name and keeps the facts it was run under.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks import picture, verdict
from tests.benchmarks.heats import Planned
from tests.benchmarks.race import OURS, Result, cpu, wall

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent / "wxrec_async"
KEPT = HERE / "results"


def table(name: str, result: Result) -> str:
    """Write one heat as lines of text."""
    facts = f"{result.count} recordings, {result.workers} at once, {'TLS' if result.tls else 'plain'}"
    rounds = max((len(lane.runs) for lane in result.lanes.values()), default=0)
    lines = [
        f"{name}: {facts}, {rounds} rounds",
        f"  {'':26}{'MiB/s':>9}{'rec/s':>9}{'CPU ms':>9}{'peak MiB':>10}   ours against it",
    ]
    for contestant, lane in result.lanes.items():
        if not lane.runs:
            lines.append(f"  {contestant:26}did not finish")
            continue
        row = result.row(contestant)
        figures = f"{row['mib_per_s']:9.1f}{row['recordings_per_s']:9.1f}{row['cpu_ms']:9.2f}{row['peak_mib']:10.0f}"
        share = f"   (by {lane.moved} recordings, once)" if lane.moved else ""
        lines.append(f"  {contestant:26}{figures}{_against(result, contestant)}{share}")
    return "\n".join(lines)


def _against(result: Result, contestant: str) -> str:
    if contestant == OURS:
        return ""
    time, work = result.ratio(contestant, wall), result.ratio(contestant, cpu)
    return f"   {1 / time:.2f} x speed, {work:.2f} x CPU" if time and work else ""


def machine() -> dict[str, Any]:
    """Return what the figures depend on; no name of the machine, no path."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": cpus[0].partition(":")[2].strip() if cpus else platform.machine(),
        "cores": len(cpus),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit(),
    }


def commit() -> str:
    """Return the last commit of the package, and whether it has been changed since."""
    changed = _git("status", "--porcelain", "--", str(PACKAGE))
    return _git("log", "-1", "--format=%h", "--", str(PACKAGE)) + ("+changes" if changed else "")


def _git(*words: str) -> str:
    found = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def kept(folder: Path) -> dict[str, Result]:
    """Return the heats that earlier invocations left in ``folder``."""
    path = folder / "results.json"
    if not path.exists():
        return {}
    return {name: Result.from_json(told) for name, told in json.loads(path.read_text())["heats"].items()}


def is_done(results: Mapping[str, Result], planned: Planned, facts: Mapping[str, Any]) -> bool:
    """Say whether a heat was run to its end by this very commit on such a machine."""
    found = results.get(planned.name)
    if found is None or (found.facts, found.count, found.workers) != (facts, planned.count, planned.workers):
        return False
    return not any(lane.trouble for lane in found.lanes.values())


def write(folder: Path, results: Mapping[str, Result], plan: list[str]) -> None:
    """Write ``results.json``, ``results.txt`` and ``results.svg``, heats in the order of ``plan``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in plan if name in results] + [name for name in results if name not in plan]
    ordered = {name: results[name] for name in names}
    judged = verdict.judge(ordered)
    told = {"verdict": verdict.as_json(judged), "heats": {name: each.as_json() for name, each in ordered.items()}}
    (folder / "results.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / "results.txt").write_text(text(ordered))
    picture.draw(ordered, folder / "results.svg")


def text(results: Mapping[str, Result]) -> str:
    """Write everything: facts, verdict, every heat."""
    groups: dict[str, list[str]] = {}
    for name, result in results.items():
        facts = ", ".join(f"{key} {value}" for key, value in result.facts.items())
        groups.setdefault(facts, []).append(table(name, result))
    heats = "\n\n".join("\n\n".join([facts, *tables]) for facts, tables in groups.items())
    return f"{verdict.table(verdict.judge(results))}\n\n{heats}\n"
