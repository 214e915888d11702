"""stdout, where data goes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TextIO

import anyio.to_thread

from wxrec_async.cli.streams import Nowhere

PENDING_LIMIT = 10_000


class Output:
    """Lines on stdout.  A reader who leaves (``| head``) or a full disk does not end the run.

    ``lost`` says why lines could not be written, "" when all were, or when a reader left who had seen enough;
    ``on_lost`` is told so at once, from whichever thread writes.

    `later` gathers lines while the event loop runs and `drain` writes them from
    a thread, so that a slow reader holds nobody up before ``PENDING_LIMIT``
    lines wait for it.
    """

    def __init__(self, stream: TextIO | None = None, on_lost: Callable[[str], None] = lambda _: None) -> None:
        self._stream = stream or sys.stdout
        self._on_lost = on_lost
        self.lost = ""
        self._pending: deque[str] = deque()  # the loop's thread appends, whoever flushes pops
        self._lock = threading.Lock()
        self.closed = False

    def line(self, text: str = "") -> None:
        """Write what waits, and this line."""
        self._pending.append(text)
        self.flush()

    def record(self, record: Mapping[str, object]) -> None:
        """Write what waits, and this record as a line of JSON."""
        self.line(json.dumps(record))

    def later(self, record: Mapping[str, object]) -> None:
        """Gather a record."""
        self._pending.append(json.dumps(record))
        if len(self._pending) >= PENDING_LIMIT:
            self.flush()

    async def drain(self) -> None:
        """Write what waits, without holding up the event loop."""
        if self._pending:
            await anyio.to_thread.run_sync(self.flush)

    def flush(self) -> None:
        """Write what waits."""
        # Two may flush, the loop's thread and a worker's, and lines must stay whole and in order.
        with self._lock:
            # As many as there are now: the loop may add to them meanwhile, and there would be no end of it.
            lines = [self._pending.popleft() for _ in range(len(self._pending))]
            if lines and not self.closed:
                self._write("".join(f"{line}\n" for line in lines))

    def _write(self, text: str) -> None:
        if isinstance(self._stream, Nowhere):
            self._lose("it is closed")
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            self.closed = True
            silence(self._stream)
        # ValueError is what a closed stream raises.
        except (OSError, ValueError) as failure:
            self._lose((failure.strerror if isinstance(failure, OSError) else "") or "it is closed")
            silence(self._stream)

    def _lose(self, why: str) -> None:
        self.closed, self.lost = True, why
        self._on_lost(why)


def silence(stream: TextIO) -> None:
    """Point a stream nobody reads at nothing, or the interpreter would stumble over it at exit."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
