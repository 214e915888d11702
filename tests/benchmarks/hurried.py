"""Runs a backfill whose seconds pass faster: ``hurried CONFIG FACTOR``, prints its exit code as JSON.

Every timer of the loop is shortened alike: what takes an hour with Webex's real
limit takes an hour by FACTOR, and a waking that comes late is late by FACTOR as much.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
import time
from functools import partial

import anyio

from wxrec_async import Backfill, load_config


class _Hurried(selectors.DefaultSelector):
    """Waits a fraction of what it is asked to."""

    factor = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / self.factor if timeout else timeout)


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its time is ``factor`` times as fast as ours."""

    def __init__(self, factor: float) -> None:
        selector = _Hurried()
        selector.factor = factor
        self._factor = factor
        super().__init__(selector)

    def time(self) -> float:
        return time.monotonic() * self._factor


async def run(config: str) -> int:
    """Run the backfill that ``config`` describes."""
    async with Backfill(load_config(config)) as backfill:
        return (await backfill.run()).exit_code


def main() -> None:
    """Do what the command line says."""
    config, factor = sys.argv[1:3]
    options = {"loop_factory": partial(HurriedLoop, float(factor))}
    print(json.dumps({"exit": anyio.run(run, config, backend_options=options)}))


if __name__ == "__main__":
    main()
