"""``python -m tests.fuzz TARGET --seconds N``: one target, or ``all`` of them one after the other.

With atheris installed (``pip install atheris``, by hand: no extra of ours needs it) inputs are
led by coverage; without it they are made of the corpus by chance.  Ends with 1 at the first crash, which
is kept as ``crash-…`` in the working folder; put into the corpus it is tried in every run of the suite.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.mutating import mutated
from tests.fuzz.targets import CORPUS, TARGETS, Target, seeds, without_settings_of_ours

INPUT_BYTES = 4096


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Any bytes at all, into one reader.")
    found.add_argument("target", choices=[*TARGETS, "all"])
    found.add_argument("--seconds", type=int, default=60)
    found.add_argument("--seed", type=int, default=None, help="of the run without atheris, and of atheris itself")
    found.add_argument("--without-atheris", action="store_true")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    if given.target == "all":
        command = [sys.executable, "-m", "tests.fuzz"]
        rest = ["--seconds", str(given.seconds), *(["--without-atheris"] if given.without_atheris else [])]
        return max(subprocess.run([*command, name, *rest], check=False).returncode for name in TARGETS)
    without_settings_of_ours()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1 << 31)
    if given.without_atheris or importlib.util.find_spec("atheris") is None:
        return by_chance(given.target, given.seconds, seed)
    return by_coverage(given.target, given.seconds, seed)


def by_chance(name: str, seconds: float, seed: int) -> int:
    """Mutate the corpus until the time is over or something breaks."""
    chance, corpus, target = random.Random(seed), seeds(name), TARGETS[name]
    ends, count, slowest = time.monotonic() + seconds, 0, 0.0
    while (began := time.monotonic()) < ends:
        data = mutated(chance, corpus)
        if not _passes(target, data):
            return 1
        count, slowest = count + 1, max(slowest, time.monotonic() - began)
    print(f"{name}: {count} inputs by chance (seed {seed}), no crash, the slowest took {slowest * 1000:.0f} ms")
    return 0


def _passes(target: Target, data: bytes) -> bool:
    try:
        target(data)
    except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
        path = Path(f"crash-{hashlib.sha256(data).hexdigest()[:16]}")
        path.write_bytes(data)
        traceback.print_exc()
        print(f"kept as {path}")
        return False
    return True


def by_coverage(name: str, seconds: int, seed: int) -> int:
    """Hand the target to atheris in a process of its own: libFuzzer ends the process when it is done."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "corpus"  # what is found on the way goes there, and is thrown away
        shutil.copytree(CORPUS / name, found)
        options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={INPUT_BYTES}", "-timeout=20"]
        options += ["-rss_limit_mb=2048", "-print_final_stats=1", "-artifact_prefix=./"]
        command = [sys.executable, "-m", "tests.fuzz.led", name, *options, str(found)]
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        _tell(name, seed, done.stderr.splitlines(), failed=bool(done.returncode))
        return done.returncode


def _tell(name: str, seed: int, said: list[str], *, failed: bool) -> None:
    if failed:
        print(*said[-60:], sep="\n")
        return
    (count,) = [line.split()[-1] for line in said if line.startswith("stat::number_of_executed_units")]
    covered = re.findall(r"DONE\s+cov: (\d+)", "\n".join(said))
    print(
        f"{name}: {count} inputs led by coverage (seed {seed}), no crash; "
        f"{', '.join(covered) or 'no'} branches of the readers reached"
    )


if __name__ == "__main__":
    sys.exit(main())
