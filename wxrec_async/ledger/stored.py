"""What is stored, row by row, held against the bucket: read, struck out, or put back.

Plain functions on a connection, each run inside a transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from wxrec_async.ledger import recordings as recording_rows
from wxrec_async.ledger.protocol import StoredRow
from wxrec_async.ledger.rows import Mask, words
from wxrec_async.ledger.tasks import Listing, row_of
from wxrec_async.model import Recording, StoredObject, Task, Window

_STORED = """
SELECT recordings.task, tasks.id, recordings.id, object_key, size, crc32, etag, sha256
FROM recordings CROSS JOIN tasks ON tasks.n = recordings.task
WHERE recordings.state = 'stored' AND (recordings.task, recordings.id) > (:row, :id)
    AND (:from_ms IS NULL OR (place_ms >= :from_ms AND place_ms < :to_ms))
ORDER BY recordings.task, recordings.id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class FoundRecording:
    """A recording that lies in the bucket, with what its metadata tells of its task."""

    task: Task
    recording: Recording
    object: StoredObject
    main_place: bool


def stored_rows(
    connection: sqlite3.Connection, period: Window | None, after: StoredRow | None, limit: int
) -> list[StoredRow]:
    """Return the page of stored recordings behind ``after``."""
    span = {"from_ms": period.from_ms, "to_ms": period.to_ms} if period else {"from_ms": None, "to_ms": None}
    start = {"row": after.row, "id": after.recording_id} if after else {"row": -1, "id": ""}
    return [StoredRow(*row) for row in connection.execute(_STORED, span | start | {"limit": limit})]


def lost(connection: sqlite3.Connection, row: StoredRow, reason: str, detail: str, now_ms: int) -> bool:
    """Make a stored recording a failed one; whose place it held stays written down, so that it returns there."""
    changed = connection.execute(
        """UPDATE recordings SET state = 'failed', reason = ?, detail = ?, changed_ms = ?
           WHERE task = ? AND id = ? AND state = 'stored' AND object_key = ?""",
        (words(reason), words(detail), now_ms, row.row, row.recording_id, row.key),
    )
    return changed.rowcount > 0


def adopt(connection: sqlite3.Connection, found: FoundRecording, run: int, now_ms: int, mask: Mask) -> bool:
    """Add a recording as stored; its task stands where it was created, else where the recording began."""
    task, recording = found.task, found.recording
    began = recording.start_ms
    window = Window(began, began + 1) if began is not None else None
    Listing(current=None, named=None, window=window, now_ms=now_ms).add(connection, [task], mask)
    n = row_of(connection, task.id)
    kept = recording_rows.kept_recording(connection, n, recording.id)
    known = connection.execute("SELECT 1 FROM recordings WHERE task = ? AND id = ?", (n, kept))
    if known.fetchone() is not None:
        return False
    recording_rows.add(connection, n, recording, now_ms)
    free = connection.execute("SELECT 1 FROM recordings WHERE task = ? AND main_place = 1", (n,)).fetchone() is None
    facts = recording_rows.Storing(
        task.id, recording.id, run, already=True, main_place=found.main_place and free, flags=(), now_ms=now_ms
    )
    recording_rows.stored(connection, facts, found.object)
    return True
