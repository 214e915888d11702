"""What is written down for others: manifest rows, certificates, sidecars.

Plain functions on a connection, each run inside a transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from wxrec_async.errors import LedgerError
from wxrec_async.ledger.records import Scope, StoredRow
from wxrec_async.ledger.rows import flag, key
from wxrec_async.ledger.task_columns import TASK, task_of
from wxrec_async.ledger.tasks import row_of, scope_parameters
from wxrec_async.model import Window
from wxrec_async.rules.evidence import Item
from wxrec_async.rules.sidecars import Described, FinishedRecording

# By time, then by id: the order does not depend on when this ledger heard of a task.
_ITEMS = """
SELECT place_ms, tasks.id, recordings.id, object_key, size, crc32, sha256, etag, version_id, call_type, segment,
    created_ms, start_ms, stop_ms, stored_ms, tracking_id, runs.id, runs.tool_version, recordings.kind
FROM tasks CROSS JOIN recordings ON recordings.task = tasks.n LEFT JOIN runs ON runs.n = recordings.run
WHERE place_ms >= :place AND place_ms < :to_ms AND recordings.state = 'stored'
    AND (place_ms, tasks.id, recordings.id) > (:place, :task, :id)
ORDER BY place_ms, tasks.id, recordings.id LIMIT :limit
"""
_CERTIFICATE = """
SELECT n, day_ms, number, certified_ms, certificate_key, certificate_sha256, manifest_key, manifest_sha256,
    content_sha256, schema, tasks_key, tasks_sha256, witnesses
FROM certificates
"""
_LAST = _CERTIFICATE + " ORDER BY n DESC LIMIT 1"
_OF_DAY = _CERTIFICATE + " WHERE day_ms = ? ORDER BY number"
_NUMBERED = _CERTIFICATE + " WHERE n = ?"
# Beside a max() SQLite takes a bare column from the row of that maximum: the witnesses of the newest certificate.
_CERTIFIED = """
SELECT witnesses, count(*) FROM (SELECT day_ms, max(n), witnesses FROM certificates GROUP BY day_ms) GROUP BY witnesses
"""
_ADD = """
INSERT INTO certificates (n, day_ms, number, certified_ms, certificate_key, certificate_sha256, manifest_key,
    manifest_sha256, content_sha256, schema, tasks_key, tasks_sha256, witnesses)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TASK = f"SELECT {TASK}, said FROM tasks WHERE n = ?"  # noqa: S608 - put together from constants
_RECORDINGS = """
SELECT id, state, CASE state WHEN 'stored' THEN object_key END, size, crc32, sha256, version_id, call_type, segment,
    start_ms, stop_ms, flags, file_name, channel1, channel2, participants, sensitive, said, evidence, kind
FROM recordings WHERE task = ? ORDER BY id
"""
_DUE = """
SELECT n, id FROM tasks
WHERE state = 'captured' AND sidecar_sha256 IS NULL AND n > :after
    AND NOT EXISTS (SELECT 1 FROM recordings WHERE task = n AND state IN ('listed', 'started', 'failed'))
    AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
        WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
ORDER BY n LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate that was issued: the ``n``-th of all, the ``number``-th of the day that begins at ``day_ms``.

    ``tasks_key`` is its file of tasks and ``witnesses`` the JSON of what it rests on, from schema 2 on.
    """

    n: int
    day_ms: int
    number: int
    certified_ms: int
    certificate_key: str
    certificate_sha256: str
    manifest_key: str
    manifest_sha256: str
    content_sha256: str
    schema: int = 1
    tasks_key: str | None = None
    tasks_sha256: str | None = None
    witnesses: str = ""


def items(connection: sqlite3.Connection, day: Window, *, after: Item | None = None, limit: int = 1000) -> list[Item]:
    """Return up to ``limit`` stored recordings of a day behind ``after``, by time and id; an empty list ends it."""
    place = {"place": day.from_ms, "task": "", "id": ""}
    if after is not None:
        place = {"place": after.place_ms, "task": after.task_id, "id": after.recording_id}
    rows = connection.execute(_ITEMS, place | {"to_ms": day.to_ms, "limit": limit})
    return [replace(Item(*row), segment=bool(row[10])) for row in rows]


def add_certificate(connection: sqlite3.Connection, row: CertificateRow) -> None:
    """Note a certificate that lies in the bucket.  May be called twice; another one of that number: LedgerError."""
    known = connection.execute(_NUMBERED, (row.n,)).fetchone()
    if known is None:
        connection.execute(_ADD, astuple(row))
    # One number is one certificate: another one under it means that the chain has forked.
    elif CertificateRow(*known) != row:
        raise LedgerError(f"the ledger knows another certificate {row.n} than the bucket has")


def last_certificate(connection: sqlite3.Connection) -> CertificateRow | None:
    """Return the certificate issued last, as far as this ledger has heard."""
    found = connection.execute(_LAST).fetchone()
    return CertificateRow(*found) if found else None


def certificates_of(connection: sqlite3.Connection, day_ms: int) -> list[CertificateRow]:
    """Return the certificates of the day that begins at ``day_ms``, the newest last."""
    return [CertificateRow(*row) for row in connection.execute(_OF_DAY, (day_ms,))]


def certified_days(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the certified days by how Search was heard for them: a word of `SearchState`, or ``not_said``.

    The newest certificate of a day says so.
    """
    counted: dict[str, int] = {}
    for told, days in connection.execute(_CERTIFIED):
        how = str(json.loads(told or "{}").get("search", "not_said"))
        counted[how] = counted.get(how, 0) + days
    return counted


def described(connection: sqlite3.Connection, task_id: str) -> Described | None:
    """Return what a sidecar says of a task; None while one of its recordings is not at rest, or there are none."""
    n = row_of(connection, task_id)
    rows = connection.execute(_RECORDINGS, (n,)).fetchall()
    if not rows or any(row[1] not in {"stored", "gone"} for row in rows):
        return None
    number, sha256 = connection.execute("SELECT sidecar, sidecar_sha256 FROM tasks WHERE n = ?", (n,)).fetchone()
    *columns, said = connection.execute(_TASK, (n,)).fetchone()
    at_rest = tuple(map(_at_rest, rows))
    return Described(replace(task_of(columns), said=said), at_rest, number or 0, sha256 is not None)


def _at_rest(row: Sequence[Any]) -> FinishedRecording:
    found = FinishedRecording(*row)
    return replace(
        found,
        segment=bool(found.segment),
        flags=tuple(row[11].split()),
        participants=tuple(json.loads(row[15] or "[]")),
        sensitive=flag(row[16]),
    )


def sidecars_due(
    connection: sqlite3.Connection, scope: Scope, *, after: int = 0, limit: int = 500
) -> list[tuple[int, str]]:
    """Return row and id of tasks at rest whose newest state no sidecar tells; an empty list is the end."""
    parameters = scope_parameters(connection, scope) | {"after": after, "limit": limit}
    return list(connection.execute(_DUE, parameters))


def note_sidecar(connection: sqlite3.Connection, task_id: str, number: int, sha256: str) -> None:
    """Note a task's newest sidecar; whatever changes a recording of the task makes it due again."""
    n = row_of(connection, task_id)
    connection.execute("UPDATE tasks SET sidecar = ?, sidecar_sha256 = ? WHERE n = ?", (number, sha256, n))


def note_sha256(connection: sqlite3.Connection, row: StoredRow, sha256: str) -> bool:
    """Fill in a SHA-256 that is not known yet, of bytes that were read back; False when nothing changed."""
    # The row must still be of the object that was read: it may have been replaced or lost meanwhile.
    changed = connection.execute(
        """UPDATE recordings SET sha256 = ?
           WHERE task = ? AND id = ? AND state = 'stored' AND object_key = ? AND sha256 IS NULL""",
        (key(sha256), row.row, row.recording_id, row.key),
    )
    return changed.rowcount > 0
