"""What is stored, row by row, held against the bucket: read, struck out, or put back.

Plain functions on a connection, each run inside a transaction.
"""

from __future__ import annotations

import sqlite3

from wxrec_async.ledger import recordings as recording_rows
from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.ledger.records import FoundRecording, StoredRow
from wxrec_async.ledger.rows import text, words
from wxrec_async.ledger.tasks import TaskListing, kept_id, row_of
from wxrec_async.model import Recording, RecordingState, Window
from wxrec_async.rules.sidecars import Described, FinishedRecording

UNSETTLED = ("listed", "started")
_STORED = """
SELECT recordings.task, tasks.id, recordings.id, object_key, size, crc32, etag, sha256
FROM recordings CROSS JOIN tasks ON tasks.n = recordings.task
WHERE recordings.state = 'stored' AND (recordings.task, recordings.id) > (:row, :id)
    AND (:from_ms IS NULL OR (place_ms >= :from_ms AND place_ms < :to_ms))
ORDER BY recordings.task, recordings.id LIMIT :limit
"""


def stored_rows(
    connection: sqlite3.Connection, period: Window | None = None, *, after: StoredRow | None = None, limit: int = 1000
) -> list[StoredRow]:
    """Return up to ``limit`` stored recordings behind ``after``, in a fixed order; an empty list is the end.

    ``period`` is that of their tasks, as `InPeriod` has it.  Every page is a
    look of its own: what others write meanwhile may be in the next one.
    """
    span = {"from_ms": period.from_ms, "to_ms": period.to_ms} if period else {"from_ms": None, "to_ms": None}
    start = {"row": after.row, "id": after.recording_id} if after else {"row": -1, "id": ""}
    return [StoredRow(*row) for row in connection.execute(_STORED, span | start | {"limit": limit})]


def lost(connection: sqlite3.Connection, row: StoredRow, reason: str, detail: str, now_ms: int) -> bool:
    """Note that the bucket no longer holds a STORED recording as it was: it becomes FAILED, which is work.

    Nothing changes, and False is returned, when it is not STORED under the
    same key any more.  A task's main place stays the recording's, so that it returns there.
    """
    changed = connection.execute(
        """UPDATE recordings SET state = 'failed', reason = ?, detail = ?, changed_ms = ?
           WHERE task = ? AND id = ? AND state = 'stored' AND object_key = ?""",
        (words(reason), words(detail), now_ms, row.row, row.recording_id, row.key),
    )
    return changed.rowcount > 0


def adopt(connection: LedgerConnection, found: FoundRecording, *, run_id: str, now_ms: int) -> bool:
    """Add a recording that lies in the bucket as STORED, with its task; False when something is known of it already.

    That it was listed, or begun, is nothing yet: a ledger that came back from a backup
    knows no more of what was stored since.

    The task stays LISTED, because the bucket does not tell whether all of
    its recordings are there: whoever works on the ledger next asks Webex.  It is
    placed where it was created, else where the recording began.
    """
    task, recording = found.task, found.recording
    began = recording.start_ms
    window = Window(began, began + 1) if began is not None else None
    # Handed to nobody: this is not work on the task, which waits for a run.
    TaskListing(current=None, named=None, window=window, now_ms=now_ms).add(connection, [task])
    n = row_of(connection, task.id)
    kept = recording_rows.kept_recording(connection, n, recording.id)
    known = connection.execute("SELECT state FROM recordings WHERE task = ? AND id = ?", (n, kept)).fetchone()
    if known is not None and known[0] not in UNSETTLED:
        return False
    if known is None:
        recording_rows.add(connection, n, recording, now_ms)
    free = connection.execute("SELECT 1 FROM recordings WHERE task = ? AND main_place = 1", (n,)).fetchone() is None
    # Two objects may have the key of a main place, by their extensions; one holds it, or the index refuses both.
    main_place = found.main_place and free
    recording_rows.note_stored(
        connection, task.id, recording.id, found.object, run_id=run_id, already=True, main_place=main_place,
        now_ms=now_ms,
    )  # fmt: skip
    return True


def describe(connection: LedgerConnection, told: Described, number: int, now_ms: int) -> bool:
    """Fill in what the ``number``-th sidecar of a task tells; False when a newer one told it already.

    What the bucket itself showed stays, and what Webex deleted before it could be stored is GONE again; a
    recording that a sidecar calls stored and no object shows is left to the next run.
    """
    began = told.start_ms
    window = Window(began, began + 1) if began is not None else None
    known = connection.execute(
        "SELECT sidecar FROM tasks WHERE id = ?", (kept_id(connection, told.task.id),)
    ).fetchone()
    if known is not None and (known[0] or 0) >= number:
        return False
    TaskListing(current=None, named=None, window=window, now_ms=now_ms).add(connection, [told.task])
    n = row_of(connection, told.task.id)
    for each in told.recordings:
        _describe_recording(connection, n, told.task.id, each, now_ms)
    # What it says is not compared with what was found: the next run does, before it writes another.
    connection.execute("UPDATE tasks SET sidecar = ?, sidecar_sha256 = NULL WHERE n = ?", (number, n))
    return True


def _describe_recording(
    connection: LedgerConnection, n: int, task_id: str, told: FinishedRecording, now_ms: int
) -> None:
    kept = recording_rows.kept_recording(connection, n, told.id)
    found = connection.execute("SELECT size, crc32 FROM recordings WHERE task = ? AND id = ?", (n, kept)).fetchone()
    if found is None and (told.state != RecordingState.GONE or not told.evidence):
        return
    recording = Recording(
        task_id,
        told.id,
        file_name=told.file_name or "",
        start_ms=told.start_ms,
        stop_ms=told.stop_ms,
        call_type=told.call_type,
        segment=told.segment,
        sensitive=told.sensitive,
        channel1=told.channel1,
        channel2=told.channel2,
        participants=told.participants,
        said=told.said,
    )
    recording_rows.add(connection, n, recording, now_ms)
    if told.state == RecordingState.GONE and told.evidence:  # not of one that lies there after all
        recording_rows.recording_gone(connection, task_id, told.id, now_ms, evidence=told.evidence)
    # Of the very bytes that lie there, or it would be said of others.
    elif tuple(found) == (told.size, told.crc32):
        connection.execute(
            "UPDATE recordings SET sha256 = coalesce(sha256, ?), flags = ? WHERE task = ? AND id = ?",
            (text(told.sha256), " ".join(map(words, told.flags)), n, kept),
        )
