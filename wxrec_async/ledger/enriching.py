"""What older ledgers did not keep, filled in from what Webex still says.

Plain functions on a connection, each run inside a transaction.  Nothing that is
known is changed, and no state: only gaps are filled.  What was asked for and not
said becomes an empty text, so that it is not asked for again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from wxrec_async.ledger import recordings as recording_rows
from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.ledger.task_columns import COLUMNS, kept_columns
from wxrec_async.ledger.tasks import kept_id, row_of
from wxrec_async.model import DAY_MS, Recording, Task, Window

_DAYS = f"""
SELECT DISTINCT place_ms - ((place_ms % {DAY_MS}) + {DAY_MS}) % {DAY_MS} FROM tasks
WHERE reason_code IS NULL AND place_ms >= :from_ms AND place_ms < :to_ms ORDER BY 1
"""  # noqa: S608 - put together from constants
_ALL_TIME = Window(-(1 << 63), (1 << 63) - 1)
_FILLED = [name for name in COLUMNS if name not in {"id", "created_ms", "updated_ms", "capture_requested"}]
_FILL_TASK = f"""
UPDATE tasks SET {", ".join(f"{name} = coalesce({name}, :{name})" for name in _FILLED)}, sidecar_sha256 = NULL
WHERE id = :id AND ({" OR ".join(f"({name} IS NULL AND :{name} IS NOT NULL)" for name in _FILLED)})
"""  # noqa: S608 - likewise
_LACKING = """
SELECT DISTINCT recordings.task, tasks.id FROM recordings CROSS JOIN tasks ON tasks.n = recordings.task
WHERE recordings.task > :after AND recordings.state = 'stored' AND file_name IS NULL
    AND (:from_ms IS NULL OR (place_ms >= :from_ms AND place_ms < :to_ms))
ORDER BY recordings.task LIMIT :limit
"""
_SAID = ("file_name", "channel1", "channel2", "participants", "sensitive", "said")
_FILL_RECORDING = f"""
UPDATE recordings SET {", ".join(f"{name} = coalesce({name}, ?)" for name in _SAID)} WHERE task = ? AND id = ?
"""  # noqa: S608 - likewise


def days_lacking(connection: sqlite3.Connection, period: Window | None = None) -> list[Window]:
    """Return the UTC days of calls of which fields were not kept, oldest first."""
    span = period or _ALL_TIME
    rows = connection.execute(_DAYS, {"from_ms": span.from_ms, "to_ms": span.to_ms})
    return [Window(start, start + DAY_MS) for (start,) in rows]


def fill_tasks(connection: LedgerConnection, tasks: Sequence[Task]) -> int:
    """Fill the gaps of tasks that are known; return of how many something was not known before."""
    filled = 0
    for task in tasks:
        columns = kept_columns(task, connection.mask, connection.hashed) | {"id": kept_id(connection, task.id)}
        filled += connection.execute(_FILL_TASK, columns).rowcount
    return filled


def all_told(connection: sqlite3.Connection, day: Window) -> int:
    """Note that the list told all it has of a day; return how many of its tasks it has no reason code of."""
    changed = connection.execute(
        "UPDATE tasks SET reason_code = '' WHERE reason_code IS NULL AND place_ms >= ? AND place_ms < ?",
        (day.from_ms, day.to_ms),
    )
    return changed.rowcount


def recordings_lacking(
    connection: sqlite3.Connection, period: Window | None = None, *, after: int = 0, limit: int = 500
) -> list[tuple[int, str]]:
    """Return row and id of tasks with stored recordings of which fields were not kept; an empty list is the end."""
    span = {"from_ms": period.from_ms, "to_ms": period.to_ms} if period else {"from_ms": None, "to_ms": None}
    return list(connection.execute(_LACKING, span | {"after": after, "limit": limit}))


def fill_recordings(
    connection: LedgerConnection, task_id: str, named: Sequence[Recording], *, sound: bool
) -> tuple[int, int]:
    """Fill the gaps of a task's recordings; return how many, and how many Webex does not name any more.

    The latter are not asked for again, if the answer was ``sound``.
    """
    n = row_of(connection, task_id)
    lacking = {
        row[0]
        for row in connection.execute("SELECT id FROM recordings WHERE task = ? AND file_name IS NULL", (n,)).fetchall()
    }
    filled = 0
    for recording in named:
        kept = recording_rows.kept_recording(connection, n, recording.id)
        if kept in lacking:
            file_name, *more = recording_rows.said_of(recording, connection.mask)
            connection.execute(_FILL_RECORDING, (file_name or "", *more, n, kept))
            lacking.discard(kept)
            filled += 1
    if sound:
        connection.executemany(
            "UPDATE recordings SET file_name = '' WHERE task = ? AND id = ?", [(n, kept) for kept in sorted(lacking)]
        )
    if filled:
        connection.execute("UPDATE tasks SET sidecar_sha256 = NULL WHERE n = ?", (n,))
    return filled, len(lacking)
