"""What an answer of captures holds besides recordings, and segments beside the recording they are parts of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wxrec_async.model import Attachment, Recording
from wxrec_async.webex.coerce import as_dict, as_id, as_text

# Documented: `transcription`.  Others are counted under their own names, should Webex begin to send them.
KINDS = {"transcription": "transcript", "transcript": "transcript"}
NO_AUDIO = ("screen", "video", "transcript")
KNOWN_FIELDS = frozenset({"taskId", "recording"})


def audio_and_other(rows: Sequence[object]) -> tuple[list[object], list[object]]:
    """Part the rows that say they are no audio from all others; what says nothing is audio."""
    kinds = [_no_audio(row) for row in rows]
    audio = [row for row, kind in zip(rows, kinds, strict=True) if kind is None]
    return audio, [row for row, kind in zip(rows, kinds, strict=True) if kind is not None]


def _no_audio(row: object) -> str | None:
    """Return the kind of a row that names one of `NO_AUDIO` as its type."""
    said = as_dict(as_dict(row).get("attributes"))
    for name in ("type", "mediaType", "recordingType", "callType"):
        word = (as_text(said.get(name)) or as_text(as_dict(row).get(name)) or "").lower()
        if kind := next((kind for kind in NO_AUDIO if kind in word), None):
            return kind
    return None


def attachments(task_id: str, entry: dict[str, object], rows: Sequence[object]) -> list[Attachment]:
    """Return everything an entry has that is not audio; one without an id is named by its task and place."""
    found = [(_no_audio(row) or "other", row) for row in rows]
    for field, value in entry.items():
        if field not in KNOWN_FIELDS and isinstance(value, list):
            found += [(_kind(field), row) for row in value if row]
    return [
        Attachment(as_id(as_dict(row).get("id")) or f"{task_id}#{number}", kind)
        for number, (kind, row) in enumerate(found, 1)
    ]


def _kind(field: str) -> str:
    known = KINDS.get(field)
    return known or next((kind for kind in NO_AUDIO if kind in field.lower()), field)


def told_apart(recordings: Sequence[Recording]) -> list[Recording]:
    """Give segments a name of their own where they carry the id of another recording of the task.

    The stitched recording keeps its id whatever the order; a segment gets its
    start behind it, which is the same the next time.  Without a start nothing
    says which is which, and it can only be reported.
    """
    parts: dict[str, set[tuple[bool, int | None]]] = {}
    for each in recordings:
        parts.setdefault(each.id, set()).add((each.segment, each.start_ms if each.segment else None))
    return [_told_apart(each) if each.segment and each.id and len(parts[each.id]) > 1 else each for each in recordings]


def _told_apart(segment: Recording) -> Recording:
    if segment.start_ms is None:
        return replace(segment, id=f"{segment.id}-segment", url=None, problem="no_id")
    return replace(segment, id=f"{segment.id}-segment-{segment.start_ms}")
