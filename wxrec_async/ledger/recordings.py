"""Recordings and their uploads on a connection.  Plain functions, each run inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from wxrec_async.errors import LedgerError
from wxrec_async.ledger.protocol import KnownTask, StartedKey
from wxrec_async.ledger.rows import key, number, text, words
from wxrec_async.ledger.tasks import looked_again, row_of, try_again
from wxrec_async.model import OpenUpload, Recording, RecordingState, StoredObject

_UPSERT = """
INSERT INTO recordings (task, id, call_type, start_ms, stop_ms, segment, tracking_id, listed_ms, changed_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, id) DO UPDATE SET
    call_type = coalesce(excluded.call_type, call_type), start_ms = coalesce(excluded.start_ms, start_ms),
    stop_ms = coalesce(excluded.stop_ms, stop_ms), segment = excluded.segment,
    tracking_id = CASE WHEN state = 'stored' THEN coalesce(tracking_id, excluded.tracking_id)
        ELSE coalesce(excluded.tracking_id, tracking_id) END
"""
# Found again what this ledger already calls stored: who stored it stays, and so does the SHA-256 of the same bytes.
_STORE = """
UPDATE recordings SET
    state = 'stored', object_key = :key, size = :size, crc32 = :crc32, etag = :etag, version_id = :version_id,
    flags = :flags, main_place = :main_place, reason = '', detail = '', changed_ms = :now,
    sha256 = CASE WHEN size IS :size AND crc32 IS :crc32 THEN coalesce(:sha256, sha256) ELSE :sha256 END,
    run = CASE WHEN :already AND state = 'stored' THEN run ELSE :run END,
    stored_ms = CASE WHEN :already AND state = 'stored' THEN stored_ms ELSE :now END,
    already = CASE WHEN :already AND state = 'stored' THEN already ELSE :already END
WHERE task = :task AND id = :id
"""


@dataclass(frozen=True, slots=True)
class Storing:
    """The facts of a stored recording besides the object itself."""

    task_id: str
    recording_id: str
    run: int
    already: bool
    main_place: bool
    flags: Sequence[str]
    now_ms: int


def captured(
    connection: sqlite3.Connection,
    task_id: str,
    recordings: Sequence[Recording],
    now_ms: int,
    next_ask_ms: int | None = None,
) -> KnownTask:
    """Make the task CAPTURED and add what is new of its recordings; ``next_ask_ms`` is when to look again."""
    n = row_of(connection, task_id)
    connection.execute(
        "UPDATE tasks SET state = 'captured', reason = '', changed_ms = ? WHERE n = ? AND state <> 'captured'",
        (now_ms, n),
    )
    for recording in recordings:
        add(connection, n, recording, now_ms)
    looked_again(connection, n, next_ask_ms, now_ms)
    return _known(connection, n, task_id, {key(recording.id): recording.id for recording in recordings})


def known(connection: sqlite3.Connection, task_id: str) -> KnownTask:
    """Return what is known of a task's recordings."""
    return _known(connection, row_of(connection, task_id), task_id, {})


def add(connection: sqlite3.Connection, n: int, recording: Recording, now_ms: int) -> None:
    """Add a recording of the task in row ``n`` as LISTED; one that is known keeps its state."""
    times = (number(recording.start_ms), number(recording.stop_ms))
    facts = (n, key(recording.id), text(recording.call_type), *times, recording.segment, text(recording.tracking_id))
    connection.execute(_UPSERT, (*facts, now_ms, now_ms))


def _known(connection: sqlite3.Connection, n: int, task_id: str, names: dict[str, str]) -> KnownTask:
    """``names`` gives ids back as they came, where keeping them meant writing them differently."""
    rows = connection.execute("SELECT id, state, main_place FROM recordings WHERE task = ?", (n,)).fetchall()
    states = {names.get(kept, kept): RecordingState(state) for kept, state, _ in rows}
    holders = [names.get(kept, kept) for kept, _, main in rows if main]
    return KnownTask(task_id, states, holders[0] if holders else None)


def started(connection: sqlite3.Connection, task_id: str, recording_id: str, object_key: str, now_ms: int) -> None:
    """Note the intent to write ``object_key``."""
    n = _require(connection, task_id, recording_id)
    connection.execute(
        """UPDATE recordings SET state = 'started', object_key = ?, reason = '', detail = '', started_ms = ?,
           changed_ms = ? WHERE task = ? AND id = ? AND state IN ('listed', 'started', 'failed')""",
        (key(object_key), now_ms, now_ms, n, key(recording_id)),
    )


def stored(connection: sqlite3.Connection, facts: Storing, obj: StoredObject) -> None:
    """Note a verified object; LedgerError when another recording holds the task's main place."""
    n = _require(connection, facts.task_id, facts.recording_id)
    if facts.main_place:
        _refuse_second_holder(connection, n, facts)
    connection.execute(
        _STORE,
        {
            "task": n,
            "id": key(facts.recording_id),
            "key": key(obj.key),
            "size": obj.size,
            "crc32": obj.crc32,
            "etag": text(obj.etag),
            "version_id": text(obj.version_id),
            "sha256": text(obj.sha256),
            "flags": " ".join(map(words, facts.flags)),
            "main_place": facts.main_place,
            "already": facts.already,
            "run": facts.run,
            "now": facts.now_ms,
        },
    )
    _outdate_sidecar(connection, n)


def _refuse_second_holder(connection: sqlite3.Connection, n: int, facts: Storing) -> None:
    holder = connection.execute("SELECT id FROM recordings WHERE task = ? AND main_place = 1", (n,)).fetchone()
    if holder is not None and holder[0] != key(facts.recording_id):
        raise LedgerError(
            f"task {key(facts.task_id)}: recording {holder[0]} holds the main place already, "
            f"{key(facts.recording_id)} cannot take it"
        )


def failed(connection: sqlite3.Connection, ids: tuple[str, str], reason: str, detail: str, now_ms: int) -> None:
    """Note a failure, unless the recording came to rest before."""
    n = _require(connection, *ids)
    changed = connection.execute(
        """UPDATE recordings SET state = 'failed', reason = ?, detail = ?, changed_ms = ?
           WHERE task = ? AND id = ? AND state NOT IN ('stored', 'gone')""",
        (words(reason), words(detail), now_ms, n, key(ids[1])),
    )
    if changed.rowcount:
        query = "SELECT listed_ms FROM recordings WHERE task = ? AND id = ?"
        try_again(connection, n, connection.execute(query, (n, key(ids[1]))).fetchone()[0], now_ms)


def gone(connection: sqlite3.Connection, task_id: str, recording_id: str, now_ms: int) -> None:
    """Note that Webex deleted it, unless it is stored."""
    n = _require(connection, task_id, recording_id)
    _outdate_sidecar(connection, n)
    connection.execute(
        """UPDATE recordings SET state = 'gone', reason = '', detail = '', changed_ms = ?
           WHERE task = ? AND id = ? AND state <> 'stored'""",
        (now_ms, n, key(recording_id)),
    )


def _outdate_sidecar(connection: sqlite3.Connection, n: int) -> None:
    """What a sidecar says of this task is not how it stands any more."""
    connection.execute("UPDATE tasks SET sidecar_sha256 = NULL WHERE n = ? AND sidecar_sha256 IS NOT NULL", (n,))


def _require(connection: sqlite3.Connection, task_id: str, recording_id: str) -> int:
    n = row_of(connection, task_id)
    known = connection.execute("SELECT 1 FROM recordings WHERE task = ? AND id = ?", (n, key(recording_id)))
    if known.fetchone() is None:
        raise LedgerError(f"recording {key(recording_id)} of task {key(task_id)} is not in the ledger")
    return n


def started_keys(connection: sqlite3.Connection) -> list[StartedKey]:
    """Return what was begun and has not come to rest."""
    query = """
        SELECT tasks.id, recordings.id, object_key FROM recordings CROSS JOIN tasks ON tasks.n = recordings.task
        WHERE recordings.state = 'started' AND recordings.state IN ('listed', 'started', 'failed')
        ORDER BY recordings.task, recordings.id
    """
    return [StartedKey(*row) for row in connection.execute(query)]


def upload_created(connection: sqlite3.Connection, upload: OpenUpload) -> None:
    """Note an open upload."""
    connection.execute(
        """INSERT OR IGNORE INTO open_uploads (upload_id, object_key, task_id, recording_id, started_ms)
           VALUES (?, ?, ?, ?, ?)""",
        (key(upload.upload_id), key(upload.key), key(upload.task_id), key(upload.recording_id), upload.started_ms),
    )


def completing(connection: sqlite3.Connection, upload_id: str, size: int, crc32: int) -> None:
    """Note what the object of an open upload will be."""
    changed = connection.execute(
        "UPDATE open_uploads SET size = ?, crc32 = ? WHERE upload_id = ?", (size, crc32, key(upload_id))
    )
    if not changed.rowcount:
        raise LedgerError("an upload is completing that the ledger never heard of")


def upload_gone(connection: sqlite3.Connection, upload_id: str) -> None:
    """Forget an upload."""
    connection.execute("DELETE FROM open_uploads WHERE upload_id = ?", (key(upload_id),))


def open_uploads(connection: sqlite3.Connection) -> list[OpenUpload]:
    """Return every upload not seen gone."""
    query = """
        SELECT object_key, upload_id, task_id, recording_id, size, crc32, started_ms FROM open_uploads
        ORDER BY started_ms, upload_id
    """
    return [OpenUpload(*row) for row in connection.execute(query)]
