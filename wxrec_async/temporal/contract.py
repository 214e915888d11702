"""What an engine carries from machine to machine, and how work is divided; nothing here knows which engine.

The pieces of work, each plain data in and plain data out, repeatable and resumable:

=========  =====================  ==========================  ===============================================
piece      in                     out                         who
=========  =====================  ==========================  ===============================================
page       `messages.PageAsk`       `messages.PageRow`            any worker; one call to Webex
carry      `messages.Batch`         `results.BatchOutcome`       any worker; one call to Webex, then transfers
further    nothing                nothing                     any worker; nothing but permission for one call
plan       `PlanAsk`              `WorkPlan`                      the keeper of the ledger
take_in    `IngestPage`               `messages.TaskToDo`\\ s            the keeper of the ledger
take_note  `IngestOther`             nothing                     the keeper of the ledger
backlog    `BacklogAsk`           `Backlog`                   the keeper of the ledger
record     `Record`               nothing                     the keeper of the ledger
listed     `Listed`               nothing                     the keeper of the ledger
end        `End`                  `SummaryFigures`                    the keeper of the ledger
=========  =====================  ==========================  ===============================================

**The budget.**  ``page`` and ``carry`` begin at most `calls_per_second` times a
second over all workers, ``further`` at most `further_per_second` times; each
beginning pays for one call to Webex and there is no other way to make one, so all
calls together stay within the sum of the two, which is the client id's budget.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from wxrec_async.config import Settings
from wxrec_async.flow.job import Cursor
from wxrec_async.rules.sources import Reach
from wxrec_async.temporal.messages import TASKS, Span

Plain = dict[str, Any]
BATCH = 10
ROWS_AT_ONCE = 1000  # of some 300 bytes; Temporal refuses what is asked with more than 2 MB
FURTHER_SHARE = 0.05  # of the budget, for calls in the middle of a recording; they are rare


def calls_per_second(per_minute: float) -> float:
    """Return how many pieces that begin with a call may begin a second."""
    return per_minute / 60 * (1 - FURTHER_SHARE)


def further_per_second(per_minute: float) -> float:
    """Return how many calls a second are kept for the middle of a recording."""
    return per_minute / 60 * FURTHER_SHARE


def queue_of(client_id: str) -> str:
    """Name the queue of a client id: whoever shares the budget shares the queue."""
    return f"wxrec-{hashlib.sha256(client_id.encode()).hexdigest()[:12]}"


def further_queue(queue: str) -> str:
    """Name the queue for further calls."""
    return f"{queue}-further"


def ledger_queue(org: str) -> str:
    """Name the queue of whoever keeps an organisation's ledger."""
    return f"wxrec-ledger-{org}"


def backfill_id(org: str) -> str:
    """Name an organisation's backfill: there is one at a time."""
    return f"wxrec/{org}/backfill"


def window_id(org: str, span: Span) -> str:
    """Name the work on one window: nobody does it twice at once."""
    return f"wxrec/{org}/{span.from_ms}-{span.to_ms}"


def backlog_id(org: str, kind: str) -> str:
    """Name the work on what earlier runs left."""
    return f"wxrec/{org}/{kind}"


@dataclass(frozen=True, slots=True)
class Sizing:
    """How the work is cut: windows at once, batches under way in each, seconds until a silent worker is given up.

    Contacts of ``other_channels`` are listed to be counted.  What is older than ``tasks_days``
    is listed by Search; 0 is what a release sent that did not ask it, and all is asked of ``GET /v1/tasks``.
    """

    page_size: int = 1000
    channel_types: list[str] = field(default_factory=lambda: ["telephony"])
    other_channels: list[str] = field(default_factory=list)
    windows: int = 4
    batches: int = 64
    heartbeat_s: float = 30.0
    tasks_days: int = 0

    @property
    def reach(self) -> Reach:
        """How far back each list is asked."""
        return Reach(self.tasks_days, search=self.tasks_days > 0)

    @classmethod
    def of(cls, settings: Settings) -> Sizing:
        """Return what the settings of whoever keeps the ledger say."""
        webex, temporal = settings.webex, settings.temporal
        return cls(
            webex.page_size,
            list(webex.channel_types),
            list(webex.other_channels),
            temporal.windows,
            temporal.batches,
            temporal.heartbeat_seconds,
            webex.lookback_days if webex.search != "off" else 0,
        )


@dataclass(frozen=True, slots=True)
class BackfillAsk:
    """One backfill: of ``span``, or, for a schedule, of the last ``trailing_s`` seconds before it begins.

    One of a schedule asks for what is owed or failed when it is due only, and lists
    the trailing days again.  Without a ``shape`` it is cut as the keeper's settings
    say.  ``notes`` say what was changed of the period to make it one that can be listed.
    ``run``, ``left`` and ``filtered`` are set when it goes on in a new history.
    """

    org: str
    queue: str
    span: Span | None = None
    trailing_s: float = 0.0
    shape: Sizing | None = None
    run: str = ""
    left: list[Span] | None = None
    filtered: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def scheduled(self) -> bool:
        return self.trailing_s > 0


@dataclass(frozen=True, slots=True)
class WindowAsk:
    """One window of a backfill, or (``only``) what earlier runs left in its period.

    ``whole``, ``asked_ms``, ``trouble``, ``at`` and ``others`` are what an earlier
    history of the same window found; ``others`` says that only contacts of other
    channels are still to be listed.  ``source`` is the list that is asked for it (`rules.sources.Source`).
    """

    org: str
    queue: str
    run: str
    period: Span
    shape: Sizing
    span: Span
    only: list[str] = field(default_factory=list)
    whole: Span | None = None
    asked_ms: int = 0
    trouble: str = ""
    at: Cursor | None = None
    others: bool = False
    scheduled: bool = False
    source: str = TASKS


@dataclass(frozen=True, slots=True)
class PlanAsk:
    run: str
    span: Span | None
    trailing_s: float


@dataclass(frozen=True, slots=True)
class WorkPlan:
    """The period, the windows of it that are still to be listed, and how the keeper's settings cut the work."""

    period: Span
    windows: list[Span]
    shape: Sizing
    filtered: bool
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class IngestPage:
    r"""``tasks`` are `messages.TaskMessage`\ s as JSON has them: a thousand at a time."""

    run: str
    period: Span
    window: Span
    rows: int
    # Not by its type: the SDK would build a thousand records to hand them on, at ten times the cost.
    tasks: Any
    scheduled: bool = False
    source: str = TASKS


@dataclass(frozen=True, slots=True)
class IngestOther:
    """``tasks`` are contacts of other channels, as those of `IngestPage`."""

    run: str
    period: Span
    window: Span
    tasks: Any


@dataclass(frozen=True, slots=True)
class BacklogAsk:
    """``only`` are the words of `LedgerService.backlog`, ``at`` is where to go on."""

    run: str
    period: Span
    at: Cursor
    only: list[str]
    scheduled: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    r"""``todos`` are `messages.TaskToDo`\ s as JSON has them; ``at`` is where to go on; None: there is no more."""

    todos: Any
    at: Cursor | None


@dataclass(frozen=True, slots=True)
class Record:
    r"""``outcomes`` are `results.BatchOutcome`\ s as JSON has them."""

    run: str
    period: Span
    outcomes: Any


@dataclass(frozen=True, slots=True)
class Listed:
    run: str
    period: Span
    window: Span
    asked_ms: int
    trouble: str
    not_counted: str = ""
    source: str = TASKS


@dataclass(frozen=True, slots=True)
class End:
    """``error`` is what ended the run before its time, ``exit_code`` what goes with it; ``notes`` go along."""

    run: str
    period: Span
    error: str = ""
    exit_code: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SummaryFigures:
    """The numbers of a finished backfill, as `wxrec_async.Summary` has them."""

    exit_code: int
    recordings: int
    stored: int
    already_stored: int
    failed: int
    owed: int
    bytes: int


class PendingTasks:
    r"""Tasks that wait to be asked for, in batches; pure, so that an engine may compute it again.

    They are `messages.TaskToDo`\ s as JSON has them: whoever hands them on has no need to look inside.
    """

    def __init__(self) -> None:
        self._todos: list[Plain] = []
        self._pieces: list[list[Plain]] = []

    def __bool__(self) -> bool:
        return bool(self._todos or self._pieces)

    @property
    def full(self) -> bool:
        """Whether a whole batch waits, or a piece of one."""
        return bool(self._pieces) or len(self._todos) >= BATCH

    def add(self, todos: list[Plain]) -> None:
        self._todos.extend(todos)

    def take_back(self, outcome: Plain) -> None:
        """Put back what a `results.BatchOutcome` sends back."""
        self._todos.extend(outcome["again"])
        self._pieces.extend(outcome["halves"])

    def next(self) -> tuple[list[Plain], bool]:
        """Return the next batch, and whether it is a piece of one that failed."""
        # Pieces as they are, never put together again: the id at fault is found by halving.
        if self._pieces:
            return self._pieces.pop(0), True
        batch, self._todos = self._todos[:BATCH], self._todos[BATCH:]
        return batch, False


def first_of(outcomes: list[Plain]) -> tuple[list[Plain], list[Plain]]:
    r"""Part `results.BatchOutcome`\ s, as JSON has them, into what one `Record` takes, one at least, and the rest."""
    rows = 0
    for count, each in enumerate(outcomes):
        rows += len(each["failed"]) + len(each["answers"]) + 2 * len(each["done"])  # each is among the answers, too
        # One at least: a single outcome is ten tasks, and there is nothing to part it by.
        if rows > ROWS_AT_ONCE and count:
            return outcomes[:count], outcomes[count:]
    return outcomes, []
