"""What an answer of captures holds besides audio, and segments beside the recording they are parts of."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import count

from wxrec_async.model import Attachment, Kind, Recording
from wxrec_async.rules.artefacts import artefact_id
from wxrec_async.webex.lenient import as_dict, as_id, as_text

# Documented: these can be stored.  Others are counted under their own names, should Webex begin to send them.
LISTS = {"transcription": Kind.TRANSCRIPT, "screenRecordings": Kind.SCREEN}
KINDS = {"transcript": "transcript"}
NO_AUDIO = ("screen", "video", "transcript")
KNOWN_FIELDS = frozenset({"taskId", "recording", *LISTS})


def audio_and_other(rows: Sequence[object]) -> tuple[list[object], list[object]]:
    """Part the rows that say they are no audio from all others; what says nothing is audio."""
    kinds = [_no_audio(row) for row in rows]
    audio = [row for row, kind in zip(rows, kinds, strict=True) if kind is None]
    return audio, [row for row, kind in zip(rows, kinds, strict=True) if kind is not None]


def _no_audio(row: object) -> str | None:
    """Return the kind of a row whose type is one of `NO_AUDIO`, as a whole word: a "screened transfer" is a call."""
    said = as_dict(as_dict(row).get("attributes"))
    for name in ("type", "mediaType", "recordingType", "callType"):
        word = (as_text(said.get(name)) or as_text(as_dict(row).get(name)) or "").strip().lower()
        # These may be media types, of which the first half is the kind; a call type is none.
        if name != "callType":
            word = word.partition("/")[0]  # video/mp4
        if word in NO_AUDIO:
            return word
    return None


def attachments(task_id: str, entry: dict[str, object], rows: Sequence[object]) -> list[Attachment]:
    """Return what an entry has and nobody can store; one without an id is named by its task and place."""
    found = [(_no_audio(row) or "other", row) for row in rows]
    for field, value in entry.items():
        if field not in KNOWN_FIELDS and isinstance(value, list):
            found += [(_kind(field), row) for row in value if row]
    return [
        Attachment(as_id(as_dict(row).get("id")) or f"{task_id}#{number}", kind)
        for number, (kind, row) in enumerate(found, 1)
    ]


def other_rows(entry: dict[str, object]) -> Iterator[tuple[Kind, dict[str, object]]]:
    """Yield the transcripts and screen recordings of an entry."""
    for field, kind in LISTS.items():
        value = entry.get(field)
        for row in value if isinstance(value, list) else ():
            if isinstance(row, dict) and row:
                yield kind, row


def lists_missing(entry: dict[str, object], kinds: Collection[Kind]) -> bool:
    """Say whether in place of a list of these kinds there is nothing, or something else."""
    lists = [entry.get(field) for field, kind in LISTS.items() if kind in kinds]
    return not all(isinstance(each, list) and all(isinstance(row, dict) and row for row in each) for each in lists)


def named_id(kind: Kind, row: dict[str, object]) -> str:
    """Return what a transcript or a screen recording is called here (`rules.artefacts`)."""
    return artefact_id(kind, as_id(row.get("id")) or "", file_name(row))


def file_name(row: dict[str, object]) -> str:
    """Return a file's name; transcripts have theirs beside the id, screen recordings among the attributes."""
    return as_text(as_dict(row.get("attributes")).get("fileName") or row.get("fileName")) or ""


def _kind(field: str) -> str:
    known = KINDS.get(field)
    return known or next((kind for kind in NO_AUDIO if kind in field.lower()), field)


def with_distinct_ids(recordings: Sequence[Recording]) -> tuple[list[Recording], int]:
    """Give every recording of a task an id of its own; return them, and how many rows said the same as another.

    Two rows are one recording only if they agree in all that tells recordings
    apart.  Of those that share an id the whole keeps it, the main call before a
    consult, the earliest before later ones; the others get their start behind
    it, which is the same the next time.
    """
    distinct, repeated = _distinct(recordings)
    # Of rows under one id: those that say the same are one (`_distinct`); of the rest one keeps the id, by
    # `_precedence`, and the others are named by their start, which is the same in every answer (`_renamed`).
    shared: dict[str, list[Recording]] = {}
    for each in distinct:
        if each.id:
            shared.setdefault(each.id, []).append(each)
    # By identity: two of them may be equal, and all stay alive in `distinct`.
    names: dict[int, Recording] = {}
    # All ids of the answer: a name that is made up must not be another recording's own.
    taken = set(shared)
    for group in shared.values():
        for other in sorted(group, key=_precedence)[1:]:
            names[id(other)] = _renamed(other, taken)
    return [names.get(id(each), each) for each in distinct], repeated


def _distinct(recordings: Sequence[Recording]) -> tuple[list[Recording], int]:
    kept: list[Recording] = []
    for each in recordings:
        twin = next((at for at, other in enumerate(kept) if each.id and _are_one(each, other)), None)
        if twin is None:
            kept.append(each)
        # Of two that say the same, the one that can be fetched.
        elif kept[twin].url is None and each.url is not None:
            kept[twin] = each
    return kept, len(recordings) - len(kept)


def _are_one(one: Recording, other: Recording) -> bool:
    """Compare what tells two rows of one id apart; a URL that is missing says nothing."""
    if (one.kind, one.id, one.segment, one.start_ms, one.call_type, one.file_name) != (
        other.kind,
        other.id,
        other.segment,
        other.start_ms,
        other.call_type,
        other.file_name,
    ):
        return False
    return one.url is None or other.url is None or _path(one) == _path(other)


def _path(recording: Recording) -> str:
    return recording.url.reveal().partition("?")[0] if recording.url else ""


def _precedence(recording: Recording) -> tuple[bool, bool, bool, bool, int, str, str, str]:
    called = (recording.call_type or "").lower()
    start = recording.start_ms
    rank = recording.kind is not Kind.AUDIO, recording.segment, called != "main", start is None, start or 0
    return *rank, recording.file_name, called, _path(recording)


def _renamed(recording: Recording, taken: set[str]) -> Recording:
    """Name a recording by its start, else by what it is called; of two that would be alike one cannot be told."""
    base = f"{recording.id}-segment" if recording.segment else recording.id
    said = f"{recording.call_type}/{recording.file_name}".encode()
    digest = hashlib.blake2b(said, digest_size=4).hexdigest()
    start = recording.start_ms
    names = [f"{base}-{digest}"] if start is None else [f"{base}-{start}", f"{base}-{start}-{digest}"]
    name = next((name for name in names if name not in taken), None)
    if name is None or (start is None and recording.segment):
        return replace(recording, id=_free(base, taken), url=None, problem="no_id")
    taken.add(name)
    return replace(recording, id=name)


def _free(base: str, taken: set[str]) -> str:
    """Return a name under which a recording can only be reported: nothing says which is which the next time."""
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name
