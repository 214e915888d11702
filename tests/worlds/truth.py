"""What is so: the calls of an organisation and the bytes of their recordings, whatever anybody answers."""

from __future__ import annotations

import random
import struct
import uuid
from dataclasses import dataclass, field

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
DAY_ONE_MS = 1_804_809_600_000  # 2027-03-12T00:00:00Z
DAYS = 3
CLIENT_SECRET, REFRESH = "CANARY-CS-2f6d1b90c4e75a38", "CANARY-RT-9c1e44d07b3f6a52"
ORG = "7d1c6f0a-52b8-4e1b-9a77-3c0f5e8d2b64"
SIGNATURE = "CANARY-SIG-4e8a1f"
NUMBER = "+15550100"
OVER, OPEN = "completed", "connected"


@dataclass(slots=True)
class Recording:
    """One recording; ``bodies`` are the versions it has had, the last is what it is now.

    ``ready_ms`` is when captures begins to name it, by the servers' clock, and
    ``place`` the part of its URL that is its own when two share an id.  The answers
    of one that is ``unmarked`` have no validator; of one that is ``denied`` the media
    host has said that there is nothing.
    """

    id: str
    call_id: str
    bodies: list[bytes]
    start_ms: int
    stop_ms: int
    ready_ms: int
    call_type: str = "main"
    place: str = ""
    unmarked: bool = False
    denied: bool = False

    @property
    def body(self) -> bytes:
        return self.bodies[-1]


@dataclass(slots=True)
class Call:
    """One contact.  ``ended_ms`` may lie ahead; ``requested`` is what the list says of captures.

    ``listed`` is false for a call that only Search has, ``appears_ms`` is when the
    lists begin to have it (``late`` when that was not at once), and ``named`` whether
    captures has named its recordings to anybody.
    """

    id: str
    created_ms: int
    ended_ms: int
    requested: bool | None = True
    channel: str = "telephony"
    listed: bool = True
    appears_ms: int = 0
    named: bool = False
    late: bool = False
    recordings: list[Recording] = field(default_factory=list)

    @property
    def day(self) -> int:
        return self.created_ms // DAY_MS


@dataclass(slots=True)
class Truth:
    """All calls, oldest first."""

    calls: list[Call] = field(default_factory=list)

    def call(self, call_id: str) -> Call | None:
        return next((each for each in self.calls if each.id == call_id.lower()), None)

    def recordings(self) -> list[Recording]:
        return [recording for call in self.calls for recording in call.recordings]


def wav(dice: random.Random, size: int) -> bytes:
    """Return a WAV of mu-law in stereo, 16 kB a second, whose head tells its length."""
    return wav_of(dice.randbytes(size))


def wav_of(sound: bytes, between: bytes = b"") -> bytes:
    """Put the head of a WAV before some sound, and what else may lie ``between``."""
    head = b"WAVE" + struct.pack("<4sIHHIIHH", b"fmt ", 16, 7, 2, 8000, 16000, 2, 8) + between
    size = len(head) + 8 + len(sound)
    return struct.pack("<4sI", b"RIFF", size) + head + struct.pack("<4sI", b"data", len(sound)) + sound


def half_of(body: bytes) -> bytes:
    """Return what there is of a recording while its call goes on: sound, with a head that fits."""
    return wav_of(body[44 : 44 + (len(body) - 44) // 2])


def make(dice: random.Random, now_ms: int) -> Truth:
    """Draw three days of calls and the beginning of a fourth, up to an hour before ``now_ms``."""
    truth, last = Truth(), now_ms - HOUR_MS
    count = dice.randint(3, 9)
    for number in range(count):
        created = DAY_ONE_MS + dice.randrange(last - DAY_ONE_MS)
        truth.calls.append(add_call(dice, created, number))
    truth.calls.sort(key=lambda call: call.created_ms)
    return truth


def add_call(dice: random.Random, created_ms: int, number: int) -> Call:
    """Draw one call with none, one or more recordings."""
    call = Call(
        str(uuid.UUID(int=dice.getrandbits(128), version=4)), created_ms, created_ms + dice.randint(5, 900) * 1000
    )
    count = dice.choices((1, 0, 2), (8, 2, 1))[0]
    call.requested = dice.choice((True, True, None)) if count else dice.choice((False, None))
    for place in range(count):
        call.recordings.append(add_recording(dice, call, main=place == 0))
    if number == 0 and dice.random() < 0.2:
        call.channel, call.recordings, call.requested = "email", [], False
    return call


def add_recording(dice: random.Random, call: Call, *, main: bool, size: int = 0) -> Recording:
    size = size or dice.randint(600, 6000)
    start = call.created_ms + 1000
    name = call.id if main and dice.random() < 0.7 else str(uuid.UUID(int=dice.getrandbits(128), version=4))
    return Recording(
        name, call.id, [wav(dice, size)], start, start + max(1, size // 16), call.ended_ms + 30_000,
        "main" if main else "consult",
    )  # fmt: skip
