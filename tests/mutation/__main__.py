"""``python -m tests.mutation [MODULE ...]``: mutate the rules, one module after the other, and keep what came of it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from tests.mutation.kept import keep, told
from tests.mutation.runner import HOME, Result, Survivor, modules


def main() -> int:
    """Mutate what is named, or everything; 1 when a module is below the mark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--keep", action="store_true", help="write result.json and result.txt")
    options = parser.parse_args()
    results = []
    for name in options.modules or modules():
        results.append(_in_its_own_process(name))
        if options.keep:
            keep(results[-1])
    sys.stdout.write(told(results))
    return 0 if all(each.percent >= 90 for each in results) else 1


def _in_its_own_process(name: str) -> Result:
    command = [sys.executable, "-m", "tests.mutation.runner", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HOME)
    row = json.loads(done.stdout)
    return Result(name, row["mutants"], tuple(Survivor(**each) for each in row["survivors"]))


if __name__ == "__main__":
    sys.exit(main())
