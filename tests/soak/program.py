"""The command line as it is, with somebody who counts its tasks: ``python -m tests.soak.program FILE run …``.

A thread beside the loop writes a line to ``FILE`` every few seconds: how many
tasks the loop has, and how many blocks of memory the interpreter holds.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from pathlib import Path

from wxrec_async.cli.app import main

EVERY_S = 5.0


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Find the loop of the process."""
    return next((each for each in gc.get_objects() if isinstance(each, asyncio.SelectorEventLoop)), None)


def count(path: Path) -> None:
    """Write a line now and then, for as long as the process lives."""
    while (loop := running_loop()) is None or not loop.is_running():
        time.sleep(0.2)

    def note() -> None:
        with path.open("a") as file:
            file.write(f"{len(asyncio.all_tasks())} {sys.getallocatedblocks()}\n")

    while loop.is_running():
        loop.call_soon_threadsafe(note)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    counts = Path(sys.argv.pop(1))
    threading.Thread(target=count, args=(counts,), daemon=True).start()
    main()
