"""The release tier: 100,000 recordings over ten seeds and three concurrencies, by hand.

Each seed's result is kept as soon as it is there, so a run that was broken off
goes on where it was; a green one is not run again until its file is removed.  The
summary names the machine, and for each seed the commit it was run on.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.nemesis.campaign import Asked, run, table

FOLDER = Path(__file__).parent / "release"
# (seed, concurrency, recordings): with one worker every pause is waited out alone, so it gets fewer.
RUNS = (
    *((seed, 1, 300) for seed in (101, 102)),
    *((seed, 16, 8_500) for seed in (103, 104, 105)),
    *((seed, 64, 14_800) for seed in (106, 107, 108, 109, 110)),
)
KILLS = 10
SUMMED = (
    "recordings",
    "stored",
    "failed as planned",
    "faults",
    "requests",
    "kills",
    "starts of the program",
    "seconds",
)


def main(folder: Path, scale: float, kills: int, jobs: int) -> int:
    """Run what is not there yet, ``jobs`` seeds at a time, and write the summary; returns the exit code.

    A run waits out many pauses, so a few of them share a processor well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        begun = [
            pool.submit(_one, folder, seed, workers, max(50, round(count * scale)), kills)
            for seed, workers, count in sorted(RUNS, key=lambda run: -run[2])
        ]
    rows = sorted((each.result() for each in begun), key=lambda row: int(row["seed"]))
    summary = {"commit": commit(), "machine": machine(), "scale": scale, "totals": _totals(rows), "runs": rows}
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    (folder / "summary.md").write_text(_markdown(summary))
    return 0 if all(row["clean"] for row in rows) else 1


def _one(folder: Path, seed: int, workers: int, recordings: int, kills: int) -> dict[str, Any]:
    path = folder / f"seed-{seed}.json"
    wanted = {"recordings": recordings, "concurrency": workers, "kills": kills or KILLS, "commit": commit()}
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        if kept["clean"] and all(kept[name] == value for name, value in wanted.items() if name != "commit"):
            return kept
    large_every = 50 if recordings <= 2000 else 500
    result = run(Asked(recordings, seed, workers, "all", kills or KILLS, large_every, within_s=7200))
    sys.stdout.write(table(result) + "\n")
    sys.stdout.flush()
    row = result.as_json() | wanted
    spare = path.with_suffix(".part")
    spare.write_text(json.dumps(row, indent=1) + "\n")
    spare.replace(path)
    return row


def commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _totals(rows: list[dict[str, Any]]) -> dict[str, float]:
    violations = {name for row in rows for name in row["violations"]}
    totals = {name: sum(row["figures"][name] for row in rows) for name in SUMMED}
    return totals | {name: sum(row["violations"].get(name, 0) for row in rows) for name in sorted(violations)}


def _markdown(summary: dict[str, Any]) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in summary["machine"].items())
    lines = ["# The release tier of the nemesis run", "", f"Commit {summary['commit']}; {machine}.", ""]
    lines += ["| | total |", "| --- | ---: |"]
    lines += [f"| {name} | {value:,.0f} |" for name, value in summary["totals"].items()]
    heads = "seed | K | recordings | faults | kinds | kills | seconds | commit | green"
    lines += ["", f"| {heads} |", "| ---: " * 7 + "| --- | --- |"]
    lines += [_cells(row) for row in summary["runs"]]
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any]) -> str:
    figures = row["figures"]
    numbers = [row["seed"], row["concurrency"], figures["recordings"], figures["faults"]]
    numbers += [figures["kinds of fault hit"], figures["kills"], figures["seconds"]]
    return (
        f"| {' | '.join(f'{number:,g}' for number in numbers)} | {row['commit']} | {'yes' if row['clean'] else 'NO'} |"
    )
