"""Group commit: whoever comes first carries out what everybody waits for, in one transaction.

There is no task and no thread of our own.  A caller queues its work and waits
for the lock; the one who gets it runs all that is queued in a worker thread,
commits once, and the others, as the lock comes to them, find theirs done.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from anyio import CancelScope, CapacityLimiter, Lock, to_thread

from wxrec_async.errors import LedgerError
from wxrec_async.ledger.sqlite_errors import SQLITE_ERRORS, SqliteError

MAX_GROUP = 2000  # works in one transaction: bounds how long the first of them waits

T = TypeVar("T")
Db = TypeVar("Db", bound=sqlite3.Connection)


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[Any], Any]
    value: Any = None
    error: BaseException | None = None
    done: bool = False
    dropped: bool = False


class GroupCommit(Generic[Db]):
    """Runs work on one connection (in autocommit mode), grouped, each durable when `run` returns.

    ``explain`` turns an error of SQLite into ours; it is called once per caller,
    so that no two callers raise the same exception object.
    """

    def __init__(self, connection: Db, explain: Callable[[SqliteError], LedgerError]) -> None:
        self._connection = connection
        self._explain = explain
        self._queue: deque[_Job] = deque()
        self._lock = Lock()
        self._thread = CapacityLimiter(1)
        # A native task.cancel() takes the async lock from us while the thread
        # still runs; this one stays with the thread.
        self._busy = threading.Lock()
        self._closed = False
        self.commits = 0

    async def run(self, work: Callable[[Db], T]) -> T:
        """Return what ``work`` returned, once it is committed; raise what it raised, and undo it alone.

        Shielded: a caller that is cancelled meanwhile learns of it afterwards, so
        that nothing which happened outside goes unrecorded.
        """
        if self._closed:
            raise LedgerError("the ledger is closed")
        job = _Job(work)
        # Queued before the lock is asked for, so that whoever holds it carries this out with its own.
        self._queue.append(job)
        try:
            with CancelScope(shield=True):
                await self._wait_for(job)
        except BaseException:
            job.dropped = True  # only a native cancellation gets here: nobody will read the answer
            raise
        if job.error is not None:
            raise job.error
        value: T = job.value
        return value

    async def close(self) -> None:
        """Carry out what is queued and close the connection.  May be called twice."""
        with CancelScope(shield=True):
            # Before the lock: nothing is queued any more behind what is carried out here.
            self._closed = True
            async with self._lock:
                await to_thread.run_sync(self._finish, limiter=self._thread)

    async def _wait_for(self, job: _Job) -> None:
        async with self._lock:
            # A group is bounded: this work may be behind the end of the one that was carried out.
            while not job.done:
                await to_thread.run_sync(self._carry_out, limiter=self._thread)

    def _finish(self) -> None:
        while self._queue:
            self._carry_out()
        with self._busy:
            self._connection.close()

    def _carry_out(self) -> None:
        with self._busy:
            jobs = self._take()
            try:
                self._commit(jobs)
            finally:
                for job in jobs:
                    job.done = True

    def _take(self) -> list[_Job]:
        jobs: list[_Job] = []
        while self._queue and len(jobs) < MAX_GROUP:
            job = self._queue.popleft()
            # Nobody waits for it and nothing of it was done: the same as never asked.
            if not job.dropped:
                jobs.append(job)
        return jobs

    def _commit(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        try:
            self._connection.execute("BEGIN")
            for job in jobs:
                self._try(job)
            self._connection.execute("COMMIT")
            self.commits += 1
        except BaseException as error:  # noqa: BLE001 - told to every caller, whatever it is
            self._undo()
            for job in jobs:
                # A work that failed by itself keeps its own error; of the others nothing was kept,
                # and they must hear of it.
                job.error = job.error or self._in_our_words(error)

    def _try(self, job: _Job) -> None:
        """Run one work; its failure is its own, unless SQLite gave up the whole transaction."""
        # A savepoint for each work, so that one that fails takes none of its neighbours with it.
        self._connection.execute("SAVEPOINT work")
        try:
            job.value = job.work(self._connection)
        except Exception as error:
            # A full disk, for one, makes SQLite roll everything back: there is no savepoint to go back to then.
            if not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO work")
            job.error = self._in_our_words(error)
        self._connection.execute("RELEASE work")

    def _undo(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite undoes it when the ledger is opened next; the callers hear of the first error

    def _in_our_words(self, error: BaseException) -> BaseException:
        if not isinstance(error, SQLITE_ERRORS):
            return error
        told = self._explain(error)
        # What `from None` does, for an exception that somebody else raises later.
        told.__suppress_context__ = True
        return told
