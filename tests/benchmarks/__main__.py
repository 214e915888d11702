"""``python -m tests.benchmarks``: the race, from setting it up to its table, JSON and picture.

Every heat is written down as it ends, and one that this commit has run to its
end on this kind of machine is not run again (``--again`` does): a race that was
broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import heats, telling, verdict
from tests.benchmarks.contestants import Heat, Peers
from tests.benchmarks.farm import Farm, open_farm
from tests.benchmarks.race import Result, race

HOME = Path(os.environ.get("WXREC_BENCHMARKS", "/dev/shm/wxrec-benchmarks"))


def main(arguments: list[str] | None = None) -> None:
    """Run the heats that were asked for and write down what they gave."""
    asked = _arguments(arguments)
    plan = [each for each in (heats.QUICK if asked.quick else heats.WHOLE) if asked.only.lower() in each.name.lower()]
    if not plan:
        raise SystemExit(f"no heat's name contains {asked.only!r}")
    peers = Peers(asked.home / "peers")
    peers.install()
    out = asked.out or (None if asked.quick else telling.KEPT)
    results = telling.kept(out) if out else {}
    facts = telling.machine()
    with open_farm(asked.home / "farm") as farm:
        for each in plan:
            if not asked.again and telling.is_done(results, each, facts):
                print(f"{each.name}: kept already", flush=True)
                continue
            results[each.name] = _run(each, farm, peers, asked.pairs)
            results[each.name].facts = facts
            print(telling.table(each.name, results[each.name]), flush=True)
            if out:
                telling.write(out, results, [planned.name for planned in heats.WHOLE])
    print(verdict.table(verdict.judge(results)), flush=True)


def _run(planned: heats.Planned, farm: Farm, peers: Peers, pairs: int) -> Result:
    heat = Heat(replace(farm, tls=planned.tls), planned.size, planned.count, planned.workers, planned.kind)
    table = peers.table()
    taking_part = {name: table[name] for name in planned.contestants}
    return race(heat, taking_part, pairs or planned.pairs, print, planned.shares)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few heats against rclone, under two minutes")
    parser.add_argument("--only", default="", metavar="TEXT", help="only heats whose name contains TEXT")
    parser.add_argument("--pairs", type=int, default=0, help="rounds of each heat (default: as planned, mostly five)")
    parser.add_argument("--again", action="store_true", help="run heats that are kept already, too")
    parser.add_argument("--home", type=Path, default=HOME, help="where servers and peers live, best in memory")
    parser.add_argument(
        "--out", type=Path, help="folder for results.json, .txt and .svg (default: results/ here; --quick: nowhere)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
