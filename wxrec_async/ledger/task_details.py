"""Tasks with all that is known of them, page by page, and what Search says of them.

Plain functions on a connection, each run inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from wxrec_async.ledger import recordings as recording_rows
from wxrec_async.ledger.protocol import AskedBefore, KnownRecording
from wxrec_async.ledger.rows import asked_of, flag, number, task_of
from wxrec_async.ledger.tasks import kept_id
from wxrec_async.model import Task, Window, Witness

DELETED = "deleted_at_webex"
SEARCH_DELETED = "search_deleted"  # Search says so, and captures, asked after it, names it no longer

_PAGE = """
SELECT n, place_ms, reason, evidence, named,
    id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
    queue_name, agent_id, agent_name, duration_ms, capture_requested, active,
    state, first_seen_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms,
    witness_ms, witness_recordings, witness_bytes, witness_deleted
FROM tasks WHERE place_ms >= :from_ms AND place_ms < :to_ms AND (place_ms, n) > (:place_ms, :row)
ORDER BY place_ms, n LIMIT :limit
"""
_ONE = """
SELECT n, place_ms, reason, evidence, named,
    id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
    queue_name, agent_id, agent_name, duration_ms, capture_requested, active,
    state, first_seen_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms,
    witness_ms, witness_recordings, witness_bytes, witness_deleted
FROM tasks WHERE id = ?
"""
_WITNESS = """
UPDATE tasks SET witness_ms = :now_ms, witness_recordings = :recordings, witness_bytes = :bytes,
    witness_deleted = :deleted, capture_requested = CASE WHEN :promised THEN 1 ELSE capture_requested END
WHERE id = :id
"""
_TASK = slice(5, 21)
_ASKED = slice(21, 27)


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with its recordings.

    ``place_ms`` and ``row`` are its place in the order of pages; ``evidence`` is
    what its state rests on, ``named`` the most recordings one answer of captures
    named; the ``witness`` fields are what Search said at ``witness_ms``, None when it was never heard.
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
    evidence: str = ""
    named: int = 0


def page(connection: sqlite3.Connection, window: Window, after: TaskRow | None, limit: int) -> list[TaskRow]:
    """Return the tasks placed in ``window`` behind ``after``, oldest first."""
    start = {"place_ms": after.place_ms, "row": after.row} if after else {"place_ms": window.from_ms, "row": -1}
    span = {"from_ms": window.from_ms, "to_ms": window.to_ms, "limit": limit}
    return [_row(connection, found) for found in connection.execute(_PAGE, span | start).fetchall()]


def of_ids(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, TaskRow]:
    """Return the tasks that are known, by the ids asked for."""
    found = ((each, connection.execute(_ONE, (kept_id(connection, each),)).fetchone()) for each in task_ids)
    return {task_id: _row(connection, row) for task_id, row in found if row is not None}


def _row(connection: sqlite3.Connection, found: Sequence[Any]) -> TaskRow:
    task = task_of(found[_TASK])
    return TaskRow(
        row=found[0],
        place_ms=found[1] or 0,
        task=task,
        asked=asked_of(found[_ASKED]),
        reason=found[2],
        recordings=tuple(recording_rows.known_recordings(connection, found[0], task.id)),
        witness_ms=found[27],
        witness_recordings=found[28],
        witness_bytes=found[29],
        witness_deleted=flag(found[30]),
        evidence=found[3],
        named=found[4] or 0,
    )


def witness(connection: sqlite3.Connection, found: Sequence[Witness], now_ms: int) -> None:
    """Keep what Search said; a task that is not known is passed over.

    A recording that Search has, or a capture it says was requested, is a promise, which the other list may not have
    heard of.
    """
    for each in found:
        said: dict[str, Any] = {"recordings": number(each.recordings), "bytes": number(each.bytes)}
        there = bool(each.recordings) and not each.deleted
        said |= {"deleted": each.deleted, "promised": there or each.task.capture_requested is True}
        connection.execute(_WITNESS, said | {"id": kept_id(connection, each.task.id), "now_ms": now_ms})


def deleted(connection: sqlite3.Connection, row: TaskRow, now_ms: int, named: Collection[str]) -> None:
    """Let what never came of a task come to rest as GONE; a task without recordings gets one, under the task's id.

    STORED stays, and so does what was stored once: that was not lost at Webex; and what Webex still has, ``named``.
    """
    said = {"reason": DELETED, "evidence": SEARCH_DELETED, "now": now_ms}
    connection.execute(
        """INSERT OR IGNORE INTO recordings (task, id, state, reason, evidence, listed_ms, changed_ms)
           SELECT :n, id, 'gone', :reason, :evidence, :now, :now FROM tasks
           WHERE n = :n AND NOT EXISTS (SELECT 1 FROM recordings WHERE task = :n)""",
        said | {"n": row.row},
    )
    kept = {recording_rows.kept_recording(connection, row.row, each) for each in named}
    for each in row.recordings:
        if each.id not in kept:
            connection.execute(
                """UPDATE recordings
                   SET state = 'gone', reason = :reason, evidence = :evidence, detail = '', changed_ms = :now
                   WHERE task = :n AND id = :id AND state IN ('listed', 'started', 'failed') AND stored_ms IS NULL""",
                said | {"n": row.row, "id": each.id},
            )
    connection.execute(
        """UPDATE tasks SET state = 'captured', reason = '', evidence = '', next_ask_ms = NULL, sidecar_sha256 = NULL,
               changed_ms = ?
           WHERE n = ?""",
        (now_ms, row.row),
    )
