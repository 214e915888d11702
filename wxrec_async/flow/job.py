"""What a run is to do, and where it is in what earlier runs left."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wxrec_async.flow.batch import Rules
from wxrec_async.ledger.records import ALL_REASONS, AskedBefore, BacklogReason, BacklogTask, Scope
from wxrec_async.model import DAY_MS, Task, TaskState, Window
from wxrec_async.rules.filters import NO_FILTERS, Filters
from wxrec_async.rules.sources import Reach

NOTHING_OLDER = Reach(tasks_days=1095, search=False)


@dataclass(frozen=True, slots=True)
class Job(Rules):
    """What a run is to do.

    ``scope`` is what the ledger is asked about, ``period`` what the user asked for,
    ``notes`` what was changed of it.  ``windows`` are listed, ``task_ids`` taken as they
    are.  ``only`` narrows the backlog, ``due_only`` leaves what is owed or failed alone
    until its time has come, and tasks placed in ``look_again`` get the second look that
    they deserve.  ``other_channels`` are listed to be counted.  ``limit`` counts
    recordings begun.  ``reach`` is how far back Webex lists calls, and a scheduled
    run lists again what is younger than ``trailing_ms``.  ``command`` is what was asked
    for, in the words of the command line.
    """

    run_id: str
    scope: Scope
    period: Window | None = None
    notes: tuple[str, ...] = ()
    windows: tuple[Window, ...] = ()
    task_ids: Iterable[str] = ()
    only: frozenset[BacklogReason] = ALL_REASONS
    due_only: bool = False
    look_again: Window | None = None
    other_channels: tuple[str, ...] = ()
    concurrency: int = 32
    page_size: int = 1000
    channel_types: tuple[str, ...] = ("telephony",)
    filters: Filters = NO_FILTERS
    limit: int | None = None
    reach: Reach = NOTHING_OLDER
    trailing_ms: int = 7 * DAY_MS
    command: str = "run"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in what earlier runs left: behind ``row`` of the tasks placed at ``place_ms``; None: by row alone."""

    place_ms: int | None
    row: int = 0

    @classmethod
    def behind(cls, rows: Sequence[BacklogTask]) -> Cursor | None:
        """Return the place behind a page; None when the page is empty, and so the last one."""
        return cls(rows[-1].place_ms, rows[-1].row) if rows else None

    @property
    def last(self) -> BacklogTask:
        """The last task before this place, as far as the ledger wants to know it."""
        return BacklogTask(self.row, Task(""), AskedBefore(TaskState.LISTED, 0), self.place_ms)


def new_run_id() -> str:
    """Return a name that no other run has."""
    return uuid.uuid4().hex[:12]
