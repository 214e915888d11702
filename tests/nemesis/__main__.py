"""``python -m tests.nemesis``: see the package's own words, or ``--help``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.nemesis import release
from tests.nemesis.campaign import Asked, Result, run, table

COMMIT_SEEDS = (7,)
COMMIT_RECORDINGS, COMMIT_CONCURRENCY = 1000, 32
MOST_AMPLIFIED = 1.5


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.nemesis", description="Faults by the thousand, judged.")
    found.add_argument("--recordings", type=int, default=COMMIT_RECORDINGS)
    found.add_argument("--seed", type=int, nargs="*", default=list(COMMIT_SEEDS), help="one run for each")
    found.add_argument("--concurrency", type=int, default=COMMIT_CONCURRENCY)
    found.add_argument("--faults", choices=("all", "transient20", "none"), default="all")
    found.add_argument("--kills", type=int, default=0, help="kill -9 at so many random moments first")
    found.add_argument("--tier", choices=("commit", "release"), help="the sizes of the two tiers")
    found.add_argument("--scale", type=float, default=1.0, help="release tier: a part of it, to try it out")
    found.add_argument("--jobs", type=int, default=1, help="release tier: so many seeds at a time")
    found.add_argument("--folder", type=Path, default=release.FOLDER, help="release tier: where its summary is kept")
    found.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of the clauses that end both processes
    if given.tier == "release":
        return release.main(given.folder, given.scale, given.kills, given.jobs)
    if given.tier == "commit":
        given.recordings, given.concurrency = COMMIT_RECORDINGS, COMMIT_CONCURRENCY
    results = []
    for seed in given.seed:
        results.append(run(Asked(given.recordings, seed, given.concurrency, given.faults, given.kills)))
        sys.stdout.write(table(results[-1]) + "\n")
        sys.stdout.flush()
    if given.json:
        given.json.write_text(json.dumps([result.as_json() for result in results], indent=1) + "\n")
    return 0 if all(map(passed, results)) else 1


def passed(result: Result) -> bool:
    """Whether a run is green; where faults are a fifth, amplification is judged, too."""
    amplified = result.asked.mode == "transient20" and result.verdict.figures["amplification"] > MOST_AMPLIFIED
    return result.verdict.clean and not amplified


if __name__ == "__main__":
    sys.exit(main())
