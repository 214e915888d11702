"""What a recording is to Webex, and what must become of it in the bucket."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from wxrec_async.sandbox.audio import Audio
from wxrec_async.sandbox.seeded import Draw

CONTENT_TYPES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
}
ATTACHED_TYPES = {".json": "application/json", ".mp4": "video/mp4"}


@dataclass(frozen=True, slots=True)
class SandboxRecording:
    """One recording of a contact.  ``main`` is the one that takes the task's own key, a ``segment`` is a part of it.

    Where a segment carries the id of another recording (``shares_id``), its
    start tells it apart, in its URL and in the bucket.
    """

    id: str
    task_id: str
    file_name: str
    call_type: str
    start_ms: int
    main: bool
    audio: Audio
    segment: bool = False
    shares_id: bool = False

    @property
    def own_id(self) -> str:
        return f"{self.id}-segment-{self.start_ms}" if self.shares_id else self.id

    @property
    def stop_ms(self) -> int:
        return self.start_ms + round(self.audio.seconds * 1000)


@dataclass(frozen=True, slots=True)
class TruthRecording:
    """What must lie in the bucket in the end; ``size`` in bytes, the checksums are computed when asked for."""

    task_id: str
    recording_id: str
    file_name: str
    key: str
    content_type: str
    audio: Audio = field(repr=False)

    @property
    def size(self) -> int:
        return self.audio.size

    @property
    def crc32(self) -> int:
        return self.audio.crc32

    @property
    def sha256(self) -> str:
        return self.audio.sha256


def truth_of(recording: SandboxRecording) -> TruthRecording:
    """Say under which key and type a recording must lie; the main one takes the task's own key."""
    # Worked out anew from the contract of keys, not taken from the client: the two must be able to disagree.
    suffix = PurePosixPath(recording.file_name).suffix.lower()
    ext = suffix if suffix in CONTENT_TYPES else ".wav"
    leaf = "recording" if recording.main else f"recording-{recording.own_id}"
    key = f"call-detail/{recording.task_id}/{leaf}{ext}"
    return TruthRecording(
        recording.task_id, recording.own_id, recording.file_name, key, CONTENT_TYPES[ext], recording.audio
    )


def attached_truth(task_id: str, recording_id: str, file_name: str, body: Audio) -> TruthRecording:
    """Say under which key and type a transcript or a screen recording of this id must lie."""
    ext = ".json" if recording_id.startswith("transcript-") else ".mp4"
    key, kind = f"call-detail/{task_id}/{recording_id}{ext}", ATTACHED_TYPES[ext]
    return TruthRecording(task_id, recording_id, file_name, key, kind, body)


def participants(recording: SandboxRecording) -> list[str]:
    """Return the people of a recording: an agent's id, and a number as it was seen, not masked as documented."""
    draw = Draw("participants", recording.id)
    return [Draw("agent", draw.pick(0, 40)).uuid(), phone(draw.pick(1, 10_000))]


def phone(number: int) -> str:
    """Return a number nobody has, recognisable wherever it turns up."""
    return f"+1555010{number:04d}"
