"""What a run would do: tasks are listed, nothing else is asked, nothing is written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from wxrec_async.flow.task_lister import TaskLister
from wxrec_async.ledger.records import Counts
from wxrec_async.model import SearchCounts, Task, TaskPage, TaskState, Window, iso
from wxrec_async.planning.planned_day import PlannedDay
from wxrec_async.rules.filters import NO_FILTERS, Filters
from wxrec_async.rules.retention import BYTES_PER_SECOND, AtRisk
from wxrec_async.rules.selection import WaitPolicy, before_asking
from wxrec_async.rules.sources import Source

SEARCH_PAGE = 250  # contacts in one answer of Search


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """One window that is still to be listed; ``problem`` says why it could not be read to its end.

    ``pages`` is how many calls it takes to list it, ``source`` the list that is asked.
    """

    window: Window
    tasks: int
    to_ask: int
    no_recording: int
    settling: int
    problem: str | None = None
    left_out: int = 0
    pages: int = 0
    source: Source = Source.TASKS

    @classmethod
    def counted(cls, window: Window, counts: SearchCounts) -> PlannedWindow:
        """Return a window of old calls that Search counted, so that nobody had to list it."""
        pages = max(1, math.ceil(counts.tasks / SEARCH_PAGE))
        to_ask = counts.recorded + counts.untold
        return cls(window, counts.tasks, to_ask, counts.unrecorded, 0, pages=pages, source=Source.SEARCH)


@dataclass(frozen=True, slots=True)
class Plan:
    """Windows to list, what the ledger knows already, and what the work costs in requests.

    ``minutes`` is the time the calls alone take at the request budget; moving the
    bytes may take longer.  What the filters leave out is not in
    ``known``; ``known_left_out`` of it lies in windows that are not listed again.
    """

    period: Window
    windows: tuple[PlannedWindow, ...]
    known: Counts
    requests_per_minute: float
    batch: int = 10
    notes: tuple[str, ...] = ()
    known_left_out: int = 0
    days: tuple[PlannedDay, ...] = ()
    retention_days: int = 0

    @property
    def tasks(self) -> int:
        return sum(planned.tasks for planned in self.windows)

    @property
    def left_out(self) -> int:
        """Tasks with work left that the filters leave alone."""
        return sum(planned.left_out for planned in self.windows) + self.known_left_out

    @property
    def to_ask(self) -> int:
        """Tasks that need captures: new ones, and those with work left in the ledger, each once.

        Without ``days``, which tell them apart, it is an upper bound.
        """
        if self.days:
            return self.total("to_ask")
        known = self.known
        # The ledger counts what is left of the whole period, also of windows that are listed again here:
        # such a task is in both sums, which only ``days`` can tell.
        left = known.owed + known.failed_tasks + known.unfinished_tasks + known.failed
        return sum(planned.to_ask for planned in self.windows) + left

    @property
    def captures_calls(self) -> int:
        return math.ceil(self.to_ask / self.batch)

    @property
    def listing_calls(self) -> int:
        return sum(planned.pages for planned in self.windows)

    @property
    def minutes(self) -> float:
        return (self.listing_calls + self.captures_calls) / self.requests_per_minute

    @property
    def at_risk(self) -> Iterator[AtRisk]:
        """Tasks whose recordings are purged before a run that begins now gets to them, oldest first."""
        for day in self.days:
            yield from day.at_risk

    @property
    def nearest(self) -> AtRisk | None:
        """The task left to do that is purged first; None when nothing is left, or nothing is ever purged."""
        return min((day.nearest for day in self.days if day.nearest), key=lambda each: each.purge_ms, default=None)

    def total(self, name: str) -> int:
        """Add up one number of all days."""
        return sum(getattr(day, name) for day in self.days)

    def as_json(self) -> dict[str, object]:
        """Return the line of ``plan --json``."""
        nearest = self.nearest
        return {
            "event": "plan",
            "schema": 1,
            "from": iso(self.period.from_ms),
            "to": iso(self.period.to_ms),
            "windows": [
                {
                    "from": iso(planned.window.from_ms),
                    "to": iso(planned.window.to_ms),
                    "tasks": planned.tasks,
                    "to_ask": planned.to_ask,
                    "no_recording": planned.no_recording,
                    "settling": planned.settling,
                    "left_out": planned.left_out,
                    "source": planned.source.value,
                    "problem": planned.problem,
                }
                for planned in self.windows
            ],
            "tasks": self.tasks,
            "to_ask": self.to_ask,
            "left_out": self.left_out,
            "already_stored": self.known.stored + self.known.already_stored,
            "listing_calls": self.listing_calls,
            "captures_calls": self.captures_calls,
            "calls": self.listing_calls + self.captures_calls,
            "minutes": round(self.minutes, 1),
            "days": [day.as_json(self.requests_per_minute) for day in self.days],
            "will_record": self.total("will_record"),
            "may_record": self.total("may_record"),
            "estimated_bytes": self.total("bytes_likely"),
            "bytes_low": self.total("bytes_low"),
            "bytes_high": self.total("bytes_high"),
            "bytes_per_second": list(BYTES_PER_SECOND),
            "retention_days": self.retention_days,
            "nearest_purge": nearest.as_json() if nearest else None,
            "purged_before": [each.as_json() for each in self.at_risk],
            "search_calls": self.total("search_calls"),
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class WindowListing:
    """What listing one window brought; ``pages`` is how many calls it took."""

    window: Window
    tasks: dict[str, Task] = field(default_factory=dict)
    pages: int = 0
    problem: str | None = None
    source: Source = Source.TASKS

    async def read(self, lister: TaskLister) -> WindowListing:
        """List the window."""

        async def take_in(_window: Window, _page: TaskPage, new: Sequence[Task]) -> None:
            self.pages += 1
            # By id: a window that had to be halved hands some of its tasks over twice (see `Lister.read`).
            self.tasks.update((task.id, task) for task in new)

        self.problem = await lister.read(self.window, take_in)
        return self

    def planned(self, ages: WaitPolicy, now_ms: int, filters: Filters = NO_FILTERS) -> PlannedWindow:
        """Count what a run would do with it."""
        # The rule a run decides by, so that a plan promises nothing that the run then judges otherwise.
        wanted = [task for task in self.tasks.values() if not filters.leaves_out(task)]
        verdicts = [before_asking(task, ages, now_ms) for task in wanted]
        states = [verdict.state for verdict in verdicts if verdict]
        return PlannedWindow(
            self.window,
            tasks=len(self.tasks),
            to_ask=len(wanted) - len(states),
            no_recording=states.count(TaskState.NO_RECORDING),
            settling=states.count(TaskState.OWED),
            problem=self.problem,
            left_out=len(self.tasks) - len(wanted),
            pages=self.pages,
            source=self.source,
        )
