"""``python -m tests.cancel --moments 1000 --seed 1``: cancel so many backfills, and look after each for what is left.

Prints one JSON line, the report; exit 1 when anything was left.  The sandbox is a process of its own, this one is
the service.  Run it with ``-W error -X dev`` to have every warning counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.cancel.service import Service
from tests.e2e.world import sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, report, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.cancel", description=__doc__)
    parser.add_argument("--moments", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", choices=("none", "mild"), default="mild")
    given = parser.parse_args(arguments)
    options = ("--tasks", "24", "--seconds", "0.5", "5", "--latency", "0.004", "--faults", given.faults)
    with tempfile.TemporaryDirectory(prefix="wxrec-cancel-") as folder, sandbox(Path(folder), *options) as world:
        report = asyncio.run(Service(world, given.seed).cancel(given.moments))
    print(json.dumps(asdict(report)))  # noqa: T201 - the report
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
