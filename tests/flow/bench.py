"""The whole flow on fakes and a real ledger: run it, break it, run it again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from wxrec_async.config import Settings
from wxrec_async.events import Event
from wxrec_async.flow.job import Job
from wxrec_async.flow.orchestrator import Orchestrator
from wxrec_async.flow.recovery import Recovery
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.transfer import Transfer, TransferLimits
from wxrec_async.ledger import Counts, Failure, Identity, InPeriod, Scope, SqliteLedger, open_ledger
from wxrec_async.model import Recording, Secret, Task, Window
from wxrec_async.plumbing.pool import MemoryPool
from wxrec_async.rules import windows
from wxrec_async.wiring.storage import LedgerLog

from .kit import LONG_AGO_MS, PART, Body, FakeSource, FakeStore, FakeWebex, Fuse, cut, wav

HOUR = 3_600_000
DAY = 24 * HOUR
NOON = 1_700_000_000_000 // DAY * DAY + DAY // 2
YESTERDAY = Window(NOON - 36 * HOUR, NOON - 12 * HOUR)  # one whole UTC day, settled
HOME = Identity("org", "bucket", "c/{task_id}/recording{ext}")


class FusedLedger:
    """A ledger whose every call can be the last moment of the process, before it or after it."""

    def __init__(self, ledger: SqliteLedger, fuse: Fuse) -> None:
        self._ledger, self._fuse = ledger, fuse

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._ledger, name)

        async def call(*args: object, **named: object) -> object:
            self._fuse.touch()
            result = await method(*args, **named)
            self._fuse.touch()
            return result

        return call


# What a test may say of the settings, by section.
SETTINGS = {"backfill": ("max_failures_in_row",), "webex": ("include_segments",)}


class Flow:
    """An organisation, a bucket and a ledger file; each `run` is a process of its own."""

    def __init__(self, path: Path, *, page_size: int = 1000) -> None:
        self.path, self.now_ms = path / "ledger.db", NOON
        self.fuse = Fuse()
        self.webex = FakeWebex(page_size=page_size)
        self.source, self.store = FakeSource({}), FakeStore()
        self.told: list[Event] = []
        self.runs = 0
        self.pool = MemoryPool(32 * PART)
        self.overwrite = False
        self.on_start: Callable[[Orchestrator], Any] = lambda _flow: None
        self.wrap: Callable[[Any], Any] = lambda ledger: ledger

    def add(self, task_id: str, *recordings: tuple[str, bytes], created_ms: int, requested: bool | None = True) -> None:
        """Let the organisation have a task with these recordings."""
        task = Task(
            task_id, "telephony", "completed", created_ms=created_ms, updated_ms=created_ms, capture_requested=requested
        )
        self.webex.tasks = sorted([*self.webex.tasks, task], key=lambda each: each.created_ms or 0)
        self.webex.recordings[task_id] = [
            Recording(task_id, name, "combinedRecordings.wav", Secret("https://media.test/x"), start_ms=LONG_AGO_MS)
            for name, _ in recordings
        ]
        self.source.bodies |= {name: [Body(cut(data, 500))] for name, data in recordings}

    def fill(self, count: int, *, start_ms: int = YESTERDAY.from_ms, size: int = 60, prefix: str = "t") -> None:
        """Add tasks with one small recording each, a second apart."""
        tasks = [
            Task(f"{prefix}{n}", "telephony", "completed", created_ms=start_ms + n * 1000, capture_requested=True)
            for n in range(count)
        ]
        self.webex.tasks = sorted([*self.webex.tasks, *tasks], key=lambda each: each.created_ms or 0)
        body = wav(size)
        for task in tasks:
            self.webex.give(task.id, f"r-{task.id}")
            self.source.bodies[f"r-{task.id}"] = [Body([body])]

    def touch_with(self, fuse: Fuse) -> None:
        """Connect everything with one fuse."""
        self.fuse = self.webex.fuse = self.source.fuse = self.store.fuse = fuse

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[SqliteLedger]:
        async with open_ledger(self.path, HOME, mask=str, emit=self.told.append) as ledger:
            yield ledger

    async def run(
        self, period: Window = YESTERDAY, *, scope: Scope | None = None, within_s: float = 20, **job: Any
    ) -> Orchestrator:
        """Do what one process does: recover, work, end.  Windows that are closed are not listed again."""
        self.runs += 1
        async with self.ledger() as opened:
            ledger: SqliteLedger = self.wrap(FusedLedger(opened, self.fuse))
            run_id = f"run{self.runs}"
            closed = await ledger.closed_windows(period)
            if "windows" not in job and "task_ids" not in job:
                left = windows.subtract(period, closed)
                going_on = await ledger.open_spans(scope or InPeriod(period), now_ms=self.now_ms, due_only=False)
                cut_left = [window for span in left for window in windows.cut(span)]
                job["windows"] = tuple(windows.with_spans(cut_left, going_on))
            sections = {name: {each: job.pop(each) for each in keys if each in job} for name, keys in SETTINGS.items()}
            facts: dict[str, Any] = {
                "settings": Settings.model_validate(sections),
                "concurrency": 4,
                "page_size": self.webex.page_size,
                "key_template": HOME.key_template,
            } | job
            transfer = self._transfer(ledger)
            work = Job(run_id, scope or InPeriod(period), period, **facts)
            self.log = log = RunLog(work, ledger, self.told.append, self._now)
            await log.begin(len(work.windows))
            orchestrator = Orchestrator(work, self.webex, log, transfer, self.told.append)
            self.on_start(orchestrator)
            recovery = Recovery(ledger, self.store, transfer, work.key_template, self.told.append)
            with anyio.fail_after(within_s):
                await recovery.run(run_id, self._now(), log.interrupted)
                await orchestrator.run()
            return orchestrator

    def _transfer(self, ledger: SqliteLedger) -> Transfer:
        limits = TransferLimits(part_size=PART, parts_in_flight=2, pipe=1024, overwrite=self.overwrite)
        self.pool = MemoryPool(32 * PART)
        return Transfer(self.source, self.store, LedgerLog(ledger, self._now), self.pool, limits, self.told.append)

    def _now(self) -> int:
        return self.now_ms

    async def counts(self, period: Window = YESTERDAY, run: int | None = None) -> Counts:
        async with self.ledger() as ledger:
            return await ledger.counts(InPeriod(period), f"run{run or self.runs}")

    async def failures(self, period: Window = YESTERDAY) -> list[Failure]:
        async with self.ledger() as ledger:
            return await ledger.failures(InPeriod(period))

    async def closed(self, period: Window = YESTERDAY) -> list[Window]:
        async with self.ledger() as ledger:
            return await ledger.closed_windows(period)

    def of(self, *kinds: type[Event]) -> Sequence[Any]:
        """Return the events of these kinds."""
        return [event for event in self.told if isinstance(event, kinds)]
