"""``python -m tests.teeth``: plant every bug in a copy of the package and see that the suite turns red.

For each bug the tests that should notice are run until the first one fails;
``--full`` runs the whole suite instead.  The copy without a bug must be green first.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests.teeth.bug import Bug
from tests.teeth.finality import FINALITY
from tests.teeth.further import FURTHER
from tests.teeth.listed import LISTED

HOME = Path(__file__).parents[2]
COPIED = ("wxrec_async", "tests", "pyproject.toml", "README.md", "config.example.toml", ".github", ".ci")
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
WITHIN_S = 900
GREEN, RED = 0, 1
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*_cache", "release")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the suite took it: the tests that failed, or that it did not end, or did not even begin."""

    bug: Bug | None
    code: int | None
    failed: tuple[str, ...]
    seconds: float
    output: str = ""

    @property
    def as_wanted(self) -> bool:
        return self.code == GREEN if self.bug is None else self.code == RED or self.code is None

    def __str__(self) -> str:
        name = self.bug.name if self.bug else "(nothing planted)"
        how = {GREEN: "green", RED: "red", None: "hangs"}.get(self.code, f"broken ({self.code})")
        by = f"  {self.failed[0]}" if self.failed else ""
        return f"{'ok  ' if self.as_wanted else 'BAD '} {name:30} {how:8} {self.seconds:6.1f} s{by}"


def copy_to(root: Path) -> None:
    """Copy the package and its tests."""
    for name in COPIED:
        source = HOME / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=LEFT_OUT)
        elif source.exists():
            shutil.copy(source, root / name)


def attempt(bug: Bug | None, tests: Sequence[str]) -> Outcome:
    """Run ``tests`` in a fresh copy with the bug in it, and what failed once more alone: a busy machine is no proof."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="teeth-") as name:
        root = Path(name)
        copy_to(root)
        if bug is not None:
            bug.plant(root)
        for options in [["-x"], []] if bug is not None else [[]]:
            code, said = _pytest(root, options, tests)
            failed = FAILED.findall(said)
            if code == RED and failed:
                code, _ = _pytest(root, ["-x"], failed)
            if code != GREEN or not failed:
                break
    return Outcome(bug, code, tuple(failed), time.monotonic() - begun, said)


def _pytest(root: Path, options: Sequence[str], tests: Sequence[str]) -> tuple[int | None, str]:
    """Return pytest's exit code, None when it did not end, and the end of what it said."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *options, *tests]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout[-6000:] + done.stderr[-1000:]


def chosen(names: Iterable[str]) -> list[Bug]:
    """Return the bugs of these names, all without any; raises SystemExit for a name that is none."""
    known = {bug.name: bug for bug in (*LISTED, *FURTHER, *FINALITY)}
    if unknown := set(names) - set(known):
        raise SystemExit(f"no bug is called {min(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] or list(known.values())


def main(arguments: Sequence[str] | None = None) -> int:
    given = argparse.ArgumentParser(prog="python -m tests.teeth", description=__doc__.partition("\n")[0])
    given.add_argument("bug", nargs="*", help="only these")
    given.add_argument("--full", action="store_true", help="run the whole suite against every bug")
    given.add_argument("--jobs", type=int, default=2)
    given.add_argument("-v", "--verbose", action="store_true", help="show what pytest said where it is not as wanted")
    asked = given.parse_args(arguments)
    bugs = chosen(asked.bug)
    everything = sorted({test for bug in bugs for test in bug.tests})
    with ThreadPoolExecutor(asked.jobs) as pool:
        pending = [pool.submit(attempt, None, ["tests"] if asked.full else everything)]
        pending += [pool.submit(attempt, bug, ["tests"] if asked.full else bug.tests) for bug in bugs]
        outcomes = []
        for each in as_completed(pending):
            outcomes.append(each.result())
            sys.stdout.write(f"{outcomes[-1]}\n")
            sys.stdout.flush()
            if asked.verbose and not outcomes[-1].as_wanted:
                sys.stdout.write(outcomes[-1].output + "\n")
    red = sum(outcome.as_wanted for outcome in outcomes if outcome.bug is not None)
    sys.stdout.write(f"{red} of {len(bugs)} bugs caught\n")
    return 0 if all(outcome.as_wanted for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
