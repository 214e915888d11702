"""Tasks with all that is known of them, page by page, and what Search says of them.

Plain functions on a connection, each run inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from wxrec_async.ledger.inventory import StoredRow
from wxrec_async.ledger.protocol import AskedBefore
from wxrec_async.ledger.rows import asked_of, key, number, task_of, words
from wxrec_async.model import RecordingState, Task, Window, Witness

DELETED = "deleted_at_webex"

_PAGE = """
SELECT n, place_ms, reason, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms,
    queue_id, queue_name, agent_id, agent_name, duration_ms, capture_requested,
    state, first_seen_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms,
    witness_ms, witness_recordings, witness_bytes, witness_deleted
FROM tasks WHERE place_ms >= :from_ms AND place_ms < :to_ms AND (place_ms, n) > (:place_ms, :row)
ORDER BY place_ms, n LIMIT :limit
"""
_ONE = """
SELECT n, place_ms, reason, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms,
    queue_id, queue_name, agent_id, agent_name, duration_ms, capture_requested,
    state, first_seen_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms,
    witness_ms, witness_recordings, witness_bytes, witness_deleted
FROM tasks WHERE id = ?
"""
_RECORDINGS = """
SELECT id, state, reason, object_key, size, crc32, etag, stored_ms IS NOT NULL, segment
FROM recordings WHERE task = ? ORDER BY id
"""
_WITNESS = """
UPDATE tasks SET witness_ms = :now_ms, witness_recordings = :recordings, witness_bytes = :bytes,
    witness_deleted = :deleted, capture_requested = CASE WHEN :promised THEN 1 ELSE capture_requested END
WHERE id = :id
"""
_TASK = slice(3, 18)
_ASKED = slice(18, 24)


@dataclass(frozen=True, slots=True)
class KnownRecording:
    """A recording as the ledger keeps it; ``stored`` is there when it is STORED, ``was_stored`` when it ever was."""

    id: str
    state: RecordingState
    reason: str = ""
    stored: StoredRow | None = None
    was_stored: bool = False
    segment: bool = False


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with its recordings.

    ``place_ms`` and ``row`` are its place in the order of pages; the ``witness``
    fields are what Search said at ``witness_ms``, None when it was never heard.
    """

    row: int
    place_ms: int
    task: Task
    asked: AskedBefore
    reason: str = ""
    recordings: tuple[KnownRecording, ...] = ()
    witness_ms: int | None = None
    witness_recordings: int | None = None
    witness_bytes: int | None = None
    witness_deleted: bool | None = None


def page(connection: sqlite3.Connection, window: Window, after: TaskRow | None, limit: int) -> list[TaskRow]:
    """Return the tasks placed in ``window`` behind ``after``, oldest first."""
    start = {"place_ms": after.place_ms, "row": after.row} if after else {"place_ms": window.from_ms, "row": -1}
    span = {"from_ms": window.from_ms, "to_ms": window.to_ms, "limit": limit}
    return [_row(connection, found) for found in connection.execute(_PAGE, span | start).fetchall()]


def of_ids(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, TaskRow]:
    """Return the tasks that are known, by the ids asked for."""
    found = ((task_id, connection.execute(_ONE, (key(task_id),)).fetchone()) for task_id in task_ids)
    return {task_id: _row(connection, row) for task_id, row in found if row is not None}


def _row(connection: sqlite3.Connection, found: Sequence[Any]) -> TaskRow:
    task = task_of(found[_TASK])
    recordings = connection.execute(_RECORDINGS, (found[0],)).fetchall()
    deleted = None if found[27] is None else bool(found[27])
    return TaskRow(
        row=found[0],
        place_ms=found[1] or 0,
        task=task,
        asked=asked_of(found[_ASKED]),
        reason=found[2],
        recordings=tuple(_recording(found[0], task.id, row) for row in recordings),
        witness_ms=found[24],
        witness_recordings=found[25],
        witness_bytes=found[26],
        witness_deleted=deleted,
    )


def _recording(row: int, task_id: str, found: Sequence[Any]) -> KnownRecording:
    recording_id, state, reason, object_key, size, crc32, etag, was_stored, segment = found
    stored = None
    if state == RecordingState.STORED:
        stored = StoredRow(row, task_id, recording_id, object_key, size, crc32, etag or "")
    return KnownRecording(recording_id, RecordingState(state), reason, stored, bool(was_stored), bool(segment))


def witness(connection: sqlite3.Connection, found: Sequence[Witness], now_ms: int) -> None:
    """Keep what Search said; a task that is not known is passed over.

    A recording that Search has, or a capture it says was requested, is a promise, which the other list may not have
    heard of.
    """
    for each in found:
        said: dict[str, Any] = {"recordings": number(each.recordings), "bytes": number(each.bytes)}
        there = bool(each.recordings) and not each.deleted
        said |= {"deleted": each.deleted, "promised": there or each.task.capture_requested is True}
        connection.execute(_WITNESS, said | {"id": key(each.task.id), "now_ms": now_ms})


def deleted(connection: sqlite3.Connection, row: TaskRow, now_ms: int, named: Collection[str]) -> None:
    """Let what never came of a task come to rest as GONE; a task without recordings gets one, under the task's id.

    STORED stays, and so does what was stored once: that was not lost at Webex; and what Webex still has, ``named``.
    """
    connection.execute(
        """INSERT OR IGNORE INTO recordings (task, id, state, reason, listed_ms, changed_ms)
           SELECT :n, id, 'gone', :reason, :now, :now FROM tasks
           WHERE n = :n AND NOT EXISTS (SELECT 1 FROM recordings WHERE task = :n)""",
        {"n": row.row, "reason": words(DELETED), "now": now_ms},
    )
    kept = set(map(key, named))
    for each in row.recordings:
        if each.id not in kept:
            connection.execute(
                """UPDATE recordings SET state = 'gone', reason = :reason, detail = '', changed_ms = :now
                   WHERE task = :n AND id = :id AND state IN ('listed', 'started', 'failed') AND stored_ms IS NULL""",
                {"n": row.row, "id": each.id, "reason": words(DELETED), "now": now_ms},
            )
    connection.execute(
        """UPDATE tasks SET state = 'captured', reason = '', next_ask_ms = NULL, sidecar_sha256 = NULL, changed_ms = ?
           WHERE n = ?""",
        (now_ms, row.row),
    )
