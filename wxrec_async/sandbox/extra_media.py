"""What some contacts have besides a WAV of the whole call, drawn from the seed as everything else is.

A segment is a part of the stitched recording.  It may carry the stitched
recording's id, as nothing documented forbids; a virtual agent's recording has
an id of its own.  Transcripts are there for whoever asks, screen recordings for
whoever asks for them; both can be fetched.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from wxrec_async.sandbox.audio import Audio
from wxrec_async.sandbox.seeded import Draw
from wxrec_async.sandbox.truth import SandboxRecording

MP3_NAME = "combinedRecordings.MP3"
MP3_FRAME = bytes([0xFF, 0xFB, 0x50, 0xC4]) + bytes(205)  # MPEG-1 layer III, 64 kbit/s, 44.1 kHz, mono: silence
MP3_FRAMES_PER_SECOND = 44_100 / 1152
MP3_BLOCK = 512  # frames


@dataclass(frozen=True)
class Mp3(Audio):
    """An mp3 of silence, as long as the WAV would have been, distinct by the marker in its ID3 tag."""

    @functools.cached_property
    def header(self) -> bytes:
        text = b"\0" + self.marker.encode("ascii", "replace")
        frame = b"TIT2" + len(text).to_bytes(4, "big") + b"\0\0" + text
        size = len(frame)
        # Seven bits to the byte, so that no size looks like the beginning of a frame.
        return b"ID3\3\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + frame

    @property
    def _frames(self) -> int:
        return max(1, round(self.seconds * MP3_FRAMES_PER_SECOND))

    @property
    def size(self) -> int:
        return len(self.header) + self._frames * len(MP3_FRAME)

    def _data(self, start: int, stop: int) -> Iterator[bytes]:
        block = MP3_FRAME * MP3_BLOCK
        while start < stop:
            offset = start % len(MP3_FRAME)
            piece = block[offset : offset + stop - start]
            yield piece
            start += len(piece)


def mp3_of(audio: Audio) -> Mp3:
    """Return the same recording as an mp3."""
    return Mp3(audio.seed, audio.marker, audio.frames, audio.format)


def is_mp3(seed: int, index: int, leg: int) -> bool:
    """Say whether this recording of the contact is an mp3."""
    return Draw(seed, "mp3", index, leg).unit(0) < 0.1


def extras_of(seed: int, index: int, main: SandboxRecording) -> list[SandboxRecording]:
    """Return the segments of the main recording and the virtual agent's recording, if there are any."""
    draw = Draw(seed, "beside", index)
    found = []
    if draw.unit(0) < 0.4:
        same_id = draw.unit(1) < 0.5
        found += [_part(main, number, same_id=same_id, identifier=draw.uuid()) for number in (0, 1)]
    if draw.unit(2) < 0.2:
        voice = Draw(seed, "virtual agent", index)
        audio = replace(main.audio, marker=f"{main.audio.marker} va", frames=main.audio.frames // 4 + 1)
        found.append(replace(main, id=voice.uuid(), call_type="va-main", main=False, audio=audio))
    return found


def _part(main: SandboxRecording, number: int, *, same_id: bool, identifier: str) -> SandboxRecording:
    audio = replace(main.audio, marker=f"{main.audio.marker} part {number}", frames=main.audio.frames // 2 + 1)
    start = main.start_ms + number * 1000
    part = replace(main, main=False, segment=True, shares_id=same_id, start_ms=start, audio=audio)
    return part if same_id else replace(part, id=f"{identifier[:-1]}{number}")


@dataclass(frozen=True)
class Document(Audio):
    """What lies at the media host and is no audio: all of it is its header."""

    content: bytes = b""

    @functools.cached_property
    def header(self) -> bytes:
        return self.content


@dataclass(frozen=True)
class Video(Audio):
    """An MP4 of ``length`` bytes whose index stands at its end, as a writer leaves it that does not know the length."""

    length: int = 0

    @functools.cached_property
    def header(self) -> bytes:
        brand = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"
        # A box of more than 4 GiB has its size in 64 bits behind its name (ISO 14496-12 4.2).
        box = self.length - len(brand) - len(self._index)
        return brand + b"\0\0\0\1mdat" + box.to_bytes(8, "big")

    @functools.cached_property
    def _index(self) -> bytes:
        text = self.marker.encode("ascii", "replace")
        return (16 + len(text)).to_bytes(4, "big") + b"moov" + (8 + len(text)).to_bytes(4, "big") + b"free" + text

    @functools.cached_property
    def _block(self) -> bytes:
        return hashlib.shake_256(f"{self.seed}|{self.marker}".encode()).digest(VIDEO_BLOCK)

    @property
    def size(self) -> int:
        return self.length

    def _data(self, start: int, stop: int) -> Iterator[bytes]:
        ends = self.length - len(self.header) - len(self._index)
        while start < min(stop, ends):
            offset = start % VIDEO_BLOCK
            piece = self._block[offset : offset + min(stop, ends) - start]
            yield piece
            start += len(piece)
        if stop > ends:
            yield self._index[start - ends : stop - ends]


VIDEO_BLOCK = 64 << 10
SMALLEST_VIDEO = 1024


@dataclass(frozen=True, slots=True)
class ExtraMedia:
    """A transcript or a screen recording: ``told`` is what captures says of it besides its name and URL."""

    id: str
    file_name: str
    told: dict[str, Any]
    body: Audio


@dataclass(frozen=True, slots=True)
class Attached:
    """How many contacts have something besides audio.

    ``transcripts`` and ``screens`` are shares of all contacts, ``realtime`` that of
    those transcribed calls which have a second transcript under the same id, ``twins`` that
    of the contacts with screens which have two under one id.  ``screen_bytes`` is the size of each.
    """

    transcripts: float = 0.5
    screens: float = 0.2
    realtime: float = 0.0
    twins: float = 0.0
    screen_bytes: int = 16_448


def has_transcript(seed: int, index: int, attached: Attached = Attached()) -> bool:
    """Say whether somebody had this contact transcribed."""
    return Draw(seed, "attachments", index).unit(0) < attached.transcripts


def transcripts_of(  # noqa: PLR0913 - who it is, and what is wanted of it
    seed: int, index: int, task_id: str, created_ms: int, channel: str, *, every: bool, attached: Attached = Attached()
) -> list[ExtraMedia]:
    """Return the transcripts of a contact; the two of a digital channel share the conversation's id, as documented."""
    if not has_transcript(seed, index, attached):
        return []
    draw = Draw(seed, "transcript", index)
    if channel == "telephony":
        names = {"voiceTranscript.json": _legacy}
        # For voice the id is that of a configuration, so that nothing forbids two of one.
        if Draw(seed, "realtime", index).unit(0) < attached.realtime:
            names["realtimeVoiceTranscript.json"] = _vcon
    else:
        # Digital channels have two forms, the second only for those who ask for every version.
        names = {f"{channel}Transcript.json": _legacy}
        names |= {f"{channel}TranscriptVcon.json": _vcon} if every else {}
    # With a capital, as the specification has it; Cisco's guide writes `source`.
    told = {"Source": "recording" if channel == "telephony" else channel, "Provider": "CISCO", "languageCode": "en-US"}
    # As text, unlike those of recordings.
    times = {"startTime": str(created_ms), "createTime": str(created_ms + 400_000)}
    identifier = draw.uuid()
    return [
        ExtraMedia(identifier, name, told | times, _document(seed, f"{task_id} {name}", make(task_id)))
        for name, make in names.items()
    ]


def screens_of(
    seed: int, index: int, task_id: str, created_ms: int, attached: Attached = Attached()
) -> list[ExtraMedia]:
    """Return the recordings of an agent's screens during a contact."""
    if Draw(seed, "attachments", index).unit(1) >= attached.screens:
        return []
    draw = Draw(seed, "screen", index)
    identifier, agent = draw.uuid()[:-1] + "5", draw.uuid()
    numbers = ("1", "2") if draw.unit(2) < attached.twins else ("1",)
    found = []
    for number in numbers:
        # What container Webex uses is not documented.
        name = "screenRecording.mp4" if number == "1" else f"screenRecording{number}.mp4"
        began = created_ms + 2000 * int(number)
        told = {"startTime": began, "stopTime": began + 28_000, "agentId": agent, "screenId": number}
        size = max(SMALLEST_VIDEO, attached.screen_bytes)
        found.append(ExtraMedia(identifier, name, told, Video(seed, f"{task_id} screen {number}", 0, length=size)))
    return found


def _document(seed: int, marker: str, content: bytes) -> Document:
    return Document(seed, marker, 0, content=content)


def _legacy(task_id: str) -> bytes:
    said = {"role": "CALLER", "recognitionResult": {"alternatives": [{"transcript": f"About {task_id}"}]}}
    return json.dumps({"responseContents": [said]}).encode()


def _vcon(task_id: str) -> bytes:
    parties = [{"name": "Customer", "role": "customer"}, {"name": "Agent One", "role": "agent"}]
    dialog = [{"type": "text", "start": "2026-06-01T10:15:02Z", "parties": [0], "body": f"About {task_id}"}]
    head = {"vcon": "0.0.1", "uuid": task_id, "created_at": "2026-06-01T10:15:00Z"}
    return json.dumps(head | {"parties": parties, "dialog": dialog}).encode()
