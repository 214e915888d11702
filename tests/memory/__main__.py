"""How much memory the program takes, measured from outside.

``python -m tests.memory ceiling``            its peak under every load of the table, against the ceiling it prints
``python -m tests.memory budget``             1 to 500 at once, 100 KiB to 64 MiB, ``memory_mib`` of 64, 256 and 1024
``python -m tests.memory slope [--tasks N]``  what a task more costs, over a million of them
``python -m tests.memory large [--gib N]``    one recording of 10 GiB
Add ``--quick`` for what the tests run.  Exit 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.memory import ceiling, slope

MOST_PER_100K = 1.0  # MiB
MOST_PER_GIB = 1.0  # MiB


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the report


def ceilings(loads: Sequence[ceiling.Load]) -> bool:
    """Press every load; return whether all stayed under what they had said."""
    kept = True
    for load in loads:
        with tempfile.TemporaryDirectory() as folder:
            peak = asyncio.run(ceiling.press(Path(folder), load))
        word = "" if peak.kept else "BROKEN" if peak.pressed else "TOO SLOW to tell: it did not get so far in time"
        say(f"{load}: peak {peak.peak_mib:.0f} MiB, ceiling {peak.ceiling_mib} MiB", word)
        kept &= peak.kept
    return kept


def slopes(tasks: int) -> bool:
    """List so many tasks; return whether the process stayed as it was."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(slope.measure(Path(folder), tasks))
    for listed, mib in found.thinned():
        say(f"{listed:>9} tasks  {mib:7.1f} MiB")
    say(f"exit {found.code}, slope {found.mib_per_100k:.3f} MiB per 100,000 tasks, at the end {found.tail_mib:.1f} MiB")
    say(f"peak {found.peak_mib:.0f} MiB, ceiling {found.ceiling_mib} MiB")
    per_100k = found.tail_mib / tasks * slope.PER
    return found.code == 0 and max(found.mib_per_100k, per_100k) < MOST_PER_100K and found.peak_mib < found.ceiling_mib


def large(gib: float) -> bool:
    """Carry one huge recording; return whether it took no more than a small one."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(ceiling.carry(Path(folder), gib))
    for percent, mib in found.steps():
        say(f"{percent:>3} %  {mib:7.1f} MiB")
    say(f"exit {found.code}, {found.mib_per_gib:.2f} MiB per GiB, peak {found.peak_mib:.0f} of {found.ceiling_mib} MiB")
    return found.code == 0 and found.mib_per_gib < MOST_PER_GIB and found.peak_mib < found.ceiling_mib


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, say, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("ceiling", "budget", "slope", "large"), nargs="?", default="ceiling")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--gib", type=float, default=10)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    match given.what:
        case "slope":
            kept = slopes(50_000 if given.quick else given.tasks)
        case "large":
            kept = large(1 if given.quick else given.gib)
        case _:
            loads = ceiling.BUDGETS if given.what == "budget" else ceiling.LOADS
            kept = ceilings(ceiling.QUICK if given.quick else loads)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
