"""The simulated organisation: its contacts, their recordings, and the truth about them.

Everything about a contact is drawn from a hash of (seed, index), so two
organisations of one seed are equal, and a million contacts cost little more
than their ids.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from wxrec_async.sandbox.audio import MULAW, PCM16, SAMPLE_RATE, Audio
from wxrec_async.sandbox.contact_record import Facts, record_for, task_attributes, with_gaps
from wxrec_async.sandbox.extra_media import (
    MP3_NAME,
    Attached,
    ExtraMedia,
    extras_of,
    has_transcript,
    is_mp3,
    mp3_of,
    screens_of,
    transcripts_of,
)
from wxrec_async.sandbox.seeded import Draw
from wxrec_async.sandbox.truth import SandboxRecording, TruthRecording, attached_truth, truth_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIB = 1 << 20
# Nearly every recording is called so, which is why no key can be made of it.
USUAL_NAME = "combinedRecordings.wav"
# What a name could do to a key, a path, a terminal, a spreadsheet or a header.
ODD_NAMES = (
    "Recording.WAV",
    "combined recordings (1).wav",
    "../../outside.wav",
    "aufnahme-\u00fc\u202e.wav",
    "=cmd|'calc'!A1.wav",
    "recording",
    "x" * 300 + ".wav",
)
GROWS_MS = 10_000
Bounds = Literal["strict", "inclusive"]


@dataclass(frozen=True, slots=True)
class SandboxTask:
    """One contact.  ``kind`` says what captures there are, ``ready_ms`` when they can be had.

    ``ends_ms`` is when a call ends that is to go on for a while (0: after its recording); until then that one grows.
    """

    index: int
    id: str
    created_ms: int
    channel: str
    capture_requested: bool | None
    kind: str
    ready_ms: int = 0
    recordings: int = field(default=1)
    ends_ms: int = 0


class Organisation:
    """Contacts of the last ``days``, all older than 26 hours unless ``fresh`` ones are asked for.

    ``now`` is seconds since the epoch.  Without it the last UTC midnight is
    taken when the period allows (three days and more), so that the same seed
    gives the same times all day long, and every contact still lies within the
    last ``days`` of any moment of that day.  By default nothing is owed: a
    contact whose capture was requested has one, ``null`` has none and is old.
    With ``beside`` some contacts have segments, virtual-agent recordings, a
    transcript, a screen recording, or an mp3; see `extra_media`; ``attached`` says how many have the middle two,
    and with it alone they have nothing else besides.
    ``open_calls`` go on for half an hour, counted from ``now``, and their recordings grow.
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
        beside: bool = False,
        late: int = 0,
        disagreeing: bool = False,
        open_calls: int = 0,
        large_mib: tuple[float, float] = (15, 21),
        large_every: int = 100,
        attached: Attached | None = None,
    ) -> None:
        self.seed, self.days, self.seconds = seed, days, seconds
        self.large, self.odd_names, self.beside = large, odd_names, beside
        self.large_mib, self.large_every = large_mib, large_every
        self.attached = attached or (Attached() if beside else Attached(0, 0))
        self.id = Draw(seed, "org").uuid()
        clock = time.time() if now is None else now
        self._now_ms = int(clock * 1000)
        self._newest_ms, self._oldest_ms = self._span(now is None)
        self._tasks: list[SandboxTask] = []
        self._purged: set[str] = set()
        self._late_legs: dict[str, dict[int, int]] = {}
        self._updated: dict[str, int] = {}
        self._unlisted: set[str] = set()
        self._unsearched: set[str] = set()
        self._forgotten: set[str] = set()
        self.ahead_ms = 0  # how much later it is for captures than on the clock
        # Each kind has indices of its own, as a contact is drawn from its index.
        more = tasks + fresh
        made = (
            *self._generate(tasks, same_ms, fresh),
            *self._generate_late(more, late),
            *self._generate_open(more + late, open_calls),
        )
        self._by_id = {task.id: task for task in made}
        self._tasks = sorted(self._by_id.values(), key=_order)
        if disagreeing:
            self._plant()

    def _span(self, free: bool) -> tuple[int, int]:
        anchor, days = self._now_ms, self.days
        if free and days >= 3:
            anchor, days = anchor // DAY_MS * DAY_MS, days - 1
        # More than the day after which an empty answer is final where captureRequested is null.
        newest = anchor - 26 * HOUR_MS
        # A minute inside the period: the client counts its days back from a later moment than this.
        oldest = anchor - round(days * DAY_MS) + 60_000
        return newest, min(oldest, newest - 60_000)

    def _generate(self, count: int, same_ms: int, fresh: int) -> Iterator[SandboxTask]:
        previous = self._oldest_ms + (self._newest_ms - self._oldest_ms) // 2
        for index in range(count):
            draw = Draw(self.seed, "task", index)
            created = self._oldest_ms + int(draw.unit(4) * (self._newest_ms - self._oldest_ms))
            # Contacts of one millisecond: paging goes on from the newest time seen, and stumbles over them.
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

    def _generate_late(self, start: int, count: int) -> Iterator[SandboxTask]:
        """Yield old calls whose capture comes one to two days from now; half of them Webex had promised nothing for."""
        for index in range(start, start + count):
            draw = Draw(self.seed, "task", index)
            created = self._newest_ms - int(draw.unit(4) * HOUR_MS)
            ready = self._now_ms + int((1 + draw.unit(6) * 0.9) * DAY_MS)
            requested = True if index % 2 else None
            yield SandboxTask(index, _task_id(self.seed, index), created, "telephony", requested, "one", ready)

    def _generate_open(self, start: int, count: int) -> Iterator[SandboxTask]:
        """Yield calls of the last half hour that go on for another one."""
        for index in range(start, start + count):
            draw = Draw(self.seed, "task", index)
            created = self._now_ms - 60_000 - int(draw.unit(4) * HOUR_MS / 2)
            ends = self._now_ms + HOUR_MS // 2
            yield SandboxTask(index, _task_id(self.seed, index), created, "telephony", None, "one", ends_ms=ends)

    def _plant(self) -> None:
        """Let the lists disagree: each third of 3 % of the calls is on one list only, or deleted at Webex."""
        calls = [task for task in self._tasks if task.channel == "telephony" and task.recordings and not task.ready_ms]
        for number, task in enumerate(calls):
            match number % 100:
                case 7:
                    self._unlisted.add(task.id)
                case 42:
                    self._unsearched.add(task.id)
                case 73:
                    self._purged.add(task.id)

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

    def between(self, from_ms: int, to_ms: int, bounds: Bounds = "strict") -> Sequence[SandboxTask]:
        """Return the contacts created after ``from_ms`` and before ``to_ms``, oldest first.

        That is how the documentation words it; ``inclusive`` bounds belong to the window.
        """
        # Strict, the bounds are no part of the window: "after" and "before" are the words of the documentation.
        inside = int(bounds == "inclusive")
        low = bisect.bisect_left(self._tasks, (from_ms + 1 - inside, ""), key=_order)
        high = bisect.bisect_left(self._tasks, (to_ms + inside, ""), key=_order)
        return self._tasks[low:high]

    def listed_between(self, from_ms: int, to_ms: int, bounds: Bounds = "strict") -> Sequence[SandboxTask]:
        """Return those of `between` that the list of tasks has."""
        found = self.between(from_ms, to_ms, bounds)
        return [task for task in found if task.id not in self._unlisted] if self._unlisted else found

    def searched_between(self, from_ms: int, to_ms: int, bounds: Bounds = "strict") -> Sequence[SandboxTask]:
        """Return those of `between` that Search has."""
        found = self.between(from_ms, to_ms, bounds)
        return [task for task in found if task.id not in self._unsearched] if self._unsearched else found

    def get(self, task_id: str) -> SandboxTask | None:
        return self._by_id.get(task_id)

    def ended_ms(self, task: SandboxTask, now_ms: int | None = None) -> int | None:
        """Return when a contact ended, None while it goes on (never, when ``now_ms`` is None)."""
        length = self._audio(task, 0).seconds if task.recordings else 30.0
        ended = task.ends_ms or task.created_ms + round(length * 1000) + 4000
        return ended if now_ms is None or ended <= now_ms + self.ahead_ms else None

    def facts(self, task: SandboxTask, now_ms: int | None = None, *, sized: bool = False) -> Facts:
        """Return what is true of a contact at ``now_ms`` (None: when all is settled); sizes only when asked for."""
        there = [self._recording(task, leg, now_ms) for leg in range(task.recordings if sized else 0)]
        if now_ms is not None and now_ms + self.ahead_ms < task.ready_ms:
            there = []
        return Facts(
            seed=self.seed,
            index=task.index,
            id=task.id,
            channel=task.channel,
            created_ms=task.created_ms,
            now_ms=now_ms,
            ended_ms=self.ended_ms(task, now_ms),
            capture_requested=task.capture_requested,
            recorded=bool(task.recordings),
            sizes=tuple(each.audio.size for each in there),
            deleted=task.id in self._purged,
            transcribed=has_transcript(self.seed, task.index, self.attached),
            updated_ms=self._updated.get(task.id),
        )

    def attributes(self, task: SandboxTask, now_ms: int | None = None, *, gaps: bool = False) -> dict[str, Any]:
        """Return the row as ``GET /v1/tasks`` shows it, on demand with the ``gaps`` that live rows have."""
        facts = self.facts(task, now_ms)
        row = task_attributes(facts)
        return with_gaps(row, facts) if gaps else row

    def recordings(self, task: SandboxTask, now_ms: int | None = None) -> list[SandboxRecording]:
        """Return the recordings Webex would name at ``now_ms`` (None: when all is settled)."""
        if task.id in self._purged | self._forgotten or (now_ms is not None and now_ms + self.ahead_ms < task.ready_ms):
            return []
        late = self._late_legs.get(task.id, {})
        legs = [leg for leg in range(task.recordings) if now_ms is None or now_ms >= late.get(leg, 0)]
        return [self._recording(task, leg, now_ms) for leg in legs]

    def extras(
        self, task: SandboxTask, *, segments: bool, virtual: bool, now_ms: int | None = None
    ) -> list[SandboxRecording]:
        """Return what captures names besides when asked for it: parts of the main recording, the virtual agent's."""
        found = self.recordings(task, now_ms)
        if not self.beside or not found or not found[0].main:
            return []
        wanted = [each for each in extras_of(self.seed, task.index, found[0]) if segments or not each.segment]
        return [each for each in wanted if virtual or each.segment]

    def transcripts(self, task: SandboxTask, *, every_version: bool = False) -> list[ExtraMedia]:
        """Return the transcripts of a contact; with ``every_version`` those of digital channels in both forms."""
        if task.id in self._purged:
            return []
        about = (self.seed, task.index, task.id, task.created_ms, task.channel)
        return transcripts_of(*about, every=every_version, attached=self.attached)

    def screens(self, task: SandboxTask) -> list[ExtraMedia]:
        """Return the screen recordings of a contact."""
        if not task.recordings or task.id in self._purged:
            return []
        return screens_of(self.seed, task.index, task.id, task.created_ms, self.attached)

    def medium(self, task_id: str, own_id: str, file_name: str, now_ms: int | None = None) -> Audio | None:
        """Find what a pre-signed URL leads to, whether or not it is still listed."""
        # A URL that was handed out leads there until it expires, whatever captures says by now.
        recording = self.recording(task_id, own_id, now_ms)
        if recording is not None:
            return recording.audio
        task = self.get(task_id)
        if task is None:
            return None
        there = [*self.transcripts(task, every_version=True), *self.screens(task)]
        return next((each.body for each in there if (each.id, each.file_name) == (own_id, file_name)), None)

    def recording(self, task_id: str, recording_id: str, now_ms: int | None = None) -> SandboxRecording | None:
        """Find one recording, whether or not it is still listed."""
        task = self.get(task_id)
        found = [self._recording(task, leg, now_ms) for leg in range(task.recordings)] if task else []
        if task and self.beside and found:
            found += extras_of(self.seed, task.index, found[0])
        return next((recording for recording in found if recording.own_id == recording_id), None)

    def _recording(self, task: SandboxTask, leg: int, now_ms: int | None = None) -> SandboxRecording:
        draw = Draw(self.seed, "recording", task.index, leg)
        plain = leg == 0 and task.kind in ("one", "legs")
        compressed = self.beside and is_mp3(self.seed, task.index, leg)
        audio = self._growing(task, leg, now_ms) if task.ends_ms else self._audio(task, leg)
        return SandboxRecording(
            # The stitched recording was seen under the task's own id; consult legs have others.
            id=task.id if plain else draw.uuid(),
            task_id=task.id,
            file_name=MP3_NAME if compressed else self._file_name(draw),
            call_type="main" if leg == 0 else "consult",
            start_ms=task.created_ms + 2000 + 700 * leg,
            main=leg == 0,
            audio=mp3_of(audio) if compressed else audio,
        )

    def _file_name(self, draw: Draw) -> str:
        if not self.odd_names or draw.unit(8) > 0.04:
            return USUAL_NAME
        return ODD_NAMES[draw.pick(9, len(ODD_NAMES))]

    def _audio(self, task: SandboxTask, leg: int) -> Audio:
        draw = Draw(self.seed, "audio", task.index, leg)
        form = PCM16 if draw.unit(0) < 0.25 else MULAW
        low, high = self.seconds
        # Evenly over orders of magnitude: most calls are short and a few are long.
        seconds = low * (high / low) ** draw.unit(1)
        if self.large and leg == 0 and task.index % self.large_every == 17 % self.large_every:
            least, most = self.large_mib
            seconds = (least + (most - least) * draw.unit(1)) * MIB / form.bytes_per_second
        return Audio(self.seed, _marker(task, leg), round(seconds * SAMPLE_RATE), form)

    def _growing(self, task: SandboxTask, leg: int, now_ms: int | None) -> Audio:
        """Return what a call that goes on has so far; it comes in pieces of ten seconds."""
        # The recording begins two seconds after the contact, as every other one here.
        length = task.ends_ms - task.created_ms - 2000
        if now_ms is not None and now_ms + self.ahead_ms < task.ends_ms:
            length = (now_ms + self.ahead_ms - task.created_ms - 2000) // GROWS_MS * GROWS_MS
        return Audio(self.seed, _marker(task, leg), max(1, length) * SAMPLE_RATE // 1000 or 1)

    # Changing it while it is looked at

    def add(
        self, created_ms: int, *, capture_requested: bool | None = True, ready_ms: int = 0, ends_ms: int = 0
    ) -> SandboxTask:
        """Let one more telephone call with one recording appear in the list; until ``ends_ms`` it goes on."""
        # Far from the indices of the seed, or it would be drawn as one of its contacts.
        index = len(self._by_id) + 1_000_000
        identifier = _task_id(self.seed, index)
        task = SandboxTask(
            index, identifier, created_ms, "telephony", capture_requested, "one", ready_ms, ends_ms=ends_ms
        )
        self._by_id[task.id] = task
        bisect.insort(self._tasks, task, key=_order)
        return task

    def add_leg(self, task_id: str, ready_ms: int) -> None:
        """Let a task get a further recording, a consult leg, at ``ready_ms``."""
        task = self._by_id[task_id]
        self._late_legs.setdefault(task_id, {})[task.recordings] = ready_ms
        self.change(task_id, recordings=task.recordings + 1)

    def change(self, task_id: str, *, updated_ms: int | None = None, **facts: Any) -> None:
        """Let Webex have changed a task, such as ``capture_requested``; ``updated_ms`` is when, as its row says."""
        old = self._by_id[task_id]
        new = replace(old, **facts)
        self._by_id[task_id] = self._tasks[self._tasks.index(old)] = new
        if updated_ms is not None:
            self._updated[task_id] = updated_ms

    def purge(self, task_id: str) -> None:
        """Let the recordings of a task be deleted by retention: captures no longer names them, media answers 404."""
        self._purged.add(task_id)

    def is_purged(self, task_id: str) -> bool:
        return task_id in self._purged

    def forget(self, task_id: str) -> None:
        """Let captures know nothing of a task, though no list says that anything of it was deleted."""
        self._forgotten.add(task_id)

    def hide(self, task_id: str, *, from_list: bool = False, from_search: bool = False) -> None:
        """Let one of the two lists not have a task."""
        if from_list:
            self._unlisted.add(task_id)
        if from_search:
            self._unsearched.add(task_id)

    def planted(self) -> dict[str, Any]:
        """Return the ids of what was planted, and of the captures that are still to come."""
        late = [task.id for task in self._tasks if task.ready_ms > self._now_ms + self.ahead_ms]
        return {
            "days_ahead": self.ahead_ms / DAY_MS,
            "only_in_search": sorted(self._unlisted),
            "only_in_list": sorted(self._unsearched),
            "deleted": sorted(self._purged),
            "late": sorted(late),
        }

    def search_row(self, task: SandboxTask, now_ms: int) -> dict[str, Any]:
        """Return what Search knows of a task; a field that is not there is null."""
        return record_for(self.facts(task, now_ms, sized=True))

    # What must come of it

    def truth(
        self,
        channel_types: Iterable[str] = ("telephony",),
        *,
        segments: bool = False,
        virtual: bool = False,
        kinds: Iterable[str] = (),
    ) -> list[TruthRecording]:
        """Return every recording that must be stored in the end, with its key, oldest task first.

        ``kinds`` are those that are wanted besides audio, ``transcript`` and ``screen``.
        """
        wanted, kinds = frozenset(channel_types), frozenset(kinds)
        found: list[TruthRecording] = []
        for task in self._tasks:
            if task.channel in wanted:
                audio = [*self.recordings(task), *self.extras(task, segments=segments, virtual=virtual)]
                found += [truth_of(each) for each in audio]
                found += self._attached_truth(task, kinds)
        return found

    def _attached_truth(self, task: SandboxTask, kinds: frozenset[str]) -> Iterator[TruthRecording]:
        for each in self.transcripts(task, every_version=True) if "transcript" in kinds else ():
            stem = each.file_name.removesuffix(".json")
            yield attached_truth(task.id, f"transcript-{each.id}-{stem}", each.file_name, each.body)
        known = set[str]()
        for each in self.screens(task) if "screen" in kinds else ():
            # Of two under one id the later one has its start behind it, as audio does.
            own = f"screen-{each.id}" + (f"-{each.told['startTime']}" if each.id in known else "")
            known.add(each.id)
            yield attached_truth(task.id, own, each.file_name, each.body)

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
    # By id within a millisecond: the same page must come out the same twice.
    return task.created_ms, task.id


def _marker(task: SandboxTask, leg: int) -> str:
    return f"sandbox task {task.id} leg {leg}"


def _task_id(seed: int, index: int) -> str:
    return Draw(seed, "task id", index).uuid()


def _kind(number: float) -> str:
    """Deal out: one recording under the task's id, several legs, one under another id, none."""
    for limit, kind in ((0.78, "one"), (0.83, "legs"), (0.85, "named_legs"), (0.88, "named"), (0.94, "none")):
        if number < limit:
            return kind
    return "unknown"
