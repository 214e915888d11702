"""``python -m tests.benchmarks.profile [SIZE…]``: where our CPU time goes, by our module and by library.

py-spy looks a hundred times a second at every thread that is on a processor;
what a function does itself is its own, what it calls is in its inclusive share.
Importing is shown apart: it is paid once, and a short run makes much of it.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import telling
from tests.benchmarks.__main__ import HOME
from tests.benchmarks.contestants import Heat, Peers, ours
from tests.benchmarks.farm import SIZES, open_farm
from tests.benchmarks.measuring import run

COUNTS = {"100k": 4000, "1m": 1500, "5m": 400, "64m": 32}
SAMPLES_PER_S = 100
FRAME = re.compile(r"^(?P<function>.*) \((?P<path>[^()]*?)(?::\d+)?\)$")
IMPORTING = "importlib"
OURS = "wxrec_async/"
MOST_ROWS = 25


@dataclass(slots=True)
class Shares:
    """Samples by place, a module of ours or a library; ``total`` leaves out those under an import."""

    total: int = 0
    importing: int = 0
    own: Counter[str] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)

    def add(self, places: Sequence[str], count: int) -> None:
        """Count the samples of one stack, outermost place first."""
        if IMPORTING in places:
            self.importing += count
            return
        self.total += count
        self.own[places[-1]] += count
        self.inclusive.update(dict.fromkeys(places, count))


def place_of(frame: str) -> str:
    """Name the place of a frame of py-spy's raw format: a module of ours, a library, or a module of Python's own."""
    found = FRAME.match(frame.strip())
    if found is None:
        return "interpreter"
    path = found["path"].replace("<frozen ", "").rstrip(">")
    if path.startswith(IMPORTING) or "/importlib/" in path:
        return IMPORTING
    if "site-packages/" in path:
        path = path.rpartition("site-packages/")[2]
        return path if path.startswith(OURS) else path.partition("/")[0].removesuffix(".py")
    if OURS in path:
        return OURS + path.rpartition(OURS)[2]
    return "python: " + re.sub(r"^.*/?python\d[^/]*/", "", path).partition("/")[0].removesuffix(".py")


def read(lines: Iterable[str]) -> Shares:
    """Add up stacks as ``py-spy record --format raw`` writes them: ``outer;…;inner COUNT``."""
    shares = Shares()
    for line in lines:
        stack, _, count = line.rstrip().rpartition(" ")
        frames = [frame for frame in stack.split(";") if not frame.startswith(("process ", "thread "))]
        if frames and count.isdigit():
            shares.add([place_of(frame) for frame in frames], int(count))
    return shares


def table(title: str, shares: Shares) -> str:
    """Write shares as lines of text: ours first, then libraries, each by what it does itself."""
    lines = [f"{title}: {shares.total} samples; importing took {shares.importing} more, which are left out"]
    for name, wanted in (("ours", True), ("libraries and Python", False)):
        lines.append(f"  {name:44}{'itself':>8}{'inclusive':>11}")
        lines.extend(_rows(shares, ours_wanted=wanted))
    return "\n".join(lines)


def _rows(shares: Shares, *, ours_wanted: bool) -> Iterator[str]:
    places = [place for place in shares.inclusive if place.startswith(OURS) is ours_wanted]
    places.sort(key=lambda place: (-shares.own[place], -shares.inclusive[place]))
    whole = max(1, shares.total) / 100
    together = sum(shares.own[place] for place in places)
    yield f"    {'all of them':42}{together / whole:7.1f}%"
    for place in places[:MOST_ROWS]:
        yield f"    {place:42}{shares.own[place] / whole:7.1f}%{shares.inclusive[place] / whole:10.1f}%"


def profile(heat: Heat, peers: Peers) -> Shares:
    """Run ours once under py-spy."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        entry, raw = ours(heat, folder, f"b-{uuid.uuid4().hex[:12]}"), folder / "stacks.txt"
        spy = [peers.path("py-spy"), "record", "--format", "raw", "--full-filenames", "--nolineno"]
        command = [*spy, "--rate", str(SAMPLES_PER_S), "--output", str(raw), "--", *entry.command]
        run(command, env=entry.env, folder=folder, timeout_s=900)
        return read(raw.read_text().splitlines())


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile each size and keep the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profile", description=__doc__)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help=f"of {', '.join(SIZES)} (default: all)")
    parser.add_argument("--count", type=int, default=0, help="recordings (default: as many as take some ten seconds)")
    parser.add_argument("--home", type=Path, default=HOME, help="where servers and peers live, best in memory")
    parser.add_argument("--out", type=Path, default=telling.KEPT, help="folder for profile.txt (default: results/)")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.sizes) - set(SIZES):
        parser.error(f"{min(unknown)} is no size; known are {', '.join(SIZES)}")
    peers = Peers(asked.home / "peers")
    peers.install()
    told = [", ".join(f"{key} {value}" for key, value in telling.machine().items())]
    with open_farm(asked.home / "farm") as farm:
        for size in asked.sizes or SIZES:
            heat = Heat(farm, size, asked.count or COUNTS[size], 32)
            told.append(table(f"{size}, {heat.count} recordings, 32 workers, TLS", profile(heat, peers)))
            print(told[-1], flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "profile.txt").write_text("\n\n".join(told) + "\n")


if __name__ == "__main__":
    main()
