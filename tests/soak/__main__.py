"""``python -m tests.soak``: see the package's own words, or ``--help``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.nemesis.release import commit, machine
from tests.soak import curve, real

FOLDER = Path(__file__).parent / "results"


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.soak", description="What only time shows, judged.")
    found.add_argument("--real-minutes", type=float, metavar="N", help="follow a sandbox for so long")
    found.add_argument("--calls-a-second", type=float, default=3.0, help="real: how many come")
    found.add_argument("--out", type=Path, default=FOLDER, help="where curves and judgement are kept")
    return found


def header(words: str, made: str) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    return f"{words}\ncommit {made}; {facts}\n\n"


def soak_for_real(minutes: float, a_second: float, folder: Path) -> bool:
    made = commit()
    found = real.run(minutes, a_second)
    verdict = real.judge(found)
    words = f"{minutes:g} real minutes, {found.calls} calls, {a_second:g} a second, mild faults"
    text = header(words, made) + verdict.text() + "".join(f"  {each}\n" for each in (*found.leaks, found.last_words))
    folder.mkdir(parents=True, exist_ok=True)
    curve.write_csv(folder / "real.csv", found.samples)
    (folder / "real.svg").write_text(curve.draw(found.samples, f"{words}; commit {made}"))
    (folder / "real.txt").write_text(text)
    sys.stdout.write(text)
    return verdict.green


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, say, keep, and return the exit code."""
    given = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of the clauses that end both processes
    return 0 if soak_for_real(given.real_minutes, given.calls_a_second, given.out) else 1


if __name__ == "__main__":
    sys.exit(main())
