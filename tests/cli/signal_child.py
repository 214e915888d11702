"""The program with a `Backfill` that works until it is told to stop; the first argument says how well it listens."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import anyio

from wxrec_async import events
from wxrec_async.cli import session
from wxrec_async.cli.app import main

from .kit import FakeBackfill, summary_of


@dataclass
class Listening(FakeBackfill):
    """Ends when stopped (``drains``), when aborted (``aborts``), or only when cancelled (``deaf``, ``opening``)."""

    mode: str = ""
    stopped: anyio.Event = field(default_factory=anyio.Event)
    aborted: anyio.Event = field(default_factory=anyio.Event)
    heard: int = 0

    async def __aenter__(self) -> Listening:
        if self.mode == "opening":
            sys.stderr.write("begun\n")
            await anyio.sleep_forever()
        return self

    def stop(self, reason: str) -> None:
        self.heard += 1
        if self.heard > 1:  # as for a moment at the beginning of a run
            self.asked["reason"] = reason
            self.emit(events.Draining(reason, 30))
            self.stopped.set()

    def abort(self) -> None:
        self.aborted.set()

    async def _do(self) -> Any:
        self.emit(events.RunStarted("run", None, 0, 1, 1))
        sys.stderr.write("begun\n")
        await self.stopped.wait()
        if self.mode != "drains":
            sys.stderr.write("draining\n")
            await self.aborted.wait()
        if self.mode == "deaf":
            await anyio.sleep_forever()
        return summary_of(stopped=self.asked["reason"])


if __name__ == "__main__":
    session.open_backfill = Listening(mode=sys.argv.pop(1)).open  # type: ignore[assignment]
    main()
