"""Reconciles a month of as many tasks as it is told to, and prints its peak memory before and after, in KiB."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio

from tests.memory.watching import resident_mib
from wxrec_async.events import ignore
from wxrec_async.flow.job import Job
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.flow.task_lister import Lister
from wxrec_async.ledger import Everything, Identity, SqliteLedger, open_ledger, open_seen_tasks
from wxrec_async.maintenance.verify import Comparison, Level
from wxrec_async.model import DAY_MS, Recording, SearchPage, SearchRow, StoredObject, Task, TaskPage, Window
from wxrec_async.reconciliation.day import DayReconciler, ReconcileContext
from wxrec_async.reconciliation.facts import FactsBuilder
from wxrec_async.reconciliation.recheck import CapturesRecheck
from wxrec_async.rules.filters import NO_FILTERS
from wxrec_async.rules.selection import WaitPolicy
from wxrec_async.rules.sources import Reach
from wxrec_async.rules.windows import cut
from wxrec_async.s3.api import ObjectDigest
from wxrec_async.webex.client import CapturesAnswer

DAYS = 30
START = 20_000 * DAY_MS
NOW = START + (DAYS + 9) * DAY_MS
HOME = Identity("org", "bucket", "c/{task_id}/recording{ext}")
BATCH = 500


class Everybody:
    """An organisation whose tasks are made as they are asked for, on both lists and in the bucket."""

    def __init__(self, count: int) -> None:
        self.step = DAYS * DAY_MS // count
        self.count = count

    def task(self, number: int) -> Task:
        return Task(
            f"00000000-0000-4000-8000-{number:012d}", "telephony", "completed", created_ms=START + number * self.step
        )

    def tasks(self, from_ms: int, to_ms: int, most: int) -> list[Task]:
        first = max(0, -(-(from_ms - START) // self.step))
        return [
            self.task(number)
            for number in range(first, min(self.count, first + most))
            if START + number * self.step < to_ms
        ]

    async def tasks_page(
        self, window: Window, *, from_ms: int, next_link: str | None = None, every_channel: bool = False
    ) -> TaskPage:
        rows = self.tasks(from_ms, window.to_ms, 1000)
        return TaskPage(tuple(rows), len(rows))

    async def search_page(self, window: Window, cursor: str = "") -> SearchPage:
        rows = self.tasks(int(cursor or window.from_ms), window.to_ms, 250)
        then = str(rows[-1].created_ms + 1) if len(rows) == 250 and rows[-1].created_ms else ""
        return SearchPage(tuple(SearchRow(row, 1, 10, 0, deleted=False, active=False) for row in rows), len(rows), then)

    async def captures(self, task_ids: Sequence[str]) -> CapturesAnswer:
        raise AssertionError("nothing is in question")

    async def head(self, key: str) -> StoredObject | None:
        return StoredObject(key, 10, crc32=7)

    async def digest(self, key: str, size: int) -> ObjectDigest:
        raise AssertionError("the checksum is named")

    async def check_bucket(self) -> None:
        return None


async def fill(ledger: SqliteLedger, everybody: Everybody) -> None:
    await ledger.begin_run("r", 1, None)
    for first in range(0, everybody.count, BATCH):
        tasks = [everybody.task(number) for number in range(first, min(everybody.count, first + BATCH))]
        await ledger.add_tasks(tasks, listed_in=None, now_ms=1)
        await ledger.captured_many({task.id: [Recording(task.id, task.id)] for task in tasks}, 1)
        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(store, ledger, task.id)
    await ledger.end_run("r", 2, 0, {})


async def store(ledger: SqliteLedger, task_id: str) -> None:
    found = StoredObject(f"c/{task_id}", 10, crc32=7, etag="e")
    await ledger.stored(task_id, task_id, found, run_id="r", already=False, main_place=True, now_ms=2)


async def saved() -> bool:
    return True


def peak_kib() -> int:
    """Return the most memory that it had.  Not ``ru_maxrss``, which begins with what it was forked from."""
    return round(resident_mib(os.getpid(), "VmHWM") * 1024)


async def main(count: int) -> None:
    everybody = Everybody(count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l.db"
        async with open_ledger(path, HOME, mask=str, emit=ignore) as ledger, open_seen_tasks(path) as sightings:
            await fill(ledger, everybody)
            before = peak_kib()
            bench = ReconcileContext(
                ledger=ledger,
                sightings=sightings,
                lister=Lister(everybody, 1000, ("telephony",)),
                search=SearchReader(everybody),
                search_required=True,
                asker=CapturesRecheck(everybody, ledger, RunLog(Job("run", Everything()), ledger, ignore, lambda: NOW)),
                bucket=everybody,
                comparison=Comparison(everybody, Level.HEAD),
                reach=Reach(),
                sides=FactsBuilder(NO_FILTERS, counts=True),
                ages=WaitPolicy(),
                channel_types=("telephony",),
                concurrency=32,
                max_failures_in_row=100,
                now_ms=lambda: NOW,
                servers_now_ms=lambda: NOW,
                tell=lambda difference: sys.exit(str(difference)),
                save_token=saved,
            )
            tasks = certified = 0
            for window in cut(Window(START, START + DAYS * DAY_MS)):
                report = await DayReconciler(window, bench).run()
                tasks, certified = tasks + report.counts["stored"], certified + report.certified  # type: ignore[index]
        after = peak_kib()
        sys.stdout.write(f"{tasks} {certified} {before} {after}\n")


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]))
