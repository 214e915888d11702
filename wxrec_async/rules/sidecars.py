"""What a sidecar says: a task and its recordings, for those who load the bucket into a query engine.

One line of JSON, its names flat and sorted.  Nothing in it depends on when it
was written, so a rerun finds that all is said.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeGuard

from wxrec_async.model import DAY_MS, Kind, Task, Window, iso
from wxrec_async.rules import said
from wxrec_async.rules.evidence import canonical
from wxrec_async.rules.parts import crc32_text
from wxrec_async.rules.redact import mask_number, redact_text

SCHEMA = 2
# Of one that is read: a call has a handful of recordings, and each of them is bounded (`rules.said`).
MOST_BYTES = 8 << 20
# Of a call of Search: its page has 250 rows, its filter 1,000 arguments, its span 365 days.
MOST_RECORDS = 100
MOST_SPAN_MS = 360 * DAY_MS
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
    file_name: str | None = None
    channel1: str | None = field(default=None, repr=False)
    channel2: str | None = field(default=None, repr=False)
    participants: tuple[str, ...] = field(default=(), repr=False)
    sensitive: bool | None = None
    said: str | None = field(default=None, repr=False)
    evidence: str = ""
    kind: str = Kind.AUDIO.value


@dataclass(frozen=True, slots=True)
class Described:
    """A task all of whose recordings are at rest, and the sidecar written last.

    ``number`` is 0 while there is none; ``current`` says that nothing changed since.  ``record`` is what Search has
    of the task (`rules.said`), where it was asked.
    """

    task: Task
    recordings: tuple[FinishedRecording, ...]
    number: int = 0
    current: bool = False
    record: str | None = field(default=None, repr=False)

    @property
    def start_ms(self) -> int | None:
        """When the first recording began, as far as that is known."""
        return min((each.start_ms for each in self.recordings if each.start_ms is not None), default=None)


def grouped(due: Sequence[Described]) -> list[tuple[Window | None, list[Described]]]:
    """Put tasks together whose contact records one call of Search can have, with the time they were created in.

    None for those of which no time is known.
    """
    untold = [each for each in due if _when(each) is None]
    groups: list[tuple[Window | None, list[Described]]] = [(None, untold)] if untold else []
    group: list[Described] = []
    for each in sorted((each for each in due if _when(each) is not None), key=lambda each: _when(each) or 0):
        if group and (len(group) == MOST_RECORDS or (_when(each) or 0) - (_when(group[0]) or 0) > MOST_SPAN_MS):
            groups.append((_span(group), group))
            group = []
        group.append(each)
    return groups + ([(_span(group), group)] if group else [])


def _when(described: Described) -> int | None:
    return described.task.created_ms if described.task.created_ms is not None else described.start_ms


def _span(group: Sequence[Described]) -> Window:
    # Where a recording's start stands in for the call's creation, that was a little earlier.
    return Window((_when(group[0]) or 0) - DAY_MS, (_when(group[-1]) or 0) + DAY_MS)


def content(described: Described, *, masked: bool) -> bytes:
    """Write a sidecar; ``masked`` keeps phone numbers and addresses out of it, whatever field they are in."""
    task, mask = described.task, mask_number if masked else str

    def words(text: str | None) -> str | None:
        return redact_text(text) if masked and text else text

    def number(text: str | None) -> str | None:
        return mask_number(text) if masked and text else text

    document = {
        "schema": SCHEMA,
        "task_id": task.id,
        "channel_type": words(task.channel_type),
        "status": words(task.status),
        "direction": words(task.direction),
        "origin": number(task.origin),
        "destination": number(task.destination),
        "origin_hash": task.origin_hash,
        "destination_hash": task.destination_hash,
        "created": iso(task.created_ms),
        "ended": iso(task.ended_ms),
        "last_updated": iso(task.updated_ms),
        "duration_ms": task.duration_ms,
        "queue_id": words(task.queue_id),
        "queue_name": words(task.queue_name),
        "agent_id": words(task.agent_id),
        "agent_name": words(task.agent_name),
        "capture_requested": task.capture_requested,
        "active": task.active,
        "reason_code": words(task.reason_code) or None,
        "said": _said(task.said, mask),
        "contact_record": _said(described.record, mask),
        # Sorted: the order of a ledger's rows is nothing that is said, and a rerun must make the same bytes.
        "recordings": [_recording(each, mask) for each in sorted(described.recordings, key=lambda each: each.id)],
    }
    return canonical(document)


def _said(kept: str | None, mask: said.Mask) -> dict[str, object] | None:
    return said.read(said.masked(kept, mask)) if kept else None


def _recording(each: FinishedRecording, mask: said.Mask) -> dict[str, object]:
    return {
        **({} if each.kind == Kind.AUDIO else {"kind": each.kind}),
        "recording_id": each.id,
        "state": each.state,
        "evidence": each.evidence or None,
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
        "file_name": _harmless(each.file_name, mask),
        "channel1": _harmless(each.channel1, mask),
        "channel2": _harmless(each.channel2, mask),
        "participants": [said.harmless(text, mask) for text in each.participants],
        "sensitive": each.sensitive,
        "said": _said(each.said, mask),
    }


def _harmless(text: str | None, mask: said.Mask) -> str | None:
    return said.harmless(text, mask) if text else None


def read_back(data: bytes) -> Described:
    """Return what a sidecar says, of schema 1 or 2; raises ValueError when it is none.

    What is unreadable in it is not known; what later schemas add is passed over.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(found, dict) or not found.get("task_id") or not isinstance(found["task_id"], str):
        raise ValueError("it names no task")
    rows = found.get("recordings")
    told = [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []
    known: dict[str, Any] = {name: _text(found.get(name)) for name in _TASK_TEXTS}
    known |= {name: _flag(found.get(name)) for name in ("capture_requested", "active")}
    known |= {ours: _moment(found.get(name)) for name, ours in _TASK_MOMENTS.items()}
    known |= {"duration_ms": _count(found.get("duration_ms")), "said": _fields(found.get("said"))}
    task = Task(found["task_id"], **known)
    return Described(task, tuple(map(_read_recording, (each for each in told if _text(each.get("recording_id"))))))


_TASK_TEXTS = (
    "channel_type", "status", "direction", "origin", "destination", "queue_id", "queue_name", "agent_id", "agent_name",
    "reason_code", "origin_hash", "destination_hash",
)  # fmt: skip
_TASK_MOMENTS = {"created": "created_ms", "ended": "ended_ms", "last_updated": "updated_ms"}


def _read_recording(each: dict[str, object]) -> FinishedRecording:
    checksum, participants, flags = each.get("checksum"), each.get("participants"), each.get("flags")
    texts: dict[str, Any] = {
        name: _text(each.get(name))
        for name in ("key", "sha256", "version_id", "call_type", "file_name", "channel1", "channel2")
    }
    return FinishedRecording(
        str(each["recording_id"]),
        _text(each.get("state")) or "",
        **texts,
        size=_count(each.get("bytes")),
        crc32=_crc32(checksum),
        segment=each.get("segment") is True,
        start_ms=_moment(each.get("start")),
        stop_ms=_moment(each.get("stop")),
        flags=tuple(map(str, flags)) if isinstance(flags, list) else (),
        participants=tuple(map(str, participants)) if isinstance(participants, list) else (),
        sensitive=_flag(each.get("sensitive")),
        said=_fields(each.get("said")),
        evidence=_text(each.get("evidence")) or "",
        kind=_text(each.get("kind")) or Kind.AUDIO.value,
    )


def _crc32(value: object) -> int | None:
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        return None
    return int.from_bytes(raw, "big") if len(raw) == 4 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def _moment(value: object) -> int | None:
    """Read what `model.iso` wrote."""
    try:
        return round(datetime.fromisoformat(str(value)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _fields(value: object) -> str | None:
    return said.kept(value) or None if isinstance(value, dict) else None


def merged(written: bytes, wanted: bytes) -> bytes:
    """Return what a sidecar shall say of which an earlier state lies in the bucket: ``written``, if that says it all.

    A ledger made anew, or one that has a call from a list of ids, knows less than
    the one that wrote it: what it does not know contradicts nothing and stays.
    """
    try:
        known, new = json.loads(written), json.loads(wanted)
        both = _both(known, new)
        return written if both == known and isinstance(known, dict) else canonical(both)
    # Whatever lies there was perhaps not written by us: it may be no JSON, or one that cannot be written again.
    except (ValueError, RecursionError):
        return wanted


def _both(known: object, new: object) -> object:
    if new is None or new == []:
        return new if known is None else known
    if isinstance(known, dict) and isinstance(new, dict):
        if known.get("checksum") and new.get("checksum") and known["checksum"] != new["checksum"]:
            return new  # another recording under the same id: what was said of the first is not said of it
        return known | {name: _both(known.get(name), value) for name, value in new.items()}
    if _of_recordings(known) and _of_recordings(new):
        return _recordings(known, new)
    return new


def _of_recordings(value: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(value, list) and all(isinstance(each, dict) and "recording_id" in each for each in value)


def _recordings(known: list[dict[str, object]], new: list[dict[str, object]]) -> list[object]:
    ours = {str(each["recording_id"]): each for each in known}
    found = {name: _both(ours.get(name), each) for name, each in ((str(each["recording_id"]), each) for each in new)}
    return [each for _, each in sorted((ours | found).items())]
