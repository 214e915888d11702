"""The command line as it is, with somebody who counts its tasks: ``python -m tests.soak.program FILE run …``.

A thread beside the loop has a line written to ``FILE`` every few seconds: how
many tasks the loop has, and how many blocks of memory the interpreter holds.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from pathlib import Path

from wxrec_async.cli.app import main

EVERY_S = 5.0


def remembering() -> list[asyncio.AbstractEventLoop]:
    """Return a list that will hold every loop that is made from now on."""
    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.events.new_event_loop

    def made() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    asyncio.events.new_event_loop = made
    return loops


def count(path: Path, loops: list[asyncio.AbstractEventLoop]) -> None:
    """Write a line now and then, for as long as the loop runs."""
    while not loops or not loops[0].is_running():
        time.sleep(0.2)

    def note() -> None:
        with path.open("a") as file:
            file.write(f"{len(asyncio.all_tasks())} {sys.getallocatedblocks()}\n")

    while loops[0].is_running():
        loops[0].call_soon_threadsafe(note)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    counts = Path(sys.argv.pop(1))
    threading.Thread(target=count, args=(counts, remembering()), daemon=True).start()
    main()
