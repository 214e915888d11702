"""The bucket with its ledger, both opened and checked, and a look at a ledger without a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anyio import CancelScope, to_thread

from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.events import Emit
from wxrec_async.flow.filtered_out import WorkLeft
from wxrec_async.flow.transfer import Transfer
from wxrec_async.ledger import opening
from wxrec_async.ledger.records import BacklogTask, Counts, KnownTask, Scope, TaskRow
from wxrec_async.ledger.rows import Hash
from wxrec_async.ledger.store import SqliteLedger
from wxrec_async.model import Window
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.wiring.account import NO_INJECTION, Injected
from wxrec_async.wiring.bucket import open_bucket, open_ledger_of


@dataclass(frozen=True, slots=True)
class BucketAndLedger:
    """The bucket and the ledger, both checked."""

    store: S3ReadStore
    ledger: SqliteLedger
    concurrency: int

    async def sweep_uncertain(self, transfer: Transfer) -> AuthError | RunStopped | None:
        """Abort what may have been begun without our learning of it; return what forbids it."""
        try:
            await transfer.sweep_uncertain()
        except (AuthError, RunStopped) as refusal:
            return refusal
        return None


class LedgerLog:
    """The ledger as `transfer` writes to it: its notes get their time here."""

    def __init__(self, ledger: SqliteLedger, now_ms: Callable[[], int]) -> None:
        self._ledger, self._now_ms = ledger, now_ms

    async def started(self, task_id: str, recording_id: str, key: str) -> None:
        await self._ledger.started(task_id, recording_id, key, self._now_ms())

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str) -> None:
        await self._ledger.upload_created(key, upload_id, task_id, recording_id, self._now_ms())

    async def completing(self, upload_id: str, size: int, crc32: int) -> None:
        await self._ledger.completing(upload_id, size, crc32)

    async def upload_gone(self, upload_id: str) -> None:
        await self._ledger.upload_gone(upload_id)


@asynccontextmanager
async def open_storage(
    settings: Settings,
    org_id: str,
    emit: Emit,
    reach: NetworkMonitor,
    given: Injected = NO_INJECTION,
    hashed: Hash | None = None,
) -> AsyncIterator[BucketAndLedger]:
    """Open the bucket and see that it is there, then the ledger."""
    opening = open_bucket(settings, emit, reach=reach, session=given.s3_session)
    async with opening as store, open_ledger_of(settings, org_id, emit, hashed) as ledger:
        yield BucketAndLedger(store, ledger, settings.backfill.concurrency)


@asynccontextmanager
async def ledger_view(path: Path, storage: BucketAndLedger | None) -> AsyncIterator[LedgerCounts]:
    """Read the ledger that is open, else the file as it lies there, else nothing."""
    if storage is not None:
        yield storage.ledger
    elif await to_thread.run_sync(path.exists):
        with CancelScope(shield=True):
            connection = await to_thread.run_sync(opening.open_for_reading, path)
        looker = SqliteLedger(connection, path, str)  # without a run it hands nothing out, so it writes nothing
        try:
            yield looker
        finally:
            await looker.close()
    else:
        yield _NoLedger()


class LedgerCounts(WorkLeft, Protocol):
    """What a plan wants to know of a ledger."""

    async def counts(self, scope: Scope, run_id: str | None) -> Counts: ...

    async def closed_windows(self, period: Window) -> list[Window]: ...

    async def task_rows(self, window: Window, *, after: TaskRow | None = None, limit: int = 500) -> list[TaskRow]: ...


class _NoLedger:
    """A ledger that was never begun."""

    async def counts(self, scope: Scope, run_id: str | None) -> Counts:  # noqa: ARG002 - it has nothing to count
        return Counts()

    async def closed_windows(self, period: Window) -> list[Window]:  # noqa: ARG002
        return []

    async def task_rows(self, *_: object, **__: object) -> list[TaskRow]:
        return []

    async def backlog(self, *_: object, **__: object) -> list[BacklogTask]:
        return []

    async def known(self, task_id: str) -> KnownTask:
        return KnownTask(task_id, {})
