"""Tasks with all that is known of them, page by page, and what Search says of them.

Plain functions on a connection, each run inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from wxrec_async.ledger import recordings as recording_rows
from wxrec_async.ledger.records import TaskRow
from wxrec_async.ledger.rows import flag, number
from wxrec_async.ledger.task_columns import ASKED, ASKED_WIDTH, TASK, TASK_WIDTH, asked_of, task_of
from wxrec_async.ledger.tasks import kept_id
from wxrec_async.model import SearchRow, Window

DELETED = "deleted_at_webex"
SEARCH_DELETED = "search_deleted"  # Search says so, and captures, asked after it, names it no longer

_ROW = f"""
SELECT {TASK}, {ASKED}, n, place_ms, reason, evidence, named,
    witness_ms, witness_recordings, witness_bytes, witness_deleted
FROM tasks
"""  # noqa: S608 - put together from constants
_PAGE = f"""
{_ROW}
WHERE place_ms >= :from_ms AND place_ms < :to_ms AND (place_ms, n) > (:place_ms, :row)
ORDER BY place_ms, n LIMIT :limit
"""
_ONE = f"{_ROW} WHERE id = ?"
_WITNESS = """
UPDATE tasks SET witness_ms = :now_ms, witness_recordings = :recordings, witness_bytes = :bytes,
    witness_deleted = :deleted, capture_requested = CASE WHEN :promised THEN 1 ELSE capture_requested END
WHERE id = :id
"""


def task_rows(
    connection: sqlite3.Connection, window: Window, *, after: TaskRow | None = None, limit: int = 500
) -> list[TaskRow]:
    """Return up to ``limit`` tasks placed in ``window`` behind ``after``, oldest first; an empty list is the end.

    A task's place is its creation, else the start of the window it was listed in.
    """
    start = {"place_ms": after.place_ms, "row": after.row} if after else {"place_ms": window.from_ms, "row": -1}
    span = {"from_ms": window.from_ms, "to_ms": window.to_ms, "limit": limit}
    return [_row(connection, found) for found in connection.execute(_PAGE, span | start).fetchall()]


def rows_of(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, TaskRow]:
    """Return the tasks among these that are known, by the ids asked for."""
    found = ((each, connection.execute(_ONE, (kept_id(connection, each),)).fetchone()) for each in task_ids)
    return {task_id: _row(connection, row) for task_id, row in found if row is not None}


def _row(connection: sqlite3.Connection, found: Sequence[Any]) -> TaskRow:
    task, rest = task_of(found[:TASK_WIDTH]), found[TASK_WIDTH:]
    asked = asked_of(rest[:ASKED_WIDTH])
    n, place_ms, reason, evidence, named, witness_ms, recordings, size, deleted = rest[ASKED_WIDTH:]
    return TaskRow(
        row=n,
        place_ms=place_ms or 0,
        task=task,
        asked=asked,
        reason=reason,
        recordings=tuple(recording_rows.known_recordings(connection, n, task.id)),
        witness_ms=witness_ms,
        witness_recordings=recordings,
        witness_bytes=size,
        witness_deleted=flag(deleted),
        evidence=evidence,
        named=named or 0,
    )


def witnessed(connection: sqlite3.Connection, found: Sequence[SearchRow], now_ms: int) -> None:
    """Keep what Search says of tasks that are known; one that is not is passed over.

    A recording that Search has, or a capture it says was requested, is a promise, which the other list may not have
    heard of.
    """
    for each in found:
        said: dict[str, Any] = {"recordings": number(each.recordings), "bytes": number(each.bytes)}
        # What was deleted promises nothing, however many of them Search still counts.
        there = bool(each.recordings) and not each.deleted
        said |= {"deleted": each.deleted, "promised": there or each.task.capture_requested is True}
        connection.execute(_WITNESS, said | {"id": kept_id(connection, each.task.id), "now_ms": now_ms})


def deleted_at_webex(connection: sqlite3.Connection, row: TaskRow, now_ms: int, *, named: Collection[str] = ()) -> None:
    """Note that Webex deleted what was never stored of a task: its recordings become GONE.

    A task without recordings gets one, under the task's id.  STORED stays, and so does what was stored once: that was
    not lost at Webex; and what captures still has, ``named`` by id.
    """
    said = {"reason": DELETED, "evidence": SEARCH_DELETED, "now": now_ms}
    connection.execute(
        """INSERT OR IGNORE INTO recordings (task, id, state, reason, evidence, listed_ms, changed_ms)
           SELECT :n, id, 'gone', :reason, :evidence, :now, :now FROM tasks
           WHERE n = :n AND NOT EXISTS (SELECT 1 FROM recordings WHERE task = :n)""",
        said | {"n": row.row},
    )
    # Under the ids that the rows have: captures may spell them otherwise.
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
