"""What some contacts have besides a WAV of the whole call, drawn from the seed as everything else is.

A segment is a part of the stitched recording.  It may carry the stitched
recording's id, as nothing documented forbids; a virtual agent's recording has
an id of its own.  Transcripts and screen recordings are only named.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from wxrec_async.sandbox.audio import Audio
from wxrec_async.sandbox.draw import Draw
from wxrec_async.sandbox.recordings import SandboxRecording

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


def attachments_of(seed: int, index: int, task_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return the transcripts and screen recordings of a contact, as captures names them."""
    draw = Draw(seed, "attachments", index)
    found: dict[str, list[dict[str, Any]]] = {}
    if draw.unit(0) < 0.5:
        found["transcription"] = [{"id": f"{task_id}-text", "attributes": {"fileName": "transcript.json"}}]
    if draw.unit(1) < 0.2:
        found["screenRecording"] = [{"id": f"{task_id}-screen", "attributes": {"fileName": "screen.mp4"}}]
    return found
