"""The ledger row by row, for spreadsheets and programs: a row a recording, and one for every task that has none."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from wxrec_async.ledger.task_columns import TASK_WIDTH, of_table, task_of
from wxrec_async.model import Task, Window

_ROWS = f"""
SELECT {of_table("t")}, t.n, coalesce(r.id, ''), coalesce(r.state, t.state), t.state,
    CASE WHEN r.id IS NULL THEN t.reason ELSE r.reason END, coalesce(r.detail, ''), t.place_ms, t.first_seen_ms,
    t.next_ask_ms, t.empty_answers, t.transcripts, t.witness_recordings, t.witness_deleted,
    r.call_type, r.segment, r.start_ms, r.stop_ms, r.object_key, r.size, r.crc32, r.sha256, r.etag, r.version_id,
    r.flags, r.already, r.stored_ms, r.tracking_id, runs.id, max(t.changed_ms, coalesce(r.changed_ms, 0)), r.kind
FROM tasks AS t LEFT JOIN recordings AS r ON r.task = t.n LEFT JOIN runs ON runs.n = r.run
WHERE t.n >= :row AND (t.n > :row OR coalesce(r.id, '') > :id)
    AND (:from_ms IS NULL OR (t.place_ms >= :from_ms AND t.place_ms < :to_ms))
ORDER BY t.n, r.id LIMIT :limit
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A recording with its task, or a task without recordings (``recording_id`` and what follows ``call_type`` empty).

    ``row`` is the task's place in the ledger; times are milliseconds since the
    epoch, ``size`` is in bytes.  ``state`` is the recording's, or the task's.
    """

    task: Task
    row: int
    recording_id: str
    state: str
    task_state: str
    reason: str
    detail: str
    place_ms: int | None
    first_seen_ms: int
    next_ask_ms: int | None
    empty_answers: int
    transcripts: int | None
    witness_recordings: int | None
    witness_deleted: int | None
    call_type: str | None
    segment: int | None
    start_ms: int | None
    stop_ms: int | None
    object_key: str | None
    size: int | None
    crc32: int | None
    sha256: str | None
    etag: str | None
    version_id: str | None
    flags: str | None
    already: int | None
    stored_ms: int | None
    tracking_id: str | None
    run_id: str | None
    changed_ms: int
    recording_kind: str | None = None


def export_rows(
    connection: sqlite3.Connection, period: Window | None = None, *, after: ExportRow | None = None, limit: int = 1000
) -> list[ExportRow]:
    """Return up to ``limit`` rows behind ``after``, in the order tasks were listed; an empty list is the end.

    Every page is a look of its own, so that a long export holds up no writer:
    what others write meanwhile may be in the next one.
    """
    parameters: dict[str, Any] = {
        "from_ms": period.from_ms if period else None,
        "to_ms": period.to_ms if period else None,
        "row": after.row if after else -1,
        "id": after.recording_id if after else "",
        "limit": limit,
    }
    rows = connection.execute(_ROWS, parameters)
    return [ExportRow(task_of(row[:TASK_WIDTH]), *row[TASK_WIDTH:]) for row in rows]
