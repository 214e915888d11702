"""Object key, content type and metadata of a recording.

Keys are built from ids alone; a file name gives nothing but its extension, and
that only from the table below (and a transcript's id, see `rules.artefacts`).  Two
ids never meet in one key, and no id makes a key that begins a segment with ``_`` (``_evidence`` is ours) or with a dot.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from wxrec_async.model import Kind, ObjectTarget, Recording, Task, TransferSpec, iso
from wxrec_async.rules import artefacts

CONTENT_TYPES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
}
DEFAULT_EXTENSION = ".wav"
# So that every key of a template which `config` takes stays within S3's 1,024 bytes.
MAX_ENCODED = 180
EVIDENCE = "_evidence/"  # ours, and no recordings
_SAFE = frozenset(string.ascii_letters + string.digits + "-._")
_NOT_FIRST = frozenset("._-")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # written as it is; nearly every id there is


def encode_id(identifier: str) -> str:
    """Write an opaque id so that it is safe in a key and no two ids meet; a UUID stays as it is.

    Signs outside ``A-Z a-z 0-9 - . _``, and ``. _ -`` in the first place, become
    ``%XX`` of their UTF-8 bytes.  What grows too long keeps its head and ends in
    ``~`` and its SHA-256, a sign that no shorter id can contain.
    """
    if len(identifier) <= MAX_ENCODED and _PLAIN.fullmatch(identifier):
        return identifier
    if not identifier:
        raise ValueError("an id is not empty")
    encoded = "".join(
        sign if sign in _SAFE and not (place == 0 and sign in _NOT_FIRST) else _escaped(sign)
        for place, sign in enumerate(identifier)
    )
    if len(encoded) <= MAX_ENCODED:
        return encoded
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    # 65: the tilde and 64 hexadecimal digits.
    return f"{encoded[: MAX_ENCODED - 65]}~{digest}"


def _escaped(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass"))


def extension(file_name: str) -> str:
    """Return the file name's extension in lower case when the table knows it, ``.wav`` otherwise."""
    _, dot, ending = file_name.strip().rpartition(".")
    candidate = f".{ending.lower()}" if dot else ""
    return candidate if candidate in CONTENT_TYPES else DEFAULT_EXTENSION


def audio_of(recordings: Sequence[Recording]) -> list[Recording]:
    """Return those that are a call's sound: only they have a main place."""
    return [each for each in recordings if each.kind is Kind.AUDIO]


def main_recording(recordings: Sequence[Recording]) -> Recording:
    """The one that lies at ``recording{ext}``: id equal to the task id, else callType main, else earliest, then id.

    A segment is never the main one while anything else is there.
    """
    return min(
        recordings,
        # False sorts before True: each line asks what a lesser recording is.
        key=lambda recording: (
            recording.segment,
            recording.id != recording.task_id,
            (recording.call_type or "").lower() != "main",
            recording.start_ms if recording.start_ms is not None else float("inf"),
            recording.id,
        ),
    )


def plan_transfers(
    task: Task, recordings: Sequence[Recording], *, template: str, holder: str | None, base: Mapping[str, str]
) -> list[TransferSpec]:
    """Give every recording of a task its place.

    ``holder`` is the id of the recording that is known to hold the main place
    already; it keeps it.  A segment never takes the place of the whole, which may
    come later.  ``base`` is metadata common to all objects.
    """
    audio = audio_of(recordings)
    main = main_recording(audio) if audio else None
    main_id = holder or (None if main is None or main.segment else main.id)
    return [_order(task, recording, template, base, main=recording.id == main_id) for recording in recordings]


def _order(task: Task, recording: Recording, template: str, base: Mapping[str, str], *, main: bool) -> TransferSpec:
    further = target(task, recording, template=template, base=base, main=False)
    if not main:
        return TransferSpec(recording, further)
    return TransferSpec(recording, target(task, recording, template=template, base=base, main=True), fallback=further)


def target(task: Task, recording: Recording, *, template: str, base: Mapping[str, str], main: bool) -> ObjectTarget:
    """Return where ``recording`` goes: the template's own key for the main one, else with ``-{recording_id}``.

    What is no audio lies where the sidecar does, under its own id.
    """
    if recording.kind is not Kind.AUDIO:
        return _artefact_target(task, recording, template=template, base=base)
    ext = extension(recording.file_name)
    # The epoch and not now, where no time is known: a rerun must find the same key.
    moment = datetime.fromtimestamp((task.created_ms or recording.start_ms or 0) / 1000, UTC)
    fields = {
        "task_id": encode_id(recording.task_id),
        "recording_id": encode_id(recording.id),
        "year": f"{moment:%Y}",
        "month": f"{moment:%m}",
        "day": f"{moment:%d}",
    }
    if main:
        key = template.format_map(fields | {"ext": ext})
    elif "{ext}" in template:
        key = template.format_map(fields | {"ext": f"-{fields['recording_id']}{ext}"})
    else:
        key = f"{template.format_map(fields)}-{fields['recording_id']}"
    return ObjectTarget(key, CONTENT_TYPES[ext], _metadata(task, recording, base))


def _artefact_target(task: Task, recording: Recording, *, template: str, base: Mapping[str, str]) -> ObjectTarget:
    ext = artefacts.extension(recording.kind, recording.file_name)
    prefix = _beside(task, recording.start_ms, template=template)
    key = f"{prefix}{encode_id(recording.id)}{ext}"
    return ObjectTarget(key, artefacts.content_type(recording.kind, ext), _metadata(task, recording, base))


def main_keys(task: Task, recordings: Sequence[Recording], *, template: str) -> list[str]:
    """Return every key that the main recording of this task could have, were it any of these; mostly one."""
    found = [target(task, each, template=template, base={}, main=True).key for each in audio_of(recordings)]
    return list(dict.fromkeys(found))


def _metadata(task: Task, recording: Recording, base: Mapping[str, str]) -> dict[str, str]:
    """What lies under the key, in signs that survive an HTTP header; no names, numbers or addresses."""
    described = {
        "wx-task-id": encode_id(recording.task_id),
        "wx-recording-id": encode_id(recording.id),
        "wx-call-type": encode_id(recording.call_type) if recording.call_type else "",
        "wx-created": iso(task.created_ms) or "",
        "wx-start": iso(recording.start_ms) or "",
        "wx-stop": iso(recording.stop_ms) or "",
        "wx-segment": "true" if recording.segment else "",
        "wx-kind": "" if recording.kind is Kind.AUDIO else recording.kind.value,
    }
    return {**base, **{name: value for name, value in described.items() if value}}


def names(metadata: Mapping[str, str], task_id: str, recording_id: str) -> bool:
    """Say whether an object's metadata names exactly this recording."""
    ours = encode_id(task_id), encode_id(recording_id)
    return (metadata.get("wx-task-id"), metadata.get("wx-recording-id")) == ours


def names_other(metadata: Mapping[str, str], recording: Recording) -> bool:
    """Say whether an object's metadata shows another recording of the same task under this key."""
    task, other = metadata.get("wx-task-id"), metadata.get("wx-recording-id")
    return task == encode_id(recording.task_id) and other is not None and other != encode_id(recording.id)


# The way back: from what lies in the bucket to what it is.


def is_hashed(encoded: str) -> bool:
    """Say whether `encode_id` had to cut the id: it cannot be read back then."""
    return "~" in encoded


def decode_id(encoded: str) -> str:
    """Return the id that `encode_id` wrote so; raises ValueError for a hashed one, and for what no id is written as."""
    if is_hashed(encoded):
        raise ValueError("the id was too long to be kept whole")
    identifier = unquote_to_bytes(encoded).decode("utf-8", "surrogatepass")
    # `%41` decodes to A, which is never written so: only what `encode_id` would write is ours.
    if not identifier or encode_id(identifier) != encoded:
        raise ValueError("no id is written like this")
    return identifier


@dataclass(frozen=True, slots=True)
class Label:
    """What an object's metadata says lies there; ``org_id`` is encoded, empty when it is not named."""

    task: Task
    recording: Recording
    org_id: str = ""


def is_labelled(metadata: Mapping[str, str]) -> bool:
    """Say whether the metadata names a task and a recording, as that of every object of ours does."""
    return bool(metadata.get("wx-task-id") and metadata.get("wx-recording-id"))


def read_label(metadata: Mapping[str, str]) -> Label:
    """Read the metadata `target` wrote; raises ValueError when its ids or its kind cannot be read back."""
    task_id, recording_id = decode_id(metadata.get("wx-task-id", "")), decode_id(metadata.get("wx-recording-id", ""))
    recording = Recording(
        task_id,
        recording_id,
        start_ms=_moment_ms(metadata.get("wx-start")),
        stop_ms=_moment_ms(metadata.get("wx-stop")),
        call_type=_decoded_or_none(metadata.get("wx-call-type")),
        segment=metadata.get("wx-segment") == "true",
        kind=_kind(metadata.get("wx-kind")),
    )
    task = Task(task_id, created_ms=_moment_ms(metadata.get("wx-created")))
    return Label(task, recording, metadata.get("wx-org-id", ""))


def _moment_ms(text: str | None) -> int | None:
    """Read what `model.iso` wrote; None for anything else."""
    try:
        return round(datetime.fromisoformat(text or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _kind(word: str | None) -> Kind:
    """Read the kind of an object; those of before kinds name none, and are audio.  Raises ValueError for another."""
    return Kind(word) if word else Kind.AUDIO


def _decoded_or_none(encoded: str | None) -> str | None:
    try:
        return decode_id(encoded or "")
    except ValueError:
        return None


def constant_prefix(template: str) -> str:
    """Return what every key of the template begins with, ``call-detail/`` for the usual one."""
    prefix = ""
    for literal, name, _, _ in string.Formatter().parse(template):
        prefix += literal
        if name is not None:
            break
    return prefix


def in_main_place(key: str, recording: Recording, *, template: str) -> bool | None:
    """Say whether ``key`` is the task's own place (True), that of a further recording (False), or neither (None).

    Any extension and any date will do: the metadata of older objects does not name the task's day.
    """
    ext = f"(?:{'|'.join(map(re.escape, CONTENT_TYPES))})"
    suffix = re.escape(f"-{encode_id(recording.id)}")
    if re.fullmatch(_pattern(template, recording, ext), key):
        return True
    further = f"{suffix}{ext}" if "{ext}" in template else ext
    ending = "" if "{ext}" in template else suffix
    if re.fullmatch(_pattern(template, recording, further) + ending, key):
        return False
    # By the key alone: whoever has only ids does not know the kind.
    other = "|".join(map(re.escape, (".json", *artefacts.SCREEN_TYPES)))
    artefact = f"{_pattern(_sidecar_base(template), recording, ext)}{re.escape(encode_id(recording.id))}(?:{other})"
    return False if re.fullmatch(artefact, key) else None


def _pattern(template: str, recording: Recording, ext: str) -> str:
    fields = {
        "task_id": re.escape(encode_id(recording.task_id)),
        "recording_id": re.escape(encode_id(recording.id)),
        "year": r"\d{4}",
        "month": r"\d\d",
        "day": r"\d\d",
        "ext": ext,
    }
    pieces = string.Formatter().parse(template)
    return "".join(re.escape(literal) + (fields[name] if name else "") for literal, name, _, _ in pieces)


# What else lies beside recordings.


def evidence_prefix(template: str) -> str:
    """Return what the keys of the evidence begin with, ``call-detail/_evidence/`` for the usual template.

    It lies in the folders that all keys of the template have in common.  No
    recording gets there: neither a template nor an id begins a segment with ``_``.
    """
    folders, slash, _ = constant_prefix(template).rpartition("/")
    return f"{folders}{slash}{EVIDENCE}"


def may_have_sidecars(template: str) -> bool:
    """Say whether no recording can take the key of a sidecar: it then ends in one of the extensions above."""
    return template.endswith("{ext}")


def sidecar_key(task: Task, start_ms: int | None, number: int, *, template: str) -> str:
    """Return the key of a task's ``number``-th sidecar.

    ``metadata.json``, then ``metadata-2.json`` and so on, in the folder that is
    the task's own; where the template has none, ``{task_id}.metadata.json``
    beside its recordings.  ``start_ms`` stands in for a creation time that is
    not known.
    """
    state = "" if number == 1 else f"-{number}"
    return f"{_beside(task, start_ms, template=template)}metadata{state}.json"


def _beside(task: Task, start_ms: int | None, *, template: str) -> str:
    """Return what the keys of all that lies beside a task's audio begin with."""
    moment = datetime.fromtimestamp((task.created_ms or start_ms or 0) / 1000, UTC)
    fields = {
        "task_id": encode_id(task.id),
        "year": f"{moment:%Y}",
        "month": f"{moment:%m}",
        "day": f"{moment:%d}",
    }
    return _sidecar_base(template).format_map(fields)


def is_sidecar(key: str, *, template: str) -> bool:
    """Say whether `sidecar_key` makes ``key`` for some task."""
    return sidecar_number(key, template=template) is not None


def sidecar_number(key: str, *, template: str) -> int | None:
    """Return which of its task's sidecars ``key`` is, None when `sidecar_key` makes it for no task."""
    if not may_have_sidecars(template):
        return None
    fields = {"task_id": "[^/]+", "year": r"\d{4}", "month": r"\d\d", "day": r"\d\d"}
    base = "".join(
        re.escape(literal) + (fields[name] if name else "")
        for literal, name, _, _ in string.Formatter().parse(_sidecar_base(template))
    )
    found = re.fullmatch(rf"{base}metadata(?:-(\d{{1,9}}))?\.json", key)
    return None if found is None else int(found[1] or 1)


def _sidecar_base(template: str) -> str:
    """Return the template of what a sidecar's key begins with, which no two tasks share."""
    folders = template.split("/")[:-1]
    own = next((place for place, folder in enumerate(folders) if "{task_id}" in folder), None)
    # A folder that names a recording or an extension differs within one task: the sidecar lies above it.
    common = next(
        (place for place, folder in enumerate(folders) if "{recording_id}" in folder or "{ext}" in folder), len(folders)
    )
    if own is not None and own < common:
        return "".join(f"{folder}/" for folder in folders[: own + 1])
    return "".join(f"{folder}/" for folder in folders[: min(common, own if own is not None else common)]) + "{task_id}."
