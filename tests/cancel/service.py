"""A service that runs backfills inside itself and cancels them; it knows what it had before, and counts what it has."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from tests.e2e.world import World
from wxrec_async import Backfill, load_config

BATCH = 20  # cancellations between two whole backfills; each batch has a ledger and keys of its own
PATIENCE_S = 360.0
IDLE_THREADS = 12  # anyio and the loop keep a few idle workers; growth is what is looked for

Work = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Report:
    """What came of it; ``left`` names what was found that should not be there."""

    cancelled: int = 0
    ended_before: int = 0
    whole_runs: int = 0
    how: dict[str, int] = field(default_factory=dict)
    most_threads: int = 0
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        return not self.left


async def by_scope(work: Work, after_s: float) -> bool:
    """Cancel as anyio does; return whether it came in time to cancel anything."""
    with anyio.move_on_after(after_s) as scope:
        await work()
    return scope.cancelled_caught


async def by_task(work: Work, after_s: float) -> bool:
    """Cancel as asyncio does."""
    task = asyncio.ensure_future(work())
    await asyncio.wait([task], timeout=after_s)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return task.cancelled()


async def by_timeout(work: Work, after_s: float) -> bool:
    """Cancel as `asyncio.timeout` does."""
    try:
        async with asyncio.timeout(after_s):
            await work()
    except TimeoutError:
        return True
    return False


async def by_group(work: Work, after_s: float) -> bool:
    """Let a neighbour in the task group fail."""

    async def neighbour() -> None:
        await asyncio.sleep(after_s)
        raise LookupError

    ended = False
    try:
        async with asyncio.TaskGroup() as group:
            failing = group.create_task(neighbour())
            await work()
            failing.cancel()
            ended = True
    except* LookupError:
        pass
    return not ended


WAYS = (by_scope, by_task, by_timeout, by_group)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the directory itself must not stay open


class Service:
    """Cancels `Backfill.run`, and now and then the opening and closing around it."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._chance = world, random.Random(seed)
        self._report, self._how = Report(), Counter[str]()
        os.environ.update(world.told["environment"])
        self._files = 0
        self._whole_s = 1.0

    async def cancel(self, moments: int) -> Report:
        """Cancel at so many moments, drawn over the length of a whole backfill."""
        begun = time.monotonic()
        self._listen()
        await self._whole("warm-up")  # what is loaded once stays loaded
        self._files = open_files()
        while self._report.cancelled < moments:
            await self._batch(min(BATCH, moments - self._report.cancelled))
        self._report.how = dict(self._how)
        self._report.seconds = round(time.monotonic() - begun, 1)
        return self._report

    def _listen(self) -> None:
        """Hear what asyncio and the interpreter only mutter: never retrieved, was destroyed, unclosed."""

        def handler(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            self._report.left.append(f"loop: {context.get('message')} {context.get('exception')!r}")

        asyncio.get_running_loop().set_exception_handler(handler)
        sys.unraisablehook = lambda told: self._report.left.append(f"unraisable: {told.exc_value!r} {told.object!r}")

    def _backfill(self, name: str) -> Backfill:
        settings = load_config(
            self._world.config,
            overrides={
                "ledger.path": str(self._world.folder / f"{name}.db"),
                "s3.key": f"{name}/{{task_id}}/recording{{ext}}",
                "s3.part_size_mib": 5,
                "backfill.concurrency": 8,
            },
        )
        return Backfill(settings)

    async def _batch(self, moments: int) -> None:
        """Cancel until there is nothing left to do, or often enough; then let one backfill come to its end."""
        name = f"batch-{self._report.whole_runs}"
        opening = moments // 5
        for _ in range(opening):
            await self._one(name, lambda: self._open_run_close(name))
        async with self._backfill(name) as backfill:
            for _ in range(moments - opening):
                if not await self._one(name, backfill.run):
                    break
            self._check(name, at_most=open_files())
            await self._run_to_the_end(name, backfill)
        await self._settle()
        self._check(name, at_most=self._files)

    async def _open_run_close(self, name: str) -> None:
        async with self._backfill(name) as backfill:
            await backfill.run()

    async def _one(self, name: str, work: Work) -> bool:
        """Do the work, cancel it, look around; return whether it was cancelled before it had ended."""
        way = self._chance.choice(WAYS)
        after_s = self._chance.random() ** 2 * self._whole_s
        tasks = asyncio.all_tasks()
        with anyio.fail_after(PATIENCE_S):
            hit = await way(work, after_s)
        self._how[way.__name__] += 1
        self._report.cancelled += hit
        self._report.ended_before += not hit
        if strange := asyncio.all_tasks() - tasks:
            await asyncio.sleep(0)  # a task that has ended is listed until the loop has turned
            strange = {task for task in strange if not task.done()}
            self._report.left += [f"{name} {way.__name__} after {after_s:.4f} s: task {task!r}" for task in strange]
        if uploads := await asyncio.to_thread(self._world.uploads):
            self._report.left.append(f"{name} {way.__name__} after {after_s:.4f} s: {len(uploads)} uploads open")
        return hit

    async def _settle(self) -> None:
        """Let closed transports leave the loop, and collect."""
        for _ in range(20):
            gc.collect()
            await asyncio.sleep(0.01)
            if open_files() <= self._files:
                return

    def _check(self, name: str, at_most: int) -> None:
        threads = threading.active_count()
        self._report.most_threads = max(self._report.most_threads, threads)
        if threads > IDLE_THREADS:
            self._report.left.append(f"{name}: {threads} threads")
        if (files := open_files()) > at_most:
            self._report.left.append(f"{name}: {files} files open, {at_most} before")

    async def _whole(self, name: str) -> None:
        async with self._backfill(name) as backfill:
            await self._run_to_the_end(name, backfill)

    async def _run_to_the_end(self, name: str, backfill: Backfill) -> None:
        """The same process, the same clients: a whole backfill right after, and the bucket is the truth."""
        begun = time.monotonic()
        with anyio.fail_after(PATIENCE_S):
            summary = await backfill.run()
            runs = 1
            while summary.exit_code == 3 and runs < 3:  # faults in a row may be more than one run forgives
                summary, runs = await backfill.run(), runs + 1
        self._report.whole_runs += 1
        if name == "warm-up":
            self._whole_s = time.monotonic() - begun
        truth, bucket = await asyncio.to_thread(lambda: (self._world.truth(), self._world.bucket()))
        wanted = {key.replace("call-detail", name, 1): facts for key, facts in truth.items()}
        found = {key: facts for key, facts in bucket.items() if key.startswith(f"{name}/")}
        if summary.exit_code or found != wanted:
            self._report.left.append(f"{name}: exit {summary.exit_code}, {len(found)} of {len(wanted)} objects")
