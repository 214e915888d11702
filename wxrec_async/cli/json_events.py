"""Events into the JSON lines of ``--json``, one for each outcome."""

from __future__ import annotations

from wxrec_async import events
from wxrec_async.cli.text import harmless
from wxrec_async.events import Event
from wxrec_async.ledger.records import Failure, Incomplete
from wxrec_async.model import Kind, iso

# `failed` is what becomes of a recording; a task that failed has a name of its own.
TASK_EVENTS = {"no_recording": "no_recording", "owed": "owed", "failed": "task_failed"}


def as_record(event: Event) -> dict[str, object] | None:
    """Return the line for an event, None when it is no outcome.  ``crc32`` is eight hexadecimal digits."""
    match event:
        case events.RecordingStored():
            return _ids("already_stored" if event.already else "stored", event) | {
                "key": event.key,
                "bytes": event.size,
                "crc32": f"{event.crc32:08x}",
                "seconds": round(event.seconds, 3),
                "flags": list(event.flags),
            }
        case events.RecordingFailed():
            return _ids("failed", event) | {"reason": event.reason, "detail": harmless(event.detail)}
        case events.RecordingGone():
            return _ids("gone", event)
        case events.TaskSettled():
            record: dict[str, object] = {"event": TASK_EVENTS.get(event.state, event.state), "task_id": event.task_id}
            return record | ({"reason": harmless(event.reason)} if event.reason else {})
        case events.WindowIncomplete(window=window):
            return {
                "event": "window_incomplete",
                "from": iso(window.from_ms),
                "to": iso(window.to_ms),
                "reason": harmless(event.reason),
            }
        case _:
            return None


def failure_record(failure: Failure) -> dict[str, object]:
    """Return the line for a failure as the ledger keeps it."""
    record: dict[str, object] = {"event": "failed" if failure.recording_id else "task_failed"}
    record |= {"task_id": failure.task_id}
    record |= {"recording_id": failure.recording_id} if failure.recording_id else {}
    return record | {"reason": failure.reason, "detail": harmless(failure.detail)}


def incomplete_record(task: Incomplete) -> dict[str, object]:
    """Return the line for a task of which recordings are missing."""
    counted = {"recordings": task.found, "witnessed": task.witnessed}
    return {"event": "incomplete", "task_id": task.task_id, **counted}


def _ids(name: str, event: events.RecordingStored | events.RecordingFailed | events.RecordingGone) -> dict[str, object]:
    ids: dict[str, object] = {"event": name, "task_id": event.task_id, "recording_id": event.recording_id}
    # Named where it is no audio: all other lines stay as they were.
    return ids if event.kind == Kind.AUDIO else ids | {"kind": event.kind}
