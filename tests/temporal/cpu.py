"""By hand: CPU seconds per recording, of a plain run and of a worker.  ``python -m tests.temporal.cpu 2000 60 300 5``

So many tasks with recordings of so many seconds, so many pairs.  CPU time, user and
system, children included, not wall time.  Starting up is left out on both sides:
of a plain run what it takes until it opens its ledger, of a worker until it is ready.
The two of a pair work at the same time, each with a sandbox of its own: the same code
takes up to half as much CPU time again where others displace its cache, so figures
taken one after the other tell more of what else went on than of the program.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.world import World, sandbox
from tests.temporal.kit import fleet, temporal, wait_until

TICKS = os.sysconf("SC_CLK_TCK")
PERIOD = ("--days-back", "3", "--no-progress", "--log-level", "error")


def used(pid: int) -> float:
    """CPU seconds a live process has used, its threads and the children it waited for included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def started(world: World, *arguments: str) -> subprocess.Popen[bytes]:
    command = world.command("run", *PERIOD, "--config", str(world.config), *arguments)
    return subprocess.Popen(command, env=world.environment, cwd=world.folder, stdout=subprocess.DEVNULL)


def ended(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end, and return the CPU seconds it took."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def pair(*options: str) -> tuple[int, float, float, float]:
    """Return recordings, and CPU milliseconds for each of a plain run, a worker, and whoever keeps its ledger."""
    with tempfile.TemporaryDirectory() as name:
        here, there = Path(name) / "plain", Path(name) / "fleet"
        with (
            temporal(Path(name) / "server") as server,
            sandbox(made(here), *options) as alone,
            sandbox(made(there), *options) as shared,
            fleet(shared, server) as crew,
        ):
            (worker,) = crew.workers(1, "--log-level", "error")
            ready = used(worker.pid)
            driver = started(shared, "--temporal", server.address)
            plain = started(alone)
            wait_until(alone.ledger.exists, "the plain run does not begin")
            begun = used(plain.pid)
            spent = ended(plain) - begun
            notes = ended(driver)
            recordings = len(shared.truth())
            each = recordings / 1000
            return recordings, spent / each, (used(worker.pid) - ready) / each, notes / each


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main(tasks: str, shortest: str, longest: str, pairs: str = "3") -> None:
    ratios = []
    for _ in range(int(pairs)):
        options = ("--tasks", tasks, "--discard", "--no-large", "--seconds", shortest, longest, "--days", "1")
        recordings, plain, worker, notes = pair(*options)
        ratios.append(worker / plain)
        print(f"{recordings} recordings; plain run {plain:.2f} ms, worker {worker:.2f} ms ({ratios[-1]:.3f}), "  # noqa: T201
              f"whoever keeps the ledger {notes:.2f} ms with its start", flush=True)  # fmt: skip
    print(f"median {statistics.median(ratios):.3f}")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
