"""By hand: CPU seconds per recording, of a plain run and of a worker.  ``python -m tests.scaleout.cpu 800 30 120``

CPU time, not wall time; starting up is left out on both sides.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.world import World, sandbox
from tests.scaleout.kit import fleet, temporal

TICKS = os.sysconf("SC_CLK_TCK")


def used(pid: int) -> float:
    """CPU seconds a live process has used, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def ran(world: World, *arguments: str) -> float:
    """Run to the end, and return the CPU seconds it took."""
    command = world.command(
        "run", "--days-back", "3", "--config", str(world.config), "--no-progress", "--log-level", "error", *arguments
    )
    process = subprocess.Popen(command, env=world.environment, cwd=world.folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def main(tasks: str, *seconds: str) -> None:
    options = ("--tasks", tasks, "--discard", "--no-large", "--seconds", *seconds, "--days", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(folder, *options) as world:
            plain, idle = ran(world), ran(world)
            recordings = len(world.truth())
        (folder / "fleet").mkdir()
        with (
            temporal(folder / "t") as server,
            sandbox(folder / "fleet", *options) as world,
            fleet(world, server) as crew,
        ):
            (worker,) = crew.workers(1, "--log-level", "error")
            before = used(worker.pid)
            driver = ran(world, "--temporal", server.address)
            fleet_s = used(worker.pid) - before
    alone, there, notes = ((each / recordings * 1000) for each in (plain - idle, fleet_s, driver))
    print(f"{recordings} recordings; plain run {alone:.2f} ms, worker {there:.2f} ms ({there / alone:.2f}), "  # noqa: T201
          f"whoever keeps the ledger {notes:.2f} ms with its start")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
