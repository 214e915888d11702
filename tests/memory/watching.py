"""The program as a process beside a sandbox, and what it takes of the machine's memory."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wxrec_async.sandbox import Sandbox

CEILING = re.compile(r"memory_ceiling_mib=(\d+)")
LOOK_EVERY_S = 0.2


def resident_mib(pid: int, name: str = "VmRSS") -> float:
    """Return the resident size of a process (``VmHWM``: its peak) in MiB, 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


@dataclass(slots=True)
class Watched:
    """A program under way.  ``curve`` holds (progress, MiB resident): progress is whatever was counted."""

    process: asyncio.subprocess.Process
    curve: list[tuple[int, float]] = field(default_factory=list)
    peak_mib: float = 0.0
    ceiling_mib: int = 0
    said: str = ""

    def look(self, progress: int) -> None:
        """Note how large it is now."""
        resident = resident_mib(self.process.pid)
        if resident:
            self.curve.append((progress, resident))
            self.peak_mib = max(self.peak_mib, resident_mib(self.process.pid, "VmHWM"))

    async def listen(self) -> None:
        """Hear what it says until it ends; the end of it is kept, and the ceiling it prints as it begins."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said = self.said[-20_000:] + line.decode()
            if found := CEILING.search(line.decode()):
                self.ceiling_mib = int(found[1])


@asynccontextmanager
async def watching(
    sandbox: Sandbox, folder: Path, progress: Callable[[], int], arguments: Sequence[str] = (), **sections: Any
) -> AsyncIterator[Watched]:
    """Run the program on a sandbox and look at it now and then; it is ended with the context."""
    config = sandbox.write_config(folder, **sections)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wxrec_async", "run", "--config", str(config), "--no-progress", *arguments,
        env={**os.environ, **sandbox.environment()}, cwd=folder,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    watched = Watched(process)

    async def look_again() -> None:
        while True:
            watched.look(progress())
            await asyncio.sleep(LOOK_EVERY_S)

    async with asyncio.TaskGroup() as group:
        looking, listening = group.create_task(look_again()), group.create_task(watched.listen())
        try:
            yield watched
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await listening
            looking.cancel()
