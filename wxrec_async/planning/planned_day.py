"""One day of a plan: how much there is, how long it takes, and what is purged before a run gets to it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from wxrec_async.model import FINAL_STATES, RecordingState, SearchCounts, Task, TaskState, Window, iso
from wxrec_async.rules.filters import Filters
from wxrec_async.rules.retention import BATCH, BYTES_PER_SECOND, LIKELY_BYTES_PER_SECOND, AtRisk, Timeline, length_ms
from wxrec_async.rules.selection import WaitPolicy, before_asking


@dataclass(frozen=True, slots=True)
class KnownWork:
    """Where the ledger has a task; ``bytes`` are those of its recordings as Search told them once."""

    task: Task
    state: TaskState
    recordings: tuple[RecordingState, ...] = ()
    bytes: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether a run would ask for it."""
        # At rest are "no recording" and a task whose every recording is; FAILED is not: every run tries it again.
        if self.state is TaskState.NO_RECORDING:
            return False
        return self.state is not TaskState.CAPTURED or any(state not in FINAL_STATES for state in self.recordings)


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """What is to be done with the calls of one day.

    ``will_record`` counts the tasks of which Webex says that they have a
    recording, ``may_record`` those of which it does not say; both with what is
    ``stored`` (recordings) already.  ``to_ask`` are the tasks left to do, and the
    bytes are theirs: ``bytes_low`` and ``bytes_high`` at 16 and 32 kB a second of
    call, ``bytes_likely`` in between, or what Search says (``measured`` tasks).
    A call whose length nobody tells counts as long as the mean of its day.
    """

    window: Window
    tasks: int = 0
    will_record: int = 0
    may_record: int = 0
    stored: int = 0
    to_ask: int = 0
    left_out: int = 0
    bytes_low: int = 0
    bytes_high: int = 0
    bytes_likely: int = 0
    measured: int = 0
    listing_calls: int = 0
    search_calls: int = 0
    nearest: AtRisk | None = None
    at_risk: tuple[AtRisk, ...] = ()

    @property
    def captures_calls(self) -> int:
        return math.ceil(self.to_ask / BATCH)

    def as_json(self, requests_per_minute: float) -> dict[str, object]:
        """Return it as ``plan --json`` has it."""
        calls = self.listing_calls + self.captures_calls
        return {
            "from": iso(self.window.from_ms),
            "to": iso(self.window.to_ms),
            "tasks": self.tasks,
            "will_record": self.will_record,
            "may_record": self.may_record,
            "already_stored": self.stored,
            "to_ask": self.to_ask,
            "left_out": self.left_out,
            "captures_calls": self.captures_calls,
            "listing_calls": self.listing_calls,
            "minutes": round(calls / requests_per_minute, 2),
            "estimated_bytes": self.bytes_likely,
            "bytes_low": self.bytes_low,
            "bytes_high": self.bytes_high,
            "measured": self.measured,
            "nearest_purge": self.nearest.as_json() if self.nearest else None,
            "purged_before": len(self.at_risk),
        }


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a day is planned with."""

    timeline: Timeline
    ages: WaitPolicy
    filters: Filters
    now_ms: int

    def day(
        self,
        window: Window,
        listed: Mapping[str, Task],
        known: Mapping[str, KnownWork],
        sizes: Mapping[str, int],
        calls: tuple[int, int] = (0, 0),
    ) -> PlannedDay:
        """Count one day: what Webex lists, what the ledger has, and the calls it took to list and to ask Search."""
        # Listing and asking share one budget, and a day is listed before it is asked for: its own listing delays it.
        # Calls to Search are the plan's own, no run makes them again, so they are no part of the time line.
        self.timeline.list(calls[0])
        # What is listed now says more than what the ledger was told once, a promise above all.
        tasks = {each.task.id: each.task for each in known.values()} | dict(listed)
        wanted = [task for task in tasks.values() if not self.filters.leaves_out(task)]
        # In the order of a run, oldest first: each task on the time line waits for those before it.
        to_do = sorted((task for task in wanted if self._is_to_do(task, known.get(task.id))), key=_age)
        # What Search says now goes before what it said when the ledger asked.
        told = {each.task.id: each.bytes for each in known.values() if each.bytes is not None} | dict(sizes)
        mean_ms = _mean(filter(None, map(length_ms, wanted)))
        volumes = [_volume(task, told.get(task.id), mean_ms) for task in to_do]
        reached = [self.timeline.ask(task, volume.likely) for task, volume in zip(to_do, volumes, strict=True)]
        met = [each for each in reached if each]
        return PlannedDay(
            window,
            tasks=len(tasks),
            will_record=sum(task.capture_requested is True for task in wanted),
            may_record=sum(task.capture_requested is None for task in wanted),
            stored=sum(state is RecordingState.STORED for each in known.values() for state in each.recordings),
            to_ask=len(to_do),
            left_out=len(tasks) - len(wanted),
            bytes_low=sum(volume.low for volume in volumes),
            bytes_high=sum(volume.high for volume in volumes),
            bytes_likely=sum(volume.likely for volume in volumes),
            measured=sum(task.id in told for task in to_do),
            listing_calls=calls[0],
            search_calls=calls[1],
            nearest=min(met, key=lambda each: each.purge_ms, default=None),
            at_risk=tuple(each for each in met if each.is_late),
        )

    def counted(
        self, day: PlannedDay, window: Window, counts: SearchCounts, known: Mapping[str, KnownWork], pages: int
    ) -> PlannedDay:
        """Return the day with what Search counts in ``window`` of it besides the tasks that are ``known`` of that.

        Of such a task no more is known than that there is one: it is as old as the window, and of the mean size.
        ``pages`` is how many calls a run takes to list them.
        """
        self.timeline.list(pages)
        within = [each.task for each in known.values() if window.from_ms <= (each.task.created_ms or 0) < window.to_ms]
        told = Counter(task.capture_requested for task in within)
        recorded, untold = max(0, counts.recorded - told[True]), max(0, counts.untold - told[None])
        size = round(counts.bytes / counts.recorded) if counts.recorded else 0
        oldest = Task("", created_ms=window.from_ms)
        sizes = [size] * recorded + [0] * untold
        met = [each for each in (self.timeline.ask(oldest, size) for size in sizes) if each]
        nearest = [each for each in (day.nearest, *met) if each]
        return replace(
            day,
            tasks=day.tasks + recorded + untold + max(0, counts.unrecorded - told[False]),
            will_record=day.will_record + recorded,
            may_record=day.may_record + untold,
            to_ask=day.to_ask + len(sizes),
            bytes_low=day.bytes_low + recorded * size,
            bytes_high=day.bytes_high + recorded * size,
            bytes_likely=day.bytes_likely + recorded * size,
            measured=day.measured + recorded,
            listing_calls=day.listing_calls + pages,
            search_calls=day.search_calls + 1,
            nearest=min(nearest, key=lambda each: each.purge_ms, default=None),
            at_risk=(*day.at_risk, *(each for each in met if each.is_late)),
        )

    def has_work(self, listed: Mapping[str, Task], known: Mapping[str, KnownWork]) -> bool:
        """Say whether anything is left to do of a day."""
        return any(self._is_to_do(task, known.get(task.id)) for task in listed.values()) or any(
            standing.is_open for standing in known.values()
        )

    def _is_to_do(self, task: Task, standing: KnownWork | None) -> bool:
        # Three cases.  At rest: only a "no recording" that Webex has begun to promise since comes back.
        # A recording is known and open: it is fetched, whatever the age of its call.  Else the rule of a run decides.
        if standing is not None and not standing.is_open:
            return standing.state is TaskState.NO_RECORDING and self._is_promised_now(task, standing.task)
        if standing is not None and standing.recordings:
            return True
        return before_asking(task, self.ages, self.now_ms) is None

    def _is_promised_now(self, task: Task, before: Task) -> bool:
        """As the ledger has it: what had no recording is taken up again when Webex promises one now."""
        return task.capture_requested is True and before.capture_requested is not True


@dataclass(frozen=True, slots=True)
class _Volume:
    low: int
    high: int
    likely: int


def _volume(task: Task, told: int | None, mean_ms: float) -> _Volume:
    """Say how large a task's recordings are; one that may have none counts for the upper bound only."""
    if told is not None:
        return _Volume(told, told, told)
    length = length_ms(task)
    seconds = (mean_ms if length is None else length) / 1000
    low, high, likely = (round(seconds * rate) for rate in (*BYTES_PER_SECOND, LIKELY_BYTES_PER_SECOND))
    return _Volume(low, high, likely) if task.capture_requested else _Volume(0, high, 0)


def _age(task: Task) -> tuple[int, str]:
    return task.created_ms or 0, task.id


def _mean(values: Iterable[int]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
