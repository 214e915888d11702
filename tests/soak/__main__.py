"""``python -m tests.soak``: see the package's own words, or ``--help``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.nemesis.release import commit, machine
from tests.soak import curve, real, virtual
from tests.soak.judging import Judgement

FOLDER = Path(__file__).parent / "results"
SHOWN = 5


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.soak", description="What only time shows, judged.")
    which = found.add_mutually_exclusive_group(required=True)
    which.add_argument("--real-minutes", type=float, metavar="N", help="follow a sandbox for so long")
    which.add_argument("--virtual-days", type=float, metavar="N", help="let so many days pass, in minutes")
    found.add_argument("--calls-a-second", type=float, default=3.0, help="real: how many come")
    found.add_argument("--calls-an-hour", type=float, default=8.0, help="virtual: how many come")
    found.add_argument("--out", type=Path, default=FOLDER, help="where curves and judgement are kept")
    return found


def on_what() -> str:
    return ", ".join(f"{name} {value}" for name, value in machine().items())


def soak_for_real(minutes: float, a_second: float, folder: Path) -> bool:
    made = commit()  # before it begins, whatever is committed meanwhile
    soaked = real.run(minutes, a_second)
    title = f"{minutes:g} real minutes, {soaked.calls} calls, {a_second:g} a second, mild faults; commit {made}"
    picture = curve.Picture(soaked.samples, real.STRIPS)
    return keep(folder / "real", title, real.judge(soaked), picture, (*soaked.leaks, soaked.last_words))


def soak_virtually(days: float, an_hour: float, folder: Path) -> bool:
    made = commit()
    lived = virtual.run(days, an_hour, Telling(days))
    title = f"{days:g} virtual days, {lived.calls} calls, {an_hour:g} an hour; commit {made}"
    picture = curve.Picture(lived.rounds, virtual.STRIPS)
    notes = (*lived.leaks, *lived.failures[:SHOWN], *lived.differences[:SHOWN])
    return keep(folder / "virtual", title, virtual.judge(lived), picture, notes)


class Telling:
    """Says once a virtual day how far it is."""

    def __init__(self, days: float) -> None:
        self.days, self.day = days, -1

    def __call__(self, each: virtual.Day) -> None:
        if each.at_s // 86_400 > self.day:
            self.day = int(each.at_s // 86_400)
            sys.stderr.write(f"day {self.day} of {self.days:g}: {each.stored} stored, {each.expired} URLs expired\n")


def keep(base: Path, title: str, verdict: Judgement, picture: curve.Picture, notes: Iterable[str]) -> bool:
    """Write curves and judgement, and say the latter; returns whether all is as it must be."""
    text = f"{title}\n{on_what()}\n\n{verdict.text()}" + "".join(f"  {each}\n" for each in notes if each)
    base.parent.mkdir(parents=True, exist_ok=True)
    base.with_suffix(".txt").write_text(text)
    sys.stdout.write(text)
    if picture.samples:
        curve.write_csv(base.with_suffix(".csv"), picture.samples)
        base.with_suffix(".svg").write_text(curve.draw(picture, title))
    return verdict.green


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, say, keep, and return the exit code."""
    given = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of the clauses that end both processes
    if given.virtual_days is not None:
        return 0 if soak_virtually(given.virtual_days, given.calls_an_hour, given.out) else 1
    return 0 if soak_for_real(given.real_minutes, given.calls_a_second, given.out) else 1


if __name__ == "__main__":
    sys.exit(main())
