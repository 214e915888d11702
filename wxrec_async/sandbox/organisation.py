"""The simulated organisation: its contacts, their recordings, and the truth about them.

Everything about a contact is drawn from a hash of (seed, index), so two
organisations of one seed are equal, and a million contacts cost little more
than their ids.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wxrec_async.sandbox.audio import MULAW, PCM16, SAMPLE_RATE, Audio
from wxrec_async.sandbox.draw import Draw
from wxrec_async.sandbox.recordings import SandboxRecording, TruthRecording, phone, truth_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIB = 1 << 20
USUAL_NAME = "combinedRecordings.wav"
ODD_NAMES = (
    "Recording.WAV",
    "combined recordings (1).wav",
    "../../outside.wav",
    "aufnahme-\u00fc\u202e.wav",
    "=cmd|'calc'!A1.wav",
    "recording",
    "x" * 300 + ".wav",
)
QUEUES = ("Support", "Sales", "Billing", "Second Line")


@dataclass(frozen=True, slots=True)
class SandboxTask:
    """One contact.  ``kind`` says what captures there are; ``ready_ms`` when they can be had."""

    index: int
    id: str
    created_ms: int
    channel: str
    capture_requested: bool | None
    kind: str
    ready_ms: int = 0
    recordings: int = field(default=1)


class Organisation:
    """Contacts of the last ``days``, all older than 26 hours unless ``fresh`` ones are asked for.

    ``now`` is seconds since the epoch.  Without it the last UTC midnight is
    taken when the period allows (three days and more), so that the same seed
    gives the same times all day long, and every contact still lies within the
    last ``days`` of any moment of that day.  By default nothing is owed: a
    contact whose capture was requested has one, ``null`` has none and is old.
    Unless ``large`` is false, one contact in ``large_every`` has a recording of ``large_mib``.
    """

    def __init__(  # noqa: PLR0913 - the knobs of a simulation
        self,
        tasks: int = 100,
        seed: int = 1,
        *,
        days: float = 7,
        now: float | None = None,
        seconds: tuple[float, float] = (5, 90),
        large: bool = True,
        odd_names: bool = True,
        same_ms: int = 0,
        fresh: int = 0,
        large_mib: tuple[float, float] = (15, 21),
        large_every: int = 100,
    ) -> None:
        self.seed, self.days, self.seconds = seed, days, seconds
        self.large, self.odd_names = large, odd_names
        self.large_mib, self.large_every = large_mib, large_every
        self.id = Draw(seed, "org").uuid()
        clock = time.time() if now is None else now
        self._now_ms = int(clock * 1000)
        self._newest_ms, self._oldest_ms = self._span(now is None)
        self._tasks: list[SandboxTask] = []
        self._by_id: dict[str, SandboxTask] = {}
        self._purged: set[str] = set()
        for task in self._generate(tasks, same_ms, fresh):
            self._by_id[task.id] = task
        self._tasks = sorted(self._by_id.values(), key=_order)

    def _span(self, free: bool) -> tuple[int, int]:
        anchor, days = self._now_ms, self.days
        if free and days >= 3:
            anchor, days = anchor // DAY_MS * DAY_MS, days - 1
        newest = anchor - 26 * HOUR_MS
        oldest = anchor - round(days * DAY_MS) + 60_000
        return newest, min(oldest, newest - 60_000)

    def _generate(self, count: int, same_ms: int, fresh: int) -> Iterator[SandboxTask]:
        previous = self._oldest_ms + (self._newest_ms - self._oldest_ms) // 2
        for index in range(count):
            draw = Draw(self.seed, "task", index)
            created = self._oldest_ms + int(draw.unit(4) * (self._newest_ms - self._oldest_ms))
            if index and (index < same_ms or draw.unit(5) < 0.05):
                created = previous
            previous = created
            yield self._task(index, created, draw)
        for index in range(count, count + fresh):
            draw = Draw(self.seed, "task", index)
            created = self._now_ms - int(draw.unit(4) * 20 * HOUR_MS)
            ready = created + int(draw.unit(6) * 24 * HOUR_MS)
            requested = None if draw.unit(7) < 0.5 else True
            yield SandboxTask(index, _task_id(self.seed, index), created, "telephony", requested, "one", ready)

    def _task(self, index: int, created: int, draw: Draw) -> SandboxTask:
        channel = "telephony" if draw.unit(6) < 0.93 else ("email", "chat", "social")[draw.pick(7, 3)]
        kind = _kind(draw.unit(8)) if channel == "telephony" else "unknown"
        requested = {"none": False, "unknown": None}.get(kind, True)
        count = 2 + draw.pick(9, 2) if kind in ("legs", "named_legs") else int(requested is True)
        return SandboxTask(index, _task_id(self.seed, index), created, channel, requested, kind, 0, count)

    # What the API reads

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def tasks(self) -> Sequence[SandboxTask]:
        """All contacts, oldest first."""
        return self._tasks

    def between(self, from_ms: int, to_ms: int) -> Sequence[SandboxTask]:
        """Return the contacts with ``from_ms <= created < to_ms``, oldest first."""
        low = bisect.bisect_left(self._tasks, (from_ms, ""), key=_order)
        high = bisect.bisect_left(self._tasks, (to_ms, ""), key=_order)
        return self._tasks[low:high]

    def get(self, task_id: str) -> SandboxTask | None:
        return self._by_id.get(task_id)

    def attributes(self, task: SandboxTask) -> dict[str, Any]:
        """Return the row as ``GET /v1/tasks`` shows it, with the gaps live rows have."""
        draw = Draw(self.seed, "attributes", task.index)
        length = self._audio(task, 0).seconds if task.recordings else 30.0
        ended = task.created_ms + round(length * 1000) + 4000
        row: dict[str, Any] = {
            "channelType": task.channel,
            "status": "completed" if task.recordings else ("abandoned", "completed")[draw.pick(0, 2)],
            "createdTime": task.created_ms,
            "lastUpdatedTime": ended + 1500,
            "captureRequested": task.capture_requested,
            "origin": phone(draw.pick(1, 10_000)),
            "destination": "+15550109999",
            "direction": ("inbound", "inbound", "outbound", "outdial")[draw.pick(2, 4)],
            "queue": None if draw.unit(3) < 0.1 else _named(QUEUES[draw.pick(4, 4)]),
            "reasonCode": None,
        }
        if draw.unit(5) < 0.5:
            row["owner"] = _named(f"Agent {1 + draw.pick(6, 40)}")
        if draw.unit(7) < 0.7:
            row |= {"endedTime": ended, "totalDuration": ended - task.created_ms}
        for name, slot in (("direction", 8), ("origin", 9), ("reasonCode", 10), ("lastUpdatedTime", 11)):
            if draw.unit(slot) < 0.03:
                del row[name]
        if task.capture_requested is None and draw.unit(12) < 0.5:
            del row["captureRequested"]
        return row

    def recordings(self, task: SandboxTask, now_ms: int | None = None) -> list[SandboxRecording]:
        """Return the recordings Webex would name at ``now_ms`` (None: when all is settled)."""
        if task.id in self._purged or (now_ms is not None and now_ms < task.ready_ms):
            return []
        return [self._recording(task, leg) for leg in range(task.recordings)]

    def recording(self, task_id: str, recording_id: str) -> SandboxRecording | None:
        """Find one recording, whether or not it is still listed."""
        task = self.get(task_id)
        found = (self._recording(task, leg) for leg in range(task.recordings)) if task else iter(())
        return next((recording for recording in found if recording.id == recording_id), None)

    def _recording(self, task: SandboxTask, leg: int) -> SandboxRecording:
        draw = Draw(self.seed, "recording", task.index, leg)
        plain = leg == 0 and task.kind in ("one", "legs")
        return SandboxRecording(
            id=task.id if plain else draw.uuid(),
            task_id=task.id,
            file_name=self._file_name(draw),
            call_type="main" if leg == 0 else "consult",
            start_ms=task.created_ms + 2000 + 700 * leg,
            main=leg == 0,
            audio=self._audio(task, leg),
        )

    def _file_name(self, draw: Draw) -> str:
        if not self.odd_names or draw.unit(8) > 0.04:
            return USUAL_NAME
        return ODD_NAMES[draw.pick(9, len(ODD_NAMES))]

    def _audio(self, task: SandboxTask, leg: int) -> Audio:
        draw = Draw(self.seed, "audio", task.index, leg)
        form = PCM16 if draw.unit(0) < 0.25 else MULAW
        low, high = self.seconds
        seconds = low * (high / low) ** draw.unit(1)
        if self.large and leg == 0 and task.index % self.large_every == 17 % self.large_every:
            least, most = self.large_mib
            seconds = (least + (most - least) * draw.unit(1)) * MIB / form.bytes_per_second
        return Audio(self.seed, f"sandbox task {task.id} leg {leg}", round(seconds * SAMPLE_RATE), form)

    # Changing it while it is looked at

    def add(self, created_ms: int, *, capture_requested: bool | None = True, ready_ms: int = 0) -> SandboxTask:
        """Let one more telephone call with one recording appear in the list."""
        index = len(self._by_id) + 1_000_000
        task = SandboxTask(
            index, _task_id(self.seed, index), created_ms, "telephony", capture_requested, "one", ready_ms
        )
        self._by_id[task.id] = task
        bisect.insort(self._tasks, task, key=_order)
        return task

    def purge(self, task_id: str) -> None:
        """Let the recordings of a task be deleted by retention: captures no longer names them, media answers 404."""
        self._purged.add(task_id)

    def is_purged(self, task_id: str) -> bool:
        return task_id in self._purged

    # What must come of it

    def truth(self, channel_types: Iterable[str] = ("telephony",)) -> list[TruthRecording]:
        """Return every recording that must be stored in the end, with its key, oldest task first."""
        wanted = frozenset(channel_types)
        return [
            truth_of(recording) for task in self._tasks if task.channel in wanted for recording in self.recordings(task)
        ]

    def summary(self) -> dict[str, int]:
        """Return what a run over the whole period must count: calls, calls without a recording, recordings, bytes."""
        truth = self.truth()
        calls = sum(task.channel == "telephony" for task in self._tasks)
        sizes = sum(item.size for item in truth)
        without = len(self.without_recording)
        return {"tasks": calls, "no_recording": without, "recordings": len(truth), "bytes": sizes}

    @property
    def without_recording(self) -> list[str]:
        """The ids of telephone calls that never had a recording."""
        return [task.id for task in self._tasks if task.channel == "telephony" and not task.recordings]


def _order(task: SandboxTask) -> tuple[int, str]:
    return task.created_ms, task.id


def _task_id(seed: int, index: int) -> str:
    return Draw(seed, "task id", index).uuid()


def _kind(number: float) -> str:
    """Deal out: one recording under the task's id, several legs, one under another id, none."""
    for limit, kind in ((0.78, "one"), (0.83, "legs"), (0.85, "named_legs"), (0.88, "named"), (0.94, "none")):
        if number < limit:
            return kind
    return "unknown"


def _named(name: str) -> dict[str, str]:
    return {"id": Draw("named", name).uuid(), "name": name}
