"""Recordings and their uploads on a connection.  Plain functions, each run inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wxrec_async.errors import LedgerError
from wxrec_async.ledger.protocol import KnownRecording, KnownTask, StartedKey, StoredRow
from wxrec_async.ledger.rows import is_uuid, key, number, spelling, text, words
from wxrec_async.ledger.tasks import looked_again, note_named, row_of, try_again
from wxrec_async.model import OpenUpload, Recording, RecordingState, StoredObject

# The times of what is stored are its own: other ones are another recording under the same id, or a call that went on.
_UPSERT = """
INSERT INTO recordings (task, id, call_type, start_ms, stop_ms, segment, tracking_id, listed_ms, changed_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, id) DO UPDATE SET
    call_type = coalesce(excluded.call_type, call_type), segment = excluded.segment,
    start_ms = CASE WHEN state = 'stored' THEN coalesce(start_ms, excluded.start_ms)
        ELSE coalesce(excluded.start_ms, start_ms) END,
    stop_ms = CASE WHEN state = 'stored' THEN coalesce(stop_ms, excluded.stop_ms)
        ELSE coalesce(excluded.stop_ms, stop_ms) END,
    tracking_id = CASE WHEN state = 'stored' THEN coalesce(tracking_id, excluded.tracking_id)
        ELSE coalesce(excluded.tracking_id, tracking_id) END
"""
# Found again what this ledger already calls stored: who stored it stays, and so does the SHA-256 of the same bytes.
_STORE = """
UPDATE recordings SET
    state = 'stored', object_key = :key, size = :size, crc32 = :crc32, etag = :etag, version_id = :version_id,
    flags = :flags, main_place = :main_place, reason = '', detail = '', changed_ms = :now,
    sha256 = CASE WHEN size IS :size AND crc32 IS :crc32 THEN coalesce(:sha256, sha256) ELSE :sha256 END,
    evidence = '', content_type = coalesce(:content_type, content_type),
    start_ms = CASE WHEN :timed THEN :start_ms ELSE start_ms END,
    stop_ms = CASE WHEN :timed THEN :stop_ms ELSE stop_ms END,
    run = CASE WHEN :already AND state = 'stored' THEN run ELSE :run END,
    stored_ms = CASE WHEN :already AND state = 'stored' THEN stored_ms ELSE :now END,
    already = CASE WHEN :already AND state = 'stored' THEN already ELSE :already END
WHERE task = :task AND id = :id
"""


_KNOWN = """
SELECT id, state, reason, evidence, start_ms, stop_ms, size, flags, segment, stored_ms IS NOT NULL, object_key, crc32,
    etag
FROM recordings WHERE task = ? ORDER BY id
"""
_HOLDER = "SELECT (SELECT id FROM recordings WHERE task = n AND main_place = 1), named FROM tasks WHERE n = :n"


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
    span: tuple[int | None, int | None] | None = None


def captured(
    connection: sqlite3.Connection,
    task_id: str,
    recordings: Sequence[Recording],
    now_ms: int,
    next_ask_ms: int | None = None,
    failing: str = "",
) -> KnownTask:
    """Make the task CAPTURED and add what is new of its recordings; ``next_ask_ms`` is when to look again.

    ``failing`` is why the task has failed, although there are recordings of it.
    """
    n = row_of(connection, task_id)
    connection.execute(
        """UPDATE tasks SET state = :state, reason = :reason, evidence = '', changed_ms = :now
           WHERE n = :n AND (state <> :state OR reason <> :reason)""",
        {"state": "failed" if failing else "captured", "reason": words(failing), "now": now_ms, "n": n},
    )
    names = {add(connection, n, recording, now_ms): recording.id for recording in recordings}
    note_named(connection, n, len(names))
    looked_again(connection, n, next_ask_ms, now_ms)
    return _known(connection, n, task_id, names)


def known(connection: sqlite3.Connection, task_id: str) -> KnownTask:
    """Return what is known of a task's recordings."""
    return _known(connection, row_of(connection, task_id), task_id, {})


def add(connection: sqlite3.Connection, n: int, recording: Recording, now_ms: int) -> str:
    """Add a recording of the task in row ``n`` as LISTED; one that is known keeps its state, unless it was GONE.

    Return the id it is kept under.
    """
    kept = kept_recording(connection, n, recording.id)
    times = (number(recording.start_ms), number(recording.stop_ms))
    facts = (n, kept, text(recording.call_type), *times, recording.segment, text(recording.tracking_id))
    connection.execute(_UPSERT, (*facts, now_ms, now_ms))
    connection.execute(
        """UPDATE recordings SET state = 'listed', reason = '', evidence = '', changed_ms = ?
           WHERE task = ? AND id = ? AND state = 'gone'""",
        (now_ms, n, kept),
    )
    return kept


def kept_recording(connection: sqlite3.Connection, n: int, recording_id: str) -> str:
    """Return the id as a row of the task has it or would; see `tasks.kept_id`."""
    wanted = spelling(recording_id)
    if not is_uuid(wanted):
        return wanted
    query = "SELECT id FROM recordings WHERE task = ? AND id = ? COLLATE NOCASE ORDER BY id = ? DESC LIMIT 1"
    found = connection.execute(query, (n, wanted, wanted)).fetchone()
    return str(found[0]) if found else wanted


def _known(connection: sqlite3.Connection, n: int, task_id: str, names: dict[str, str]) -> KnownTask:
    """``names`` gives ids back as they came, where keeping them meant writing them differently."""
    found = {names.get(each.id, each.id): each for each in known_recordings(connection, n, task_id)}
    holder, named = connection.execute(_HOLDER, {"n": n}).fetchone()
    return KnownTask(task_id, found, names.get(holder, holder), named or 0)


def known_recordings(connection: sqlite3.Connection, n: int, task_id: str) -> list[KnownRecording]:
    """Return the recordings of the task in row ``n``, by id."""
    return [_recording(n, task_id, row) for row in connection.execute(_KNOWN, (n,)).fetchall()]


def _recording(n: int, task_id: str, found: Sequence[Any]) -> KnownRecording:
    kept, state, reason, evidence, start_ms, stop_ms, size, flags, segment, was_stored, *obj = found
    stored = None
    if state == RecordingState.STORED:
        object_key, crc32, etag = obj
        stored = StoredRow(n, task_id, kept, object_key, size, crc32, etag or "")
    return KnownRecording(
        id=kept,
        state=RecordingState(state),
        reason=reason,
        evidence=evidence,
        start_ms=start_ms,
        stop_ms=stop_ms,
        size=size,
        flags=tuple(flags.split()),
        segment=bool(segment),
        was_stored=bool(was_stored),
        stored=stored,
    )


def started(connection: sqlite3.Connection, task_id: str, recording_id: str, object_key: str, now_ms: int) -> None:
    """Note the intent to write ``object_key``."""
    n, kept = _require(connection, task_id, recording_id)
    connection.execute(
        """UPDATE recordings SET state = 'started', object_key = ?, reason = '', detail = '', started_ms = ?,
           changed_ms = ? WHERE task = ? AND id = ? AND state IN ('listed', 'started', 'failed')""",
        (key(object_key), now_ms, now_ms, n, kept),
    )


def stored(connection: sqlite3.Connection, facts: Storing, obj: StoredObject) -> None:
    """Note a verified object; LedgerError when another recording holds the task's main place."""
    n, kept = _require(connection, facts.task_id, facts.recording_id)
    if facts.main_place:
        _refuse_second_holder(connection, n, kept, facts)
    start_ms, stop_ms = map(number, facts.span or (None, None))
    connection.execute(
        _STORE,
        {
            "task": n,
            "id": kept,
            "key": key(obj.key),
            "size": obj.size,
            "crc32": obj.crc32,
            "etag": text(obj.etag),
            "version_id": text(obj.version_id),
            "sha256": text(obj.sha256),
            "flags": " ".join(map(words, facts.flags)),
            "content_type": text(obj.content_type),
            "timed": facts.span is not None,
            "start_ms": start_ms,
            "stop_ms": stop_ms,
            "main_place": facts.main_place,
            "already": facts.already,
            "run": facts.run,
            "now": facts.now_ms,
        },
    )
    _outdate_sidecar(connection, n)


def _refuse_second_holder(connection: sqlite3.Connection, n: int, kept: str, facts: Storing) -> None:
    holder = connection.execute("SELECT id FROM recordings WHERE task = ? AND main_place = 1", (n,)).fetchone()
    if holder is not None and holder[0] != kept:
        raise LedgerError(
            f"task {key(facts.task_id)}: recording {holder[0]} holds the main place already, "
            f"{key(facts.recording_id)} cannot take it"
        )


def failed(
    connection: sqlite3.Connection,
    ids: tuple[str, str],
    reason: str,
    detail: str,
    now_ms: int,
    evidence: str = "",
) -> None:
    """Note a failure, unless the recording came to rest before."""
    n, kept = _require(connection, *ids)
    changed = connection.execute(
        """UPDATE recordings SET state = 'failed', reason = ?, detail = ?, evidence = ?, changed_ms = ?
           WHERE task = ? AND id = ? AND state NOT IN ('stored', 'gone')""",
        (words(reason), words(detail), words(evidence), now_ms, n, kept),
    )
    if changed.rowcount:
        query = "SELECT listed_ms FROM recordings WHERE task = ? AND id = ?"
        try_again(connection, n, connection.execute(query, (n, kept)).fetchone()[0], now_ms)


def gone(connection: sqlite3.Connection, task_id: str, recording_id: str, evidence: str, now_ms: int) -> None:
    """Note that Webex deleted it, and what says so, unless it is stored."""
    n, kept = _require(connection, task_id, recording_id)
    _outdate_sidecar(connection, n)
    connection.execute(
        """UPDATE recordings SET state = 'gone', reason = '', detail = '', evidence = ?, changed_ms = ?
           WHERE task = ? AND id = ? AND state <> 'stored'""",
        (words(evidence), now_ms, n, kept),
    )


def _outdate_sidecar(connection: sqlite3.Connection, n: int) -> None:
    """What a sidecar says of this task is not how it stands any more."""
    connection.execute("UPDATE tasks SET sidecar_sha256 = NULL WHERE n = ? AND sidecar_sha256 IS NOT NULL", (n,))


def _require(connection: sqlite3.Connection, task_id: str, recording_id: str) -> tuple[int, str]:
    n = row_of(connection, task_id)
    kept = kept_recording(connection, n, recording_id)
    if connection.execute("SELECT 1 FROM recordings WHERE task = ? AND id = ?", (n, kept)).fetchone() is None:
        raise LedgerError(f"recording {key(recording_id)} of task {key(task_id)} is not in the ledger")
    return n, kept


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
