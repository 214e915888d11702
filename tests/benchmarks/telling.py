"""What was measured, for people: a table, JSON, and one picture."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.contestants import Peers
from tests.benchmarks.race import OURS, Result

HERE = Path(__file__).parent


def table(name: str, result: Result) -> str:
    """Write one heat as lines of text."""
    facts = f"{result.count} recordings, {result.workers} at once, {'TLS' if result.tls else 'plain'}"
    lines = [f"{name}: {facts}", f"  {'':20}{'MiB/s':>9}{'rec/s':>9}{'CPU ms':>9}{'peak MiB':>10}   ours against it"]
    for contestant, lane in result.lanes.items():
        if not lane.runs:
            lines.append(f"  {contestant:20}did not finish")
            continue
        row = result.row(contestant)
        figures = f"{row['mib_per_s']:9.1f}{row['recordings_per_s']:9.1f}{row['cpu_ms']:9.2f}{row['peak_mib']:10.0f}"
        lines.append(f"  {contestant:20}{figures}{_against(result, contestant)}")
    return "\n".join(lines)


def _against(result: Result, contestant: str) -> str:
    if contestant == OURS or not result.lanes[OURS].runs:
        return ""
    speed = 1 / result.ratio(contestant, lambda each: each.seconds)
    cpu = result.ratio(contestant, lambda each: each.cpu_s)
    return f"   {speed:.2f} x speed, {cpu:.2f} x CPU"


def machine() -> dict[str, object]:
    """Return what the figures depend on; no name of the machine."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": cpus[0].partition(":")[2].strip() if cpus else platform.machine(),
        "cores": len(cpus),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain") else ""),
    }


def _git(*words: str) -> str:
    found = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def write(folder: Path, results: Mapping[str, Result], peers: Peers) -> None:
    """Write ``results.json``, ``results.txt`` and ``results.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"machine": machine(), "heats": {name: result.as_json() for name, result in results.items()}}
    (folder / "results.json").write_text(json.dumps(told, indent=1) + "\n")
    facts = ", ".join(f"{key} {value}" for key, value in machine().items())
    text = "\n\n".join(table(name, result) for name, result in results.items())
    (folder / "results.txt").write_text(f"{facts}\n\n{text}\n")
    script = str(HERE / "picture.py")
    subprocess.run(
        [peers.path("python"), script, str(folder / "results.json"), str(folder / "results.png")], check=True
    )
