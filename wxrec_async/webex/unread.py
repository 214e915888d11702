"""What an answer says beyond what `parse` reads of it: fields that are new, and known ones it could not read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wxrec_async.model import Recording, Task
from wxrec_async.rules import said
from wxrec_async.webex.lenient import as_dict, as_text

# The names of an answer, and the fields of ours that then have a value.
OF_TASK = {
    "channelType": "channel_type",
    "status": "status",
    "direction": "direction",
    "origin": "origin",
    "destination": "destination",
    "createdTime": "created_ms",
    "endedTime": "ended_ms",
    "lastUpdatedTime": "updated_ms",
    "totalDuration": "duration_ms",
    "captureRequested": "capture_requested",
    "isActive": "active",
    "active": "active",
    "reasonCode": "reason_code",
}
OF_RECORDING = {
    "startTime": "start_ms",
    "stopTime": "stop_ms",
    "callType": "call_type",
    "sensitive": "sensitive",
    "channel1": "channel1",
    "channel2": "channel2",
}
_NAMED = ("id", "name")


def of_task(row: Mapping[str, object], task: Task) -> str:
    """Return as `said.kept` writes it what a row of the list of tasks says beyond ``task``, which was read of it."""
    fields = as_dict(row.get("attributes"))
    left = _unread(fields, OF_TASK, task, lambda name, value: _says_who(name, value, fields))
    _add_beside(left, row, ("id",))
    return said.kept(left)


def _unread(
    fields: Mapping[str, object], known: Mapping[str, str], read: object, is_read: Callable[[str, object], bool]
) -> dict[str, object]:
    """Return the fields that ``read`` has no value of; ``is_read`` judges those of no name in ``known``."""
    left = {}
    for name, value in fields.items():
        ours = known.get(name)
        lost = value is not None and getattr(read, ours) is None if ours else not is_read(name, value)
        if lost:
            left[name] = value
    return left


def _says_who(name: str, value: object, fields: Mapping[str, object]) -> bool:
    """Say whether this is a queue or an agent of which nothing is said but what is read: id and name."""
    # `lastQueue` is read only where there is no `queue`.
    if name not in {"queue", "owner"} and (name != "lastQueue" or fields.get("queue")):
        return False
    if value is None:
        return True
    return isinstance(value, dict) and all(
        each in _NAMED and (inner is None or as_text(inner) is not None) for each, inner in value.items()
    )


def of_recording(row: Mapping[str, object], recording: Recording) -> str:
    """Return as `said.kept` writes it what a row of captures says beyond ``recording``; never its signed URL."""
    fields = as_dict(row.get("attributes"))
    left = _unread(fields, OF_RECORDING, recording, lambda name, value: _is_read(name, value, recording))
    told = ("id", "segment") if isinstance(row.get("segment"), bool | None) else ("id",)
    _add_beside(left, row, told)
    return said.kept(left)


def _is_read(name: str, value: object, recording: Recording) -> bool:
    match name:
        case "filePath":
            return True
        case "fileName":
            return value is None or bool(recording.file_name)
        case "participants":
            return value is None or (isinstance(value, list) and len(value) == len(recording.participants))
        case _:
            return False


def _add_beside(left: dict[str, object], row: Mapping[str, object], told: tuple[str, ...]) -> None:
    """Add what stands beside the attributes; where a name is taken, behind ``row.``."""
    for name, value in row.items():
        if name in told or (name == "attributes" and (not value or isinstance(value, dict))):
            continue
        left[f"row.{name}" if name in left else name] = value
