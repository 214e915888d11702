"""Lives worlds: ``python -m tests.worlds [--seeds 0-9999] [--jobs N] [--package PATH] [--keep FILE]``.

``--tier each`` tries every production of the grammar alone, ``--tier release``
lives 10,000 worlds and keeps a line for each, so that a run that was broken off
goes on where it was; ``--seed N --only 3,7`` lives one again and tells
everything about it.  Exit 1 when an invariant was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import certifi

from tests.worlds.grammar import ALL, EACH

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
TIERS = {"ci": range(200), "release": range(10_000), "each": range(EACH, EACH + len(ALL))}
END = "-----END CERTIFICATE-----\n"

Told = dict[str, Any]


@dataclass
class Child:
    """A process in which worlds are lived, one after the other; it is started anew when it dies."""

    package: str
    certificates: Path
    process: subprocess.Popen[str] | None = None

    def ask(self, asked: Told) -> Told:
        """Live one world."""
        if self.process is None or self.process.poll() is not None:
            command = [sys.executable, "-m", "tests.worlds.child", self.package, str(self.certificates)]
            environment = {**os.environ, "PYTHONHASHSEED": "0"}
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            told: Told = json.loads(line)
            return told
        broken = [{"invariant": "the process died", "after": "", "what": f"exit {self.process.wait()}"}]
        return {
            "seed": asked["seed"],
            "broken": broken,
            "signature": "the process died",
            "chosen": [],
            "commands": [],
            "numbers": [],
        }

    def close(self) -> None:
        """End the process."""
        if self.process is not None and self.process.stdin is not None:
            self.process.communicate(timeout=60)


def few_certificates(folder: Path) -> Path:
    """Write a bundle of one authority: it is read anew for every command, and nobody is connected to."""
    path, text = folder / "ca.pem", Path(certifi.where()).read_text(encoding="utf-8")
    path.write_text(text[text.index("-----BEGIN") : text.index(END)] + END, encoding="ascii")
    return path


def lived(seeds: Iterable[int], *, jobs: int = 1, package: str = "", more: Told | None = None) -> Iterator[Told]:
    """Live the worlds of these seeds, ``jobs`` at once, in the order in which they end."""
    waiting: queue.Queue[int | None] = queue.Queue()
    done: queue.Queue[Told | None] = queue.Queue()
    for seed in [*seeds, *[None] * jobs]:
        waiting.put(seed)
    with tempfile.TemporaryDirectory(prefix="worlds-") as name:
        certificates = few_certificates(Path(name))

        def work() -> None:
            child = Child(package, certificates)
            while (seed := waiting.get()) is not None:
                done.put(child.ask({"seed": seed, **(more or {})}))
            child.close()
            done.put(None)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        left = jobs
        while left:
            told = done.get()
            left -= told is None
            if told is not None:
                yield told


def describe(told: Told) -> str:
    """Tell a world that broke an invariant, readable."""
    lines = [f"seed {told['seed']}: {told['signature']}"]
    lines += [f"    choice {words}" for words in told["chosen"]]
    lines += [f"    {command}" for command in told["commands"]]
    lines += [f"    BROKEN {each['invariant']}: {each['what']}" for each in told["broken"][:4]]
    only = ",".join(map(str, told["numbers"]))
    return "\n".join([*lines, f"    again: python -m tests.worlds --seed {told['seed']} --only {only}"])


def known(path: Path) -> dict[int, Told]:
    """Read what an earlier run kept; a line that was cut is none."""
    found: dict[int, Told] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        found[told["seed"]] = told
    return found


def table(told: Iterable[Told]) -> str:
    """Lay out every distinct fault with how often it came and the seed it came with first."""
    faults: dict[str, list[Told]] = {}
    for each in sorted(told, key=lambda each: each["seed"]):
        if each["broken"]:
            faults.setdefault(each["signature"], []).append(each)
    lines = ["| worlds | what was chosen | broken | seed |", "|---|---|---|---|"]
    for name, its in sorted(faults.items(), key=lambda item: (-len(item[1]), item[0])):
        chosen, _, broken = name.rpartition(" => ")
        again = f"`--seed {its[0]['seed']} --only {','.join(map(str, its[0]['numbers']))}`"
        lines.append(f"| {len(its)} | {chosen} | {broken} | {again} |")
    return "\n".join(lines)


def _again(arguments: argparse.Namespace) -> int:
    only = [int(each) for each in arguments.only.split(",") if each] if arguments.only is not None else None
    more: Told = {"only": only, "loud": True, "shrink": False}
    told = next(lived([arguments.seed], package=arguments.package, more=more))
    print(*told["trace"], told.pop("told"), describe(told), sep="\n")
    return int(bool(told["broken"]))


def _many(arguments: argparse.Namespace, seeds: range) -> int:
    keep = Path(arguments.keep) if arguments.keep else None
    if keep is None and arguments.tier == "release":
        keep = RESULTS / "release.jsonl"
    found = {seed: told for seed, told in (known(keep) if keep else {}).items() if seed in seeds}
    todo = [seed for seed in seeds if seed not in found]
    file: TextIO | None = keep.open("a", encoding="utf-8") if keep else None
    for told in lived(todo, jobs=arguments.jobs, package=arguments.package):
        found[told["seed"]] = told
        if file:
            file.write(json.dumps({name: told[name] for name in KEPT}) + "\n")
            file.flush()
        if told["broken"] and arguments.tell:
            print(describe(told), flush=True)
    print(table(found.values()))
    broken = sum(bool(told["broken"]) for told in found.values())
    print(f"{len(found)} worlds, {broken} with a broken invariant")
    return int(bool(broken))


KEPT = ("seed", "signature", "chosen", "numbers", "commands", "broken")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.worlds", description=__doc__)
    parser.add_argument("--seeds", default="", help="FIRST-LAST")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tier", choices=TIERS, default="ci")
    parser.add_argument("--package", default="", help="the checkout whose program is to be tried")
    parser.add_argument("--keep", default="", help="a file with a line for each world")
    parser.add_argument("--tell", action="store_true", help="tell each broken world as it is found")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _again(arguments)
    first, _, last = arguments.seeds.partition("-")
    return _many(arguments, range(int(first), int(last) + 1) if arguments.seeds else TIERS[arguments.tier])


if __name__ == "__main__":
    raise SystemExit(main())
