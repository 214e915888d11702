"""The ledger in SQLite: `open_ledger` for the one who writes, `open_reader` for those who look on."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from anyio import CancelScope, to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from wxrec_async.events import Emit
from wxrec_async.ledger import aside, books, counting, evidence, export, facts, inventory, lagging, opening, standing
from wxrec_async.ledger import recordings as recording_rows
from wxrec_async.ledger import tasks as task_rows
from wxrec_async.ledger.evidence import EvidenceBooks
from wxrec_async.ledger.faults import explain
from wxrec_async.ledger.group import GroupCommit
from wxrec_async.ledger.inventory import FoundRecording
from wxrec_async.ledger.protocol import (
    ALL_WORK,
    NO_REASONS,
    NOTHING,
    AskedBefore,
    Author,
    BacklogTask,
    Counts,
    Everything,
    Failure,
    Identity,
    Incomplete,
    InPeriod,
    KnownTask,
    Lag,
    RunRecord,
    Scope,
    StartedKey,
    StoredRow,
    Work,
)
from wxrec_async.ledger.rows import Mask
from wxrec_async.ledger.standing import TaskRow
from wxrec_async.model import LeftAlone, OpenUpload, Recording, StoredObject, Task, TaskState, Window, Witness
from wxrec_async.plumbing.finishing import finish

T = TypeVar("T")
ALL_TIME = (-(1 << 63), (1 << 63) - 1)


@asynccontextmanager
async def open_ledger(path: Path, identity: Identity, *, mask: Mask, emit: Emit) -> AsyncIterator[SqliteLedger]:
    """Open or create the ledger at ``path`` for this process alone, and close it at the end.

    ``mask`` is applied to origin and destination before anything is kept; hand in
    a function that returns its argument to keep them as they came.  ConfigError
    when the ledger belongs to another organisation, bucket or key template;
    LedgerInUse, LedgerDamaged, LedgerFull or LedgerError when it cannot be used.
    """
    opened = await _opened(lambda: opening.open_for_writing(path, identity), _close_all)
    ledger = SqliteLedger(opened.connection, path, mask)
    try:
        for warning in opened.warnings:
            emit(warning)
        yield ledger
    finally:
        try:
            await ledger.close()
        finally:
            opened.close()


@asynccontextmanager
async def open_reader(path: Path) -> AsyncIterator[SqliteReader]:
    """Open an existing ledger to look at it, also while another process writes; LedgerError when it cannot be read."""
    connection = await _opened(lambda: opening.open_for_reading(path), sqlite3.Connection.close)
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
        await finish(open_it)
        return found.pop()
    finally:
        for unwanted in found:
            with CancelScope(shield=True):
                await to_thread.run_sync(close, unwanted)


def _close_all(opened: opening.Opened) -> None:
    opened.connection.close()
    opened.close()


class SqliteReader:
    """`LedgerReader` on a SQLite connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._group = GroupCommit(connection, lambda error: explain(error, path))

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await checkpoint_if_cancelled()  # a loop that only reads can be cancelled
        return await self._group.run(work)

    async def counts(self, scope: Scope, run_id: str | None) -> Counts:
        """See `LedgerReader`."""
        return await self._read(lambda db: counting.counts(db, scope, run_id))

    async def failures(self, scope: Scope, *, limit: int = 1000) -> list[Failure]:
        """See `LedgerReader`."""
        return await self._read(lambda db: counting.failures(db, scope, limit))

    async def closed_windows(self, period: Window) -> list[Window]:
        """See `LedgerReader`."""
        return await self._read(lambda db: books.closed_windows(db, period))

    async def last_run(self) -> RunRecord | None:
        """See `LedgerReader`."""
        return await self._read(books.last_run)

    async def identity(self) -> Identity:
        """Return what the ledger belongs to."""
        return await self._read(books.identity)

    async def flag_counts(self, scope: Scope, run_id: str | None = None) -> dict[str, int]:
        """See `LedgerReader`."""
        return await self._read(lambda db: counting.flag_counts(db, scope, run_id))

    async def left_alone(self, scope: Scope) -> dict[str, int]:
        """See `LedgerReader`."""
        return await self._read(lambda db: aside.counts(db, scope))

    async def incomplete(self, scope: Scope, *, limit: int = 1000) -> list[Incomplete]:
        """See `LedgerReader`."""
        return await self._read(lambda db: lagging.incomplete(db, scope, limit))

    async def certified_days(self) -> dict[str, int]:
        """Count the certified days by how Search was heard for them: a word of `SearchState`, or ``not_said``."""
        return await self._read(evidence.certified_days)

    async def lag(self) -> Lag:
        """See `LedgerReader`."""
        return await self._read(lagging.lag)

    async def stored_rows(
        self, period: Window | None = None, *, after: StoredRow | None = None, limit: int = 1000
    ) -> list[StoredRow]:
        """Return up to ``limit`` stored recordings behind ``after``, in a fixed order; an empty list is the end.

        ``period`` is that of their tasks, as `InPeriod` has it.  Every page is a
        look of its own: what others write meanwhile may be in the next one.
        """
        return await self._read(lambda db: inventory.stored_rows(db, period, after, limit))

    async def report_facts(self, period: Window | None, limits: facts.Limits) -> facts.ReportFacts:
        """Return what the report shows, of the tasks of ``period`` (as `InPeriod` has it) or of all, at one moment."""
        return await self._read(lambda db: facts.read_facts(db, period, limits))

    async def export_rows(
        self, period: Window | None = None, *, after: export.ExportRow | None = None, limit: int = 1000
    ) -> list[export.ExportRow]:
        """Return up to ``limit`` rows behind ``after``, in a fixed order; an empty list is the end.

        Every page is a look of its own, so that a long export holds up no writer:
        what others write meanwhile may be in the next one.
        """
        return await self._read(lambda db: export.export_rows(db, period, after, limit))

    async def task_rows(self, window: Window, *, after: TaskRow | None = None, limit: int = 500) -> list[TaskRow]:
        """See `LedgerReader`."""
        return await self._read(lambda db: standing.page(db, window, after, limit))

    async def rows_of(self, task_ids: Sequence[str]) -> dict[str, TaskRow]:
        """Return the tasks among these that are known."""
        return await self._read(lambda db: standing.of_ids(db, task_ids))

    async def close(self) -> None:
        """See `Ledger`."""
        await self._group.close()


class SqliteLedger(SqliteReader, EvidenceBooks):
    """`Ledger` on a SQLite connection; get one from `open_ledger`.  Each method's contract stands in `Ledger`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, mask: Mask) -> None:
        super().__init__(connection, path)
        self._mask = mask
        self._run: int | None = None

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._group.run(work)

    @property
    def commits(self) -> int:
        """How many transactions were committed."""
        return self._group.commits

    async def begin_run(
        self,
        run_id: str,
        now_ms: int,
        scope: Window | None,
        *,
        author: Author | None = None,
        command: str | None = None,
    ) -> None:
        self._run = await self._group.run(lambda db: books.begin_run(db, run_id, now_ms, scope, author, command))

    async def end_run(self, run_id: str, now_ms: int, exit_code: int, summary: Mapping[str, object]) -> None:
        await self._group.run(lambda db: books.end_run(db, run_id, now_ms, exit_code, summary))
        self._run = None

    async def close_window(self, window: Window, now_ms: int) -> None:
        await self._group.run(lambda db: books.close_window(db, window, now_ms))

    async def add_tasks(
        self,
        tasks: Sequence[Task],
        *,
        listed_in: Window | None,
        now_ms: int,
        named_for: str | None = None,
        patient: bool = False,
        source: str = "",
    ) -> list[Task]:
        current = self._run
        source = source or ("file" if listed_in is None and named_for is not None else "tasks")

        def work(db: sqlite3.Connection) -> list[Task]:
            named = None if named_for is None else books.run_row(db, named_for)
            listing = task_rows.Listing(
                current=current, named=named, window=listed_in, now_ms=now_ms, patient=patient, source=source
            )
            return listing.add(db, tasks, self._mask)

        return await self._group.run(work)

    async def name_tasks(self, run_id: str, task_ids: Sequence[str]) -> None:
        def work(db: sqlite3.Connection) -> None:
            run = books.run_row(db, run_id)
            for task_id in task_ids:
                task_rows.name(db, run, task_rows.row_of(db, task_id))

        await self._group.run(work)

    async def backlog(  # noqa: PLR0913 - what to take up has this many sides
        self,
        scope: Scope,
        *,
        now_ms: int,
        after: int = 0,
        limit: int = 500,
        only: Collection[Work] = ALL_WORK,
        due_only: bool = True,
        again: bool = False,
        patient: bool = False,
        open_since_ms: int | None = None,
    ) -> list[BacklogTask]:
        current = self._run
        options: dict[str, int | None] = {"now_ms": now_ms, "after": after, "limit": limit, "due_only": due_only}
        options |= {"again": again, "patient": patient, "open_since_ms": open_since_ms}
        return await self._read(lambda db: task_rows.backlog(db, scope, only, current, options))

    async def late(
        self, placed_in: Window, *, now_ms: int, after: int = 0, limit: int = 500, due_only: bool = True
    ) -> list[BacklogTask]:
        current = self._run
        options = {"now_ms": now_ms, "after": after, "limit": limit, "due_only": due_only}
        return await self._read(lambda db: task_rows.late(db, placed_in, current, options))

    async def leave_alone(self, seen: Sequence[LeftAlone], transcripts: Mapping[str, int]) -> None:
        await self._group.run(lambda db: aside.leave_alone(db, seen, transcripts))

    async def oldest_work(  # noqa: PLR0913 - what to take up has this many sides
        self,
        scope: Everything | InPeriod,
        *,
        now_ms: int,
        after: BacklogTask | None = None,
        limit: int = 500,
        only: Collection[Work] = ALL_WORK,
        due_only: bool = True,
        patient: bool = False,
        open_since_ms: int | None = None,
    ) -> list[BacklogTask]:
        current = self._run
        first, end = (scope.period.from_ms, scope.period.to_ms) if isinstance(scope, InPeriod) else ALL_TIME
        place = first if after is None or after.place_ms is None else after.place_ms
        options: dict[str, int | None] = {
            "now_ms": now_ms,
            "place_ms": place,
            "row": after.row if after else 0,
            "limit": limit,
        }
        options |= {"due_only": due_only, "patient": patient, "open_since_ms": open_since_ms}
        return await self._read(lambda db: task_rows.oldest_work(db, end, only, current, options))

    async def open_spans(self, scope: Scope, *, now_ms: int, due_only: bool = True) -> list[Window]:
        return await self._read(lambda db: task_rows.open_spans(db, scope, now_ms, due_only=due_only))

    async def captured(self, task_id: str, recordings: Sequence[Recording], now_ms: int) -> KnownTask:
        return (await self.captured_many({task_id: recordings}, now_ms))[task_id]

    async def captured_many(
        self,
        captures: Mapping[str, Sequence[Recording]],
        now_ms: int,
        look_again: Mapping[str, int] = NOTHING,
        failing: Mapping[str, str] = NO_REASONS,
    ) -> dict[str, KnownTask]:
        if not all(captures.values()):
            raise ValueError("a captured task has at least one recording")
        return await self._group.run(
            lambda db: {
                task_id: recording_rows.captured(
                    db, task_id, found, now_ms, look_again.get(task_id), failing.get(task_id, "")
                )
                for task_id, found in captures.items()
            }
        )

    async def known(self, task_id: str) -> KnownTask:
        return await self._read(lambda db: recording_rows.known(db, task_id))

    async def known_many(self, task_ids: Sequence[str]) -> dict[str, KnownTask]:
        return await self._read(lambda db: {task_id: recording_rows.known(db, task_id) for task_id in task_ids})

    async def settle_task(  # noqa: PLR0913 - the facts of an answer
        self,
        task_id: str,
        state: TaskState,
        reason: str = "",
        *,
        now_ms: int,
        empty_answer: bool,
        next_ask_ms: int | None = None,
        evidence: str = "",
        named: int = 0,
    ) -> TaskState:
        if state not in task_rows.SETTLED:
            raise ValueError(f"a task does not settle as {state}")
        return await self._group.run(
            lambda db: task_rows.settle(
                db,
                task_id,
                state,
                reason,
                now_ms,
                empty_answer=empty_answer,
                next_ask_ms=next_ask_ms,
                evidence=evidence,
                named=named,
            )
        )

    async def asked(self, task_ids: Sequence[str]) -> dict[str, AskedBefore]:
        return await self._read(lambda db: task_rows.asked(db, task_ids))

    async def started(self, task_id: str, recording_id: str, key: str, now_ms: int) -> None:
        await self._group.run(lambda db: recording_rows.started(db, task_id, recording_id, key, now_ms))

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str, now_ms: int) -> None:
        upload = OpenUpload(key, upload_id, task_id, recording_id, started_ms=now_ms)
        await self._group.run(lambda db: recording_rows.upload_created(db, upload))

    async def completing(self, upload_id: str, size: int, crc32: int) -> None:
        await self._group.run(lambda db: recording_rows.completing(db, upload_id, size, crc32))

    async def upload_gone(self, upload_id: str) -> None:
        await self._group.run(lambda db: recording_rows.upload_gone(db, upload_id))

    async def stored(  # noqa: PLR0913 - the facts of a stored recording
        self,
        task_id: str,
        recording_id: str,
        obj: StoredObject,
        *,
        run_id: str,
        already: bool,
        main_place: bool,
        flags: Sequence[str] = (),
        now_ms: int,
        upload_id: str | None = None,
        span: tuple[int | None, int | None] | None = None,
    ) -> None:
        def work(db: sqlite3.Connection) -> None:
            run = books.run_row(db, run_id)
            facts = recording_rows.Storing(task_id, recording_id, run, already, main_place, flags, now_ms, span)
            recording_rows.stored(db, facts, obj)
            if upload_id is not None:
                recording_rows.upload_gone(db, upload_id)

        await self._group.run(work)

    async def recording_failed(
        self, task_id: str, recording_id: str, reason: str, detail: str, now_ms: int, *, evidence: str = ""
    ) -> None:
        ids = (task_id, recording_id)
        await self._group.run(lambda db: recording_rows.failed(db, ids, reason, detail, now_ms, evidence))

    async def recording_gone(self, task_id: str, recording_id: str, now_ms: int, *, evidence: str) -> None:
        if not evidence:
            raise ValueError("a recording is gone only with evidence")
        await self._group.run(lambda db: recording_rows.gone(db, task_id, recording_id, evidence, now_ms))

    async def open_uploads(self) -> list[OpenUpload]:
        return await self._read(recording_rows.open_uploads)

    async def started_keys(self) -> list[StartedKey]:
        return await self._read(recording_rows.started_keys)

    async def lost(self, row: StoredRow, reason: str, detail: str, now_ms: int) -> bool:
        """Note that the bucket no longer holds a STORED recording as it was: it becomes FAILED, which is work.

        Nothing changes, and False is returned, when it is not STORED under the
        same key any more.  A task's main place stays the recording's.
        """
        return await self._group.run(lambda db: inventory.lost(db, row, reason, detail, now_ms))

    async def adopt(self, found: FoundRecording, *, run_id: str, now_ms: int) -> bool:
        """Add a recording that lies in the bucket as STORED, with its task; False when it is known already.

        The task stays LISTED, because the bucket does not tell whether all of
        its recordings are there: whoever works on the ledger next asks Webex.
        """

        def work(db: sqlite3.Connection) -> bool:
            return inventory.adopt(db, found, books.run_row(db, run_id), now_ms, self._mask)

        return await self._group.run(work)

    async def witnessed(self, found: Sequence[Witness], now_ms: int) -> None:
        """Keep what Search says of tasks that are known."""
        await self._group.run(lambda db: standing.witness(db, found, now_ms))

    async def deleted_at_webex(self, row: TaskRow, now_ms: int, *, named: Collection[str] = ()) -> None:
        """Note that Webex deleted what was never stored of a task: its recordings become GONE, one at least.

        Those that captures still has, ``named`` by id, stay as they are.
        """
        await self._group.run(lambda db: standing.deleted(db, row, now_ms, named))
