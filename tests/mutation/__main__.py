"""``python -m tests.mutation [MODULE ...]``: mutate the rules, one module after the other, and keep what came of it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable

from tests.mutation.kept import digest, keep, load, told
from tests.mutation.runner import HOME, Result, Survivor, modules


def main() -> int:
    """Mutate what is named, or everything; 1 when a module is below the mark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--keep", action="store_true", help="write result.json and result.txt")
    parser.add_argument(
        "--survivors",
        action="store_true",
        help="judge only what survived in the kept result; for when tests were added and nothing else changed",
    )
    options = parser.parse_args()
    results = []
    for name in options.modules or modules():
        results.append(_survivors(name) if options.survivors else _in_its_own_process(name))
        if options.keep:
            keep(results[-1])
    sys.stdout.write(told(results))
    return 0 if all(each.percent >= 90 for each in results) else 1


def _survivors(name: str) -> Result:
    """Judge a module's kept survivors once more; those killed are taken to be killed by the same tests as then.

    Raises:
        SystemExit: there is no kept result of the module as it is.
    """
    before, source = load().get(name, (None, ""))
    if before is None or source != digest(name):
        raise SystemExit(f"rules/{name}.py is not what its kept result is of: run it without --survivors")
    if not before.survivors:
        return before
    return _in_its_own_process(name, [each.name for each in before.survivors])


def _in_its_own_process(name: str, only: Iterable[str] = ()) -> Result:
    command = [sys.executable, "-m", "tests.mutation.runner", name, *only]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HOME)
    row = json.loads(done.stdout)
    return Result(name, row["mutants"], tuple(Survivor(**each) for each in row["survivors"]))


if __name__ == "__main__":
    sys.exit(main())
