"""``python -m tests.benchmarks``: the race, from setting it up to its table, JSON and picture."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import heats, telling
from tests.benchmarks.contestants import Heat, Peers
from tests.benchmarks.farm import open_farm
from tests.benchmarks.race import Result, race


def main() -> None:
    """Run the heats that were asked for and write down what they gave."""
    asked = _arguments()
    peers = Peers(asked.home / "peers")
    peers.install()
    plan = [each for each in (heats.QUICK if asked.quick else heats.WHOLE) if asked.only.lower() in each.name.lower()]
    results: dict[str, Result] = {}
    with open_farm(asked.home / "farm") as farm:
        for each in plan:
            heat = Heat(replace(farm, tls=each.tls), each.size, each.count, each.workers, each.kind)
            taking_part = {name: peers.table()[name] for name in each.contestants}
            results[each.name] = race(heat, taking_part, asked.pairs or each.pairs, print, heats.SLOW)
            print(telling.table(each.name, results[each.name]), flush=True)
    if asked.out:
        telling.write(asked.out, results, peers)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few heats against rclone, under two minutes")
    parser.add_argument("--only", default="", metavar="TEXT", help="only heats whose name contains TEXT")
    parser.add_argument("--pairs", type=int, default=0, help="rounds of each heat (default: as planned, mostly five)")
    parser.add_argument(
        "--home", type=Path, default=Path("/dev/shm/wxrec-benchmarks"), help="where servers and peers live"
    )
    parser.add_argument("--out", type=Path, help="folder for results.json, results.txt and results.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
