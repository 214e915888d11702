"""What the filters left alone: counted in the ledger, so that it holds whoever listed it and when.

A task that is left out stays in the ledger as it was, mostly LISTED: its window
can be closed, and the first run that wants it finds it in the backlog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace
from typing import Protocol

from wxrec_async.ledger.records import ALL_REASONS, BacklogReason, BacklogTask, Counts, Failure, KnownTask, Scope
from wxrec_async.model import RecordingState, TaskState
from wxrec_async.rules.filters import Filters

PAGE = 2000
FAILURES_NAMED = 1000
COUNTED_AS = {TaskState.LISTED: "unfinished_tasks", TaskState.OWED: "owed", TaskState.FAILED: "failed_tasks"}


class WorkLeft(Protocol):
    """A ledger, as far as work left in it goes."""

    async def backlog(  # noqa: PLR0913 - the ledger's own
        self,
        scope: Scope,
        *,
        now_ms: int,
        after: int = 0,
        limit: int = 500,
        only: Collection[BacklogReason] = ALL_REASONS,
        due_only: bool = True,
        again: bool = False,
    ) -> list[BacklogTask]: ...

    async def known(self, task_id: str) -> KnownTask: ...


@dataclass(slots=True)
class FilteredWork:
    """Tasks with work left that no filter wants.

    ``reasons`` counts them by the word of `Filters.leaves_out`, ``counted`` says
    how much of each field of `Counts` is theirs, ``failed`` names those that failed.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    failed: set[str] = field(default_factory=set)

    @property
    def tasks(self) -> int:
        return self.reasons.total()

    def without(self, counts: Counts) -> Counts:
        """Return ``counts`` without what was left out; `tasks` is what is missing from ``tasks_listed`` then."""
        return replace(counts, **{name: max(0, getattr(counts, name) - less) for name, less in self.counted.items()})

    @property
    def failures_to_read(self) -> int:
        """How many failures hold `FAILURES_NAMED` of tasks that were wanted."""
        return FAILURES_NAMED + self.counted["failed"] + self.counted["failed_tasks"]

    def wanted(self, failures: Collection[Failure]) -> tuple[Failure, ...]:
        """Return the failures of tasks that were not left out."""
        return tuple(failure for failure in failures if failure.task_id not in self.failed)


async def count_left_out(ledger: WorkLeft, scope: Scope, filters: Filters, now_ms: int) -> FilteredWork:
    """Go through all work left in ``scope``; without filters nothing is read."""
    left = FilteredWork()
    if not filters:
        return left
    # First those of which recordings may be known, counted by these; then the rest, by the state of
    # the task alone.
    seen: set[str] = set()  # the few of which a recording is known
    async for row, reason in _unwanted(
        ledger, scope, filters, frozenset({BacklogReason.FAILED, BacklogReason.UNFINISHED}), now_ms
    ):
        seen.add(row.task.id)
        left.reasons[reason] += 1
        _add(left, row, Counter((await ledger.known(row.task.id)).recordings.values()))
    async for row, reason in _unwanted(
        ledger, scope, filters, frozenset({BacklogReason.LISTED, BacklogReason.OWED}), now_ms
    ):
        if row.task.id not in seen:
            left.reasons[reason] += 1
            left.counted[COUNTED_AS[row.asked.state]] += 1
    return left


async def _unwanted(
    ledger: WorkLeft, scope: Scope, filters: Filters, only: frozenset[BacklogReason], now_ms: int
) -> AsyncIterator[tuple[BacklogTask, str]]:
    after = 0
    # With ``again``: what this run was handed is counted as well.
    while rows := await ledger.backlog(
        scope, now_ms=now_ms, after=after, limit=PAGE, only=only, due_only=False, again=True
    ):
        after = rows[-1].row
        for row in rows:
            if reason := filters.leaves_out(row.task):
                yield row, reason


def _add(left: FilteredWork, row: BacklogTask, states: Counter[RecordingState]) -> None:
    """Find out where `Counts` has a task and its recordings."""
    begun, failed = states[RecordingState.LISTED] + states[RecordingState.STARTED], states[RecordingState.FAILED]
    captured = "unfinished_tasks" if begun else "tasks_with_recordings"
    left.counted[COUNTED_AS.get(row.asked.state, captured)] += 1
    left.counted.update(unfinished_recordings=begun, failed=failed)
    if failed or row.asked.state is TaskState.FAILED:
        left.failed.add(row.task.id)
