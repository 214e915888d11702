"""The tables of recordings and of their uploads.

Plain functions on a connection, each run inside a transaction; those that
`store` makes methods of say here what a caller may expect.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wxrec_async.errors import LedgerError
from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.ledger.records import (
    NO_REASONS,
    NO_STANDINGS,
    NOTHING,
    KnownRecording,
    KnownTask,
    Standing,
    StartedKey,
    StoredRow,
)
from wxrec_async.ledger.rows import Mask, is_uuid, number, spelling, text, words
from wxrec_async.ledger.rows import key as kept_key
from wxrec_async.ledger.runs import run_row
from wxrec_async.ledger.tasks import looked_again, note_named, row_of, try_again
from wxrec_async.model import Kind, OpenUpload, Recording, RecordingState, StoredObject, TaskState
from wxrec_async.rules import said
from wxrec_async.rules.artefacts import left_id

# The times of what is stored are its own: other ones are another recording under the same id, or a call that went on.
_UPSERT = """
INSERT INTO recordings (task, id, call_type, start_ms, stop_ms, segment, tracking_id, kind, listed_ms, changed_ms,
    file_name, channel1, channel2, participants, sensitive, said)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task, id) DO UPDATE SET
    call_type = coalesce(excluded.call_type, call_type), segment = excluded.segment,
    file_name = coalesce(excluded.file_name, file_name), channel1 = coalesce(excluded.channel1, channel1),
    channel2 = coalesce(excluded.channel2, channel2), participants = coalesce(excluded.participants, participants),
    sensitive = coalesce(excluded.sensitive, sensitive), said = coalesce(excluded.said, said),
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
SELECT id, state, reason, evidence, start_ms, stop_ms, size, flags, segment, stored_ms IS NOT NULL, kind, object_key,
    crc32, etag
FROM recordings WHERE task = ? ORDER BY id
"""
# Of a chat the transcript is what was promised; a worker of a fleet does not tell the channel.
_HAS_SOUND = """
SELECT 1 FROM tasks WHERE n = ? AND (lower(channel_type) <> 'telephony'
    OR EXISTS (SELECT 1 FROM recordings WHERE task = n AND kind = 'audio'))
"""
_HOLDER = "SELECT (SELECT id FROM recordings WHERE task = n AND main_place = 1), named FROM tasks WHERE n = :n"


# What captures named


def captured_many(
    connection: LedgerConnection,
    captures: Mapping[str, Sequence[Recording]],
    now_ms: int,
    look_again: Mapping[str, int] = NOTHING,
    failing: Mapping[str, str] = NO_REASONS,
    silent: Mapping[str, Standing] = NO_STANDINGS,
) -> dict[str, KnownTask]:
    """Note the recordings of several tasks (at least one of each, else ValueError) in one change.

    New ones are LISTED, the state of known ones stays; but GONE is LISTED again:
    what captures names is not gone.  The times of what is STORED stay those of
    what was stored, so that whoever compares them with what is named now learns
    that it was changed.  ``look_again`` says when a task deserves a second look,
    for those that do, ``failing`` names the reason of those that have failed,
    whatever is fetched of them, and ``silent`` judges those whose sound was not named: it holds where none is known.
    """
    if not all(captures.values()):
        raise ValueError("a captured task has at least one recording")
    found = {}
    for task_id, recordings in captures.items():
        standing = Standing(TaskState.CAPTURED, "", look_again.get(task_id))
        if task_id in failing:
            standing = replace(standing, state=TaskState.FAILED, reason=failing[task_id])
        elif task_id in silent and not connection.execute(_HAS_SOUND, (row_of(connection, task_id),)).fetchone():
            standing = silent[task_id]
        found[task_id] = _captured(connection, task_id, recordings, now_ms, standing)
    return found


def _captured(
    connection: LedgerConnection,
    task_id: str,
    recordings: Sequence[Recording],
    now_ms: int,
    standing: Standing,
) -> KnownTask:
    """Let the task stand so, and add what is new of its recordings."""
    n = row_of(connection, task_id)
    connection.execute(
        """UPDATE tasks SET state = :state, reason = :reason, evidence = '', changed_ms = :now
           WHERE n = :n AND (state <> :state OR reason <> :reason)""",
        {"state": standing.state.value, "reason": words(standing.reason), "now": now_ms, "n": n},
    )
    if standing.state is TaskState.OWED:
        connection.execute("UPDATE tasks SET next_ask_ms = ? WHERE n = ?", (number(standing.next_ask_ms), n))
    # By the id they are kept under: two spellings of one UUID are one recording, and count once.
    names = {add(connection, n, recording, now_ms): recording.id for recording in recordings}
    note_named(connection, n, len(names))
    _take_up(connection, task_id, [each.id for each in recordings if each.kind is not Kind.AUDIO])
    looked_again(connection, n, standing.next_ask_ms, now_ms)
    return _known(connection, n, task_id, names)


def _take_up(connection: sqlite3.Connection, task_id: str, names: Sequence[str]) -> None:
    """Forget that these were left alone, by the ids they have as recordings of the task."""
    for name in names:
        # The release before kinds wrote Webex's own id of a transcript, which is in the name between hyphens.
        words = name.split("-")
        earlier = ["-".join(words[1:end]) for end in range(2, len(words))]
        ids = [(kept_key(each),) for each in (left_id(task_id, name), *earlier)]
        connection.executemany("DELETE FROM left_alone WHERE id = ? AND kind IN ('transcript', 'screen')", ids)


def known(connection: sqlite3.Connection, task_id: str) -> KnownTask:
    """Return a task's recordings as they are known; none is an answer too."""
    return _known(connection, row_of(connection, task_id), task_id, {})


def known_many(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, KnownTask]:
    """Return several tasks as `known` does."""
    return {task_id: known(connection, task_id) for task_id in task_ids}


def add(connection: LedgerConnection, n: int, recording: Recording, now_ms: int) -> str:
    """Add a recording of the task in row ``n`` as LISTED; one that is known keeps its state, unless it was GONE.

    Return the id it is kept under.
    """
    kept = kept_recording(connection, n, recording.id)
    times = (number(recording.start_ms), number(recording.stop_ms))
    facts = (n, kept, text(recording.call_type), *times, recording.segment, text(recording.tracking_id))
    connection.execute(_UPSERT, (*facts, recording.kind.value, now_ms, now_ms, *said_of(recording, connection.mask)))
    connection.execute(
        """UPDATE recordings SET state = 'listed', reason = '', evidence = '', changed_ms = ?
           WHERE task = ? AND id = ? AND state = 'gone'""",
        (now_ms, n, kept),
    )
    return kept


def said_of(recording: Recording, mask: Mask) -> tuple[str | bool | None, ...]:
    """Return what captures says of a recording that nothing here goes by, as it may be kept."""
    channels = (said.harmless(each, mask) if each else None for each in (recording.channel1, recording.channel2))
    return (
        text(said.harmless(recording.file_name, mask)) or None,
        *map(text, channels),
        said.kept_texts(recording.participants, mask),
        recording.sensitive,
        said.masked(recording.said, mask) if recording.said else None,
    )


def kept_recording(connection: sqlite3.Connection, n: int, recording_id: str) -> str:
    """Return the id as a row of the task has it or would; see `tasks.kept_id`."""
    wanted = spelling(recording_id)
    if not is_uuid(wanted):
        return wanted
    # The exact spelling first, should an older ledger have both.
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
    kept, state, reason, evidence, start_ms, stop_ms, size, flags, segment, was_stored, kind, *obj = found
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
        kind=Kind(kind),
        stored=stored,
    )


# What became of it


def started(connection: sqlite3.Connection, task_id: str, recording_id: str, key: str, now_ms: int) -> None:
    """Note, before anything is sent to the bucket, that ``key`` is being written.  STORED and GONE stay."""
    n, kept = _require(connection, task_id, recording_id)
    connection.execute(
        """UPDATE recordings SET state = 'started', object_key = ?, reason = '', detail = '', started_ms = ?,
           changed_ms = ? WHERE task = ? AND id = ? AND state IN ('listed', 'started', 'failed')""",
        (kept_key(key), now_ms, now_ms, n, kept),
    )


def note_stored(  # noqa: PLR0913 - the facts of a stored recording
    connection: sqlite3.Connection,
    task_id: str,
    recording_id: str,
    obj: StoredObject,
    *,
    run_id: str,
    already: bool,
    main_place: bool,
    flags: Sequence[str] = (),
    now_ms: int,
    upload_id: str | None = None,
    span: tuple[int | None, int | None] | None = None,
) -> None:
    """Note a verified object; ``upload_id`` is forgotten in the same change.  The run must have been begun.

    ``span`` is start and stop of what was stored, where that is not what was
    stored before: a recording that Webex changed.

    ``already`` on a recording that is STORED keeps who stored it and when.
    A second holder of a task's main place is a LedgerError.
    """
    run = run_row(connection, run_id)
    n, kept = _require(connection, task_id, recording_id)
    if main_place:
        _refuse_second_holder(connection, n, kept, (task_id, recording_id))
    start_ms, stop_ms = map(number, span or (None, None))
    facts = {"task": n, "id": kept, "run": run, "already": already, "main_place": main_place, "now": now_ms}
    facts |= {"timed": span is not None, "start_ms": start_ms, "stop_ms": stop_ms}
    connection.execute(_STORE, facts | _object_columns(obj) | {"flags": " ".join(map(words, flags))})
    _outdate_sidecar(connection, n)
    # In this change, not in the next: otherwise a crash between them leaves recovery an upload to
    # settle that is done.
    if upload_id is not None:
        upload_gone(connection, upload_id)


def _object_columns(obj: StoredObject) -> dict[str, Any]:
    return {
        "key": kept_key(obj.key),
        "size": obj.size,
        "crc32": obj.crc32,
        "etag": text(obj.etag),
        "version_id": text(obj.version_id),
        "sha256": text(obj.sha256),
        "content_type": text(obj.content_type),
    }


def _refuse_second_holder(connection: sqlite3.Connection, n: int, kept: str, ids: tuple[str, str]) -> None:
    # The unique index would refuse it as well, but would not say who holds it.
    holder = connection.execute("SELECT id FROM recordings WHERE task = ? AND main_place = 1", (n,)).fetchone()
    if holder is not None and holder[0] != kept:
        task_id, recording_id = map(kept_key, ids)
        raise LedgerError(
            f"task {task_id}: recording {holder[0]} holds the main place already, {recording_id} cannot take it"
        )


def recording_failed(  # noqa: PLR0913 - the facts of a failure
    connection: sqlite3.Connection,
    task_id: str,
    recording_id: str,
    reason: str,
    detail: str,
    now_ms: int,
    *,
    evidence: str = "",
) -> None:
    """Note a failure; STORED and GONE stay.  URLs and phone numbers are taken out of ``detail``."""
    n, kept = _require(connection, task_id, recording_id)
    changed = connection.execute(
        """UPDATE recordings SET state = 'failed', reason = ?, detail = ?, evidence = ?, changed_ms = ?
           WHERE task = ? AND id = ? AND state NOT IN ('stored', 'gone')""",
        (words(reason), words(detail), words(evidence), now_ms, n, kept),
    )
    # Only of what has failed: a recording at rest gives its task nothing to try again.
    if changed.rowcount:
        query = "SELECT listed_ms FROM recordings WHERE task = ? AND id = ?"
        try_again(connection, n, connection.execute(query, (n, kept)).fetchone()[0], now_ms)


def recording_gone(
    connection: sqlite3.Connection, task_id: str, recording_id: str, now_ms: int, *, evidence: str
) -> None:
    """Note that Webex deleted the recording, and what says so (never nothing: ValueError); STORED stays."""
    if not evidence:
        raise ValueError("a recording is gone only with evidence")
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
        raise LedgerError(f"recording {kept_key(recording_id)} of task {kept_key(task_id)} is not in the ledger")
    return n, kept


# What a run may have left open


def started_keys(connection: sqlite3.Connection) -> list[StartedKey]:
    """Return the recordings in state STARTED, in the order they were listed."""
    query = """
        SELECT tasks.id, recordings.id, object_key FROM recordings CROSS JOIN tasks ON tasks.n = recordings.task
        WHERE recordings.state = 'started' AND recordings.state IN ('listed', 'started', 'failed')
        ORDER BY recordings.task, recordings.id
    """
    return [StartedKey(*row) for row in connection.execute(query)]


def upload_created(
    connection: sqlite3.Connection, key: str, upload_id: str, task_id: str, recording_id: str, now_ms: int
) -> None:
    """Note an open multipart upload.  May be called twice."""
    connection.execute(
        """INSERT OR IGNORE INTO open_uploads (upload_id, object_key, task_id, recording_id, started_ms)
           VALUES (?, ?, ?, ?, ?)""",
        (*map(kept_key, (upload_id, key, task_id, recording_id)), now_ms),
    )


def completing(connection: sqlite3.Connection, upload_id: str, size: int, crc32: int) -> None:
    """Note, before Complete is sent, what the object will be."""
    changed = connection.execute(
        "UPDATE open_uploads SET size = ?, crc32 = ? WHERE upload_id = ?", (size, crc32, kept_key(upload_id))
    )
    if not changed.rowcount:
        raise LedgerError("an upload is completing that the ledger never heard of")


def upload_gone(connection: sqlite3.Connection, upload_id: str) -> None:
    """Forget an upload that was completed or aborted.  May be called twice."""
    connection.execute("DELETE FROM open_uploads WHERE upload_id = ?", (kept_key(upload_id),))


def open_uploads(connection: sqlite3.Connection) -> list[OpenUpload]:
    """Return every upload that was created and not seen gone, oldest first."""
    query = """
        SELECT object_key, upload_id, task_id, recording_id, size, crc32, started_ms FROM open_uploads
        ORDER BY started_ms, upload_id
    """
    return [OpenUpload(*row) for row in connection.execute(query)]
