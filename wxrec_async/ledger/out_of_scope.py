"""What was seen and left where it is.  Plain functions on a connection, each run inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from wxrec_async.ledger.records import Scope
from wxrec_async.ledger.rows import key
from wxrec_async.ledger.tasks import row_of, scope_parameters
from wxrec_async.model import LeftAlone

KIND_CHARS = 40
_COUNT = """
SELECT kind, count(*) FROM left_alone
WHERE :kind <> 'named' AND (:kind <> 'period' OR (place_ms >= :from_ms AND place_ms < :to_ms)) GROUP BY kind
"""


def leave_alone(connection: sqlite3.Connection, seen: Sequence[LeftAlone], transcripts: Mapping[str, int]) -> None:
    """Note what was seen and left, and how many transcripts each known task has.  May be called twice."""
    connection.executemany(
        "INSERT OR IGNORE INTO left_alone (id, kind, place_ms) VALUES (?, ?, ?)",
        [(key(each.id), key(each.kind)[:KIND_CHARS], each.place_ms) for each in seen],
    )
    for task_id, count in transcripts.items():
        connection.execute("UPDATE tasks SET transcripts = ? WHERE n = ?", (count, row_of(connection, task_id)))


def left_alone(connection: sqlite3.Connection, scope: Scope) -> dict[str, int]:
    """Count what was seen and left, by kind; nothing for `NamedFor`: named tasks have no place of their own."""
    return dict(connection.execute(_COUNT, scope_parameters(connection, scope)).fetchall())
