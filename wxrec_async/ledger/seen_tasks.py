"""Which tasks were seen on which list, kept on disk while one day is looked at.

A file of its own beside the ledger, private and gone in the end: a day may have
more tasks than memory shall hold, and what was seen is nothing to keep.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import CancelScope, to_thread

from wxrec_async.errors import LedgerError
from wxrec_async.ledger import database_files
from wxrec_async.ledger.group_commit import GroupCommit
from wxrec_async.ledger.rows import key
from wxrec_async.ledger.sqlite_errors import explain
from wxrec_async.rules.evidence import Ended

SUFFIX = ".sightings"

# Once seen is seen, on whichever page; of two words on the same question the later one counts, silence does not.
_NOTE = """
INSERT INTO seen (id, listed, searched, requested, active) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    listed = max(listed, excluded.listed), searched = max(searched, excluded.searched),
    requested = coalesce(excluded.requested, requested), active = coalesce(excluded.active, active)
"""


@dataclass(frozen=True, slots=True)
class SeenTask:
    """Where a task was seen; ``requested`` and ``active`` are what Search says that the ledger does not keep."""

    listed: bool = False
    searched: bool = False
    requested: bool | None = None
    active: bool | None = None


UNSEEN = SeenTask()


@asynccontextmanager
async def open_seen_tasks(ledger: Path) -> AsyncIterator[SeenTasks]:
    """Lend a place for what is seen, beside the ledger at ``ledger`` whose lock the caller holds."""
    path = database_files.beside(ledger, SUFFIX)
    # Not to be cancelled: a connection that was made for nobody could not be closed.
    with CancelScope(shield=True):
        connection = await to_thread.run_sync(_create, path)
    seen = SeenTasks(connection, path)
    try:
        yield seen
    finally:
        with CancelScope(shield=True):
            await seen.close()
            await to_thread.run_sync(_discard, path)


def _create(path: Path) -> sqlite3.Connection:
    _discard(path)  # what a killed process left
    try:
        os.close(database_files.open_private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in _SET_UP:
            connection.execute(statement)
    except sqlite3.Error as error:
        raise explain(error, path) from None
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}") from None
    return connection


def _discard(path: Path) -> None:
    # The journal first: SQLite would roll a left one back into the next file of that name.
    for file in (database_files.beside(path, "-journal"), path):
        file.unlink(missing_ok=True)


# Nothing here outlives the process, so nothing has to survive a crash.
_SET_UP = (
    "PRAGMA journal_mode = DELETE",  # on disk: one in memory would grow with the day
    "PRAGMA synchronous = OFF",
    "PRAGMA cache_size = -2048",  # KiB
    """CREATE TABLE seen (
        id TEXT PRIMARY KEY, listed INTEGER NOT NULL, searched INTEGER NOT NULL, requested INTEGER, active INTEGER
    ) WITHOUT ROWID""",
    """CREATE TABLE ended (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL
    ) WITHOUT ROWID""",
)


class SeenTasks:
    """Notes and tells what was seen, and which tasks came to an end with nothing to store."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._group = GroupCommit(connection, lambda error: explain(error, path))

    async def clear(self) -> None:
        """Forget everything."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM seen")
            db.execute("DELETE FROM ended")

        await self._group.run(work)

    async def note(self, seen: Collection[tuple[str, SeenTask]]) -> None:
        """Add what was seen to what was seen before."""
        rows = [(key(task_id), each.listed, each.searched, each.requested, each.active) for task_id, each in seen]
        await self._group.run(lambda db: db.executemany(_NOTE, rows))

    async def note_ended(self, tasks: Collection[Ended]) -> None:
        """Add tasks that have nothing to store."""
        rows = [(key(each.task_id), each.state, key(each.reason), key(each.evidence)) for each in tasks]
        await self._group.run(lambda db: db.executemany("INSERT OR REPLACE INTO ended VALUES (?, ?, ?, ?)", rows))

    async def ended(self, *, after: str = "", limit: int = 1000) -> list[Ended]:
        """Return up to ``limit`` of them behind ``after``, by id; an empty list is the end."""
        query = "SELECT id, state, reason, evidence FROM ended WHERE id > ? ORDER BY id LIMIT ?"
        return await self._group.run(lambda db: [Ended(*row) for row in db.execute(query, (after, limit))])

    async def of(self, task_ids: Sequence[str]) -> dict[str, SeenTask]:
        """Return where each of these was seen."""
        return await self._group.run(lambda db: dict(_found(db, task_ids)))

    async def close(self) -> None:
        """Close the file."""
        await self._group.close()


def _found(db: sqlite3.Connection, task_ids: Iterable[str]) -> Iterable[tuple[str, SeenTask]]:
    query = "SELECT listed, searched, requested, active FROM seen WHERE id = ?"
    for task_id in task_ids:
        row = db.execute(query, (key(task_id),)).fetchone()
        yield task_id, UNSEEN if row is None else _seen_task(*row)


def _seen_task(listed: int, searched: int, requested: int | None, active: int | None) -> SeenTask:
    return SeenTask(
        bool(listed),
        bool(searched),
        None if requested is None else bool(requested),
        None if active is None else bool(active),
    )
