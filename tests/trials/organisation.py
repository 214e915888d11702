"""An organisation as a test makes it up: contacts, what captures names of them, and the bytes behind it."""

from __future__ import annotations

import random
import struct
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

Json = dict[str, Any]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
RATE = 8_000  # bytes a second of one channel


class Made(NamedTuple):
    """What was added: the task, and the recording of it."""

    task_id: str
    recording_id: str


class Truth(NamedTuple):
    """A recording that must get into the bucket."""

    task_id: str
    recording_id: str
    day: str
    body: bytes


def wav(rng: random.Random, seconds: float, *, channels: int = 2) -> bytes:
    """Write a WAV of mu-law, eight thousand samples a second, without a ``fact`` chunk, as Webex has them."""
    sound = rng.randbytes(round(seconds * RATE) * channels)
    form = struct.pack("<HHIIHH", 7, channels, RATE, RATE * channels, channels, 8)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def task_id(number: int) -> str:
    """Return the id of the ``number``-th task, so that files of ids can be written ahead."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"t{number}"))


def day_of(moment_ms: int) -> str:
    """Return the UTC day as ``2026-01-31``."""
    return f"{datetime.fromtimestamp(moment_ms / 1000, UTC):%Y-%m-%d}"


@dataclass
class Organisation:
    """Everything the servers know.

    ``seen`` counts requests, ``step`` is the number of the command under way.
    ``lost`` are recordings that no longer exist anywhere, so that nobody misses them.
    """

    org_id: str = "4f6f3a52-8f0b-4c1d-9d6e-1a2b3c4d5e6f"
    tasks: list[Json] = field(default_factory=list)
    recordings: dict[str, list[Json]] = field(default_factory=dict)
    media: dict[str, bytes] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    rng: random.Random = field(default_factory=lambda: random.Random(12))
    now_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    step: int = 0

    def add(
        self,
        *,
        age_h: float = 40,
        seconds: float = 2,
        body: bytes | None = None,
        task: str | None = None,
        recording_id: str | None = None,
        call_type: str = "main",
        requested: bool | None = True,
        file_name: str = "combinedRecordings.wav",
        **attributes: Any,
    ) -> Made:
        """Add a task with a recording, or with ``task`` a further recording to one."""
        made = task or self._contact(age_h, requested, attributes)
        named = recording_id or made
        self.media[named] = wav(self.rng, seconds) if body is None else body
        start = self.contact(made)["createdTime"] + 1000
        said = {"fileName": file_name, "startTime": start, "stopTime": start + round(seconds * 1000)}
        said |= {"participants": ["agent-1"], "channel1": "Caller", "channel2": "Agent", "callType": call_type}
        self.recordings[made].append({"id": named, "segment": False, "attributes": said})
        return Made(made, named)

    def add_contact(self, *, age_h: float = 40, requested: bool | None = False, **attributes: Any) -> str:
        """Add a task without a recording."""
        return self._contact(age_h, requested, attributes)

    def _contact(self, age_h: float, requested: bool | None, attributes: Json) -> str:
        number = len(self.tasks)
        created = self.now_ms - round(age_h * HOUR_MS) + number * 1000
        said: Json = {"channelType": "telephony", "status": "completed", "createdTime": created}
        said |= {"owner": {"id": "agent-1", "name": "A"}, "queue": {"id": "queue-1", "name": "Q"}}
        said |= {"origin": "masked", "destination": "masked", "direction": "inbound", "captureRequested": requested}
        said |= attributes
        said.setdefault("lastUpdatedTime", said["createdTime"] + HOUR_MS // 2)
        made = task_id(number)
        self.tasks.append({"id": made, "attributes": said})
        self.recordings[made] = []
        return made

    def contact(self, task: str) -> Json:
        """Return the attributes of a task."""
        found: Json = next(row["attributes"] for row in self.tasks if row["id"] == task)
        return found

    def truth(self) -> Iterator[Truth]:
        """Yield every recording that there is."""
        for row in self.tasks:
            day = day_of(row["attributes"]["createdTime"])
            for named in self.recordings[row["id"]]:
                if named["id"] not in self.lost:
                    yield Truth(row["id"], named["id"], day, self.media[named["id"]])
