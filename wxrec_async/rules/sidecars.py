"""What a sidecar says: a task and its recordings, for those who load the bucket into a query engine.

One line of JSON, its names flat and sorted.  Nothing in it depends on when it
was written, so a rerun finds that all is said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from wxrec_async.model import Kind, Task, iso
from wxrec_async.rules.evidence import canonical
from wxrec_async.rules.parts import crc32_text
from wxrec_async.rules.redact import mask_number, redact_text

SCHEMA = 1
CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class FinishedRecording:
    """A recording that is stored or gone; ``size`` is in bytes, ``key`` None when there is no object."""

    id: str
    state: str
    key: str | None = None
    size: int | None = None
    crc32: int | None = None
    sha256: str | None = None
    version_id: str | None = None
    call_type: str | None = None
    segment: bool = False
    start_ms: int | None = None
    stop_ms: int | None = None
    flags: tuple[str, ...] = ()
    kind: str = Kind.AUDIO.value


@dataclass(frozen=True, slots=True)
class Described:
    """A task all of whose recordings are at rest, and the sidecar written last.

    ``number`` is 0 while there is none; ``current`` says that nothing changed since.
    """

    task: Task
    recordings: tuple[FinishedRecording, ...]
    number: int = 0
    current: bool = False

    @property
    def start_ms(self) -> int | None:
        """When the first recording began, as far as that is known."""
        return min((each.start_ms for each in self.recordings if each.start_ms is not None), default=None)


def content(described: Described, *, masked: bool) -> bytes:
    """Write a sidecar; ``masked`` keeps phone numbers and addresses out of it, whatever field they are in."""
    task = described.task

    def words(text: str | None) -> str | None:
        return redact_text(text) if masked and text else text

    def number(text: str | None) -> str | None:
        return mask_number(text) if masked and text else text

    return canonical(
        {
            "schema": SCHEMA,
            "task_id": task.id,
            "channel_type": words(task.channel_type),
            "status": words(task.status),
            "direction": words(task.direction),
            "origin": number(task.origin),
            "destination": number(task.destination),
            "created": iso(task.created_ms),
            "ended": iso(task.ended_ms),
            "duration_ms": task.duration_ms,
            "queue_id": words(task.queue_id),
            "queue_name": words(task.queue_name),
            "agent_id": words(task.agent_id),
            "agent_name": words(task.agent_name),
            "capture_requested": task.capture_requested,
            # Sorted: the order of a ledger's rows is nothing that is said, and a rerun must make the same bytes.
            "recordings": [_recording(each) for each in sorted(described.recordings, key=lambda each: each.id)],
        }
    )


def _recording(each: FinishedRecording) -> dict[str, object]:
    return {
        **({} if each.kind == Kind.AUDIO else {"kind": each.kind}),
        "recording_id": each.id,
        "state": each.state,
        "key": each.key,
        "bytes": each.size,
        "checksum": None if each.crc32 is None else crc32_text(each.crc32),
        "checksum_algorithm": "CRC32",
        "sha256": each.sha256,
        "version_id": each.version_id,
        "call_type": each.call_type,
        "segment": each.segment,
        "start": iso(each.start_ms),
        "stop": iso(each.stop_ms),
        "flags": list(each.flags),
    }


def says_as_much(written: bytes, wanted: bytes) -> bool:
    """Say whether a sidecar that lies in the bucket says all that a new one would.

    A ledger made anew from the bucket knows less than the one that was lost;
    that is no reason for a further state.
    """
    try:
        return _covers(json.loads(written), json.loads(wanted))
    except (ValueError, RecursionError):
        return False


def _covers(known: object, wanted: object) -> bool:
    if wanted is None or wanted in ([], known):  # what is not known contradicts nothing
        return True
    if isinstance(known, dict) and isinstance(wanted, dict):
        return all(_covers(known.get(name), value) for name, value in wanted.items())
    if isinstance(known, list) and isinstance(wanted, list):
        return len(known) == len(wanted) and all(map(_covers, known, wanted))
    return False
