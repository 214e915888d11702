"""The ledger in SQLite: `open_ledger` for the one who writes, `open_reader` for those who look on.

A ledger remembers what was listed, stored, owed, absent and failed.  It may lag
the bucket, never lead it: ``stored`` is written after the object was verified.
No URL and no secret gets in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from anyio import CancelScope, to_thread

from wxrec_async.events import Emit
from wxrec_async.ledger import (
    all_rows,
    certificates,
    enriching,
    opening,
    out_of_scope,
    recordings,
    report_queries,
    runs,
    task_details,
    tasks,
)
from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.ledger.counts import count_scope, failures, flag_counts
from wxrec_async.ledger.lag import catch_up, incomplete
from wxrec_async.ledger.operations import Operations, read, written
from wxrec_async.ledger.records import Identity, Operator
from wxrec_async.ledger.rows import Hash, Mask
from wxrec_async.ledger.stored import adopt, describe, lost, stored_rows
from wxrec_async.model import Window
from wxrec_async.plumbing.finishing import run_to_completion

T = TypeVar("T")


@asynccontextmanager
async def open_ledger(
    path: Path, identity: Identity, *, mask: Mask, emit: Emit, hashed: Hash | None = None
) -> AsyncIterator[SqliteLedger]:
    """Open or create the ledger at ``path`` for this process alone, and close it at the end.

    ``mask`` is applied to origin and destination before anything is kept; hand in
    a function that returns its argument to keep them as they came; ``hashed`` makes
    what they can be found by all the same.  ConfigError
    when the ledger belongs to another organisation, bucket or key template;
    LedgerInUse, LedgerDamaged, LedgerFull or LedgerError when it cannot be used.
    """
    opened = await _opened(lambda: opening.open_for_writing(path, identity), _close_all)
    ledger = SqliteLedger(opened.connection, path, mask)
    opened.connection.hashed = hashed
    try:
        for warning in opened.warnings:
            emit(warning)
        yield ledger
    finally:
        try:
            await ledger.close()
        # The lock goes last, and whatever comes: until the connection is closed the file is not free.
        finally:
            opened.close()


@asynccontextmanager
async def open_reader(path: Path) -> AsyncIterator[SqliteReader]:
    """Open an existing ledger to look at it, also while another process writes; LedgerError when it cannot be read."""
    connection = await _opened(lambda: opening.open_for_reading(path), LedgerConnection.close)
    reader = SqliteReader(connection, path)
    try:
        yield reader
    finally:
        await reader.close()


async def _opened(work: Callable[[], T], close: Callable[[T], None]) -> T:
    """Open in a thread that is waited for, whoever cancels: what nobody would get is closed, and its lock free."""
    found: list[T] = []

    async def open_it() -> None:
        found.append(await to_thread.run_sync(work))

    try:
        await run_to_completion(open_it)
        return found.pop()
    finally:
        for unwanted in found:
            with CancelScope(shield=True):
                await to_thread.run_sync(close, unwanted)


def _close_all(opened: opening.Opened) -> None:
    opened.connection.close()
    opened.close()


class SqliteReader(Operations):
    """What can be asked while another process writes; get one from `open_reader`.

    What each method takes, returns and raises is said by the function behind it.
    """

    identity = read(runs.read_identity)
    last_run = read(runs.last_run)
    latest_runs = read(runs.latest_runs)
    runs_named = read(runs.runs_named)
    closed_windows = read(runs.closed_windows)
    counts = read(count_scope)
    failures = read(failures)
    flag_counts = read(flag_counts)
    left_alone = read(out_of_scope.left_alone)
    left_spans = read(out_of_scope.left_spans)
    incomplete = read(incomplete)
    lag = read(catch_up)
    task_rows = read(task_details.task_rows)
    rows_of = read(task_details.rows_of)
    stored_rows = read(stored_rows)
    certified_days = read(certificates.certified_days)
    certificates_of = read(certificates.certificates_of)
    report_facts = read(report_queries.report_facts)
    export_rows = read(all_rows.export_rows)


class SqliteLedger(SqliteReader):
    """The ledger of the one process that writes; get one from `open_ledger`.

    All methods may be called by many tasks at once, and return when their change is durable.
    A call that was begun is carried through: cancelling the caller takes effect
    after the commit.  Naming a task, recording or upload the ledger never heard
    of is a LedgerError.  What each method takes, returns and raises is said by
    the function behind it.
    """

    def __init__(self, connection: LedgerConnection, path: Path, mask: Mask) -> None:
        super().__init__(connection, path)
        connection.mask = mask

    @property
    def commits(self) -> int:
        """How many transactions were committed."""
        return self._group.commits

    # Runs.  Which one is under way is remembered only when its row is durable.
    async def begin_run(
        self,
        run_id: str,
        now_ms: int,
        scope: Window | None,
        *,
        author: Operator | None = None,
        command: str | None = None,
    ) -> None:
        """Open a run.  From here on no task is handed out twice (see `add_tasks`, `backlog`)."""
        row = await self._write(lambda db: runs.begin_run(db, run_id, now_ms, scope, author=author, command=command))
        self._connection.current_run = row

    async def end_run(self, run_id: str, now_ms: int, exit_code: int, summary: Mapping[str, object]) -> None:
        """Close a run; ``summary`` must be JSON."""
        await self._write(lambda db: runs.end_run(db, run_id, now_ms, exit_code, summary))
        self._connection.current_run = None

    close_window = written(runs.close_window)

    # Tasks.  Handing out writes as well, but nothing that has happened: who is cancelled already is handed nothing.
    add_tasks = written(tasks.add_tasks)
    backlog = read(tasks.backlog)
    oldest_work = read(tasks.oldest_work)
    late = read(tasks.late)
    open_spans = read(tasks.open_spans)
    asked = read(tasks.asked)
    settle_task = written(tasks.settle_task)
    leave_alone = written(out_of_scope.leave_alone)
    want = written(out_of_scope.want)

    # What Search says of them.
    witnessed = written(task_details.witnessed)
    deleted_at_webex = written(task_details.deleted_at_webex)

    # Recordings.
    captured_many = written(recordings.captured_many)
    known = read(recordings.known)
    known_many = read(recordings.known_many)
    started = written(recordings.started)
    started_keys = read(recordings.started_keys)
    stored = written(recordings.note_stored)
    recording_failed = written(recordings.recording_failed)
    recording_gone = written(recordings.recording_gone)
    lost = written(lost)
    adopt = written(adopt)
    # What older ledgers did not keep.
    days_lacking = read(enriching.days_lacking)
    fill_tasks = written(enriching.fill_tasks)
    all_told = written(enriching.all_told)
    recordings_lacking = read(enriching.recordings_lacking)
    fill_recordings = written(enriching.fill_recordings)
    describe = written(describe)

    # Uploads.
    upload_created = written(recordings.upload_created)
    completing = written(recordings.completing)
    upload_gone = written(recordings.upload_gone)
    open_uploads = read(recordings.open_uploads)

    # Evidence and sidecars.
    items = read(certificates.items)
    last_certificate = read(certificates.last_certificate)
    certificates_of = read(certificates.certificates_of)
    add_certificate = written(certificates.add_certificate)
    described = read(certificates.described)
    sidecars_due = read(certificates.sidecars_due)
    note_sidecar = written(certificates.note_sidecar)
    note_sha256 = written(certificates.note_sha256)
