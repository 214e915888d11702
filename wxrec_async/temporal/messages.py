"""What travels between the machines of an engine: plain data, readable for whoever runs the engine.

So no URL, no token, no phone number, no name of a person and no sentence of a
server's own gets in here: ids, times, sizes, checksums and stable words only.
Numbers are masked as the ledger masks them; names of agents go along only when
the engine is told to encrypt what it keeps.
Every record is made of JSON's own kinds, and means the same when it arrives twice.
``plain`` and ``read`` are the two ways between a record and what JSON has; engines
that read records by their types take ten times as long.  What is as it is by default
stays at home.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from wxrec_async.flow.batch import Before
from wxrec_async.flow.recovery import InterruptedWork
from wxrec_async.model import Task, Window
from wxrec_async.rules.finality import Phase, is_bare, phase
from wxrec_async.rules.identity import Known, Times
from wxrec_async.rules.redact import mask_number, redact_text
from wxrec_async.rules.sources import Source

LISTED = "listed"
TASKS = str(Source.TASKS)  # what no message of an earlier release says
# What of a task travels as it is: ids, times and Webex's own words, never what a person is called or reached by.
PLAIN = (
    "id", "channel_type", "status", "direction", "created_ms", "ended_ms", "updated_ms", "queue_id", "agent_id",
    "duration_ms", "capture_requested", "active",
)  # fmt: skip
Hash = Callable[[str | None], str | None]
_USUAL: dict[type, list[tuple[str, Any]]] = {}


@dataclass(frozen=True, slots=True)
class Span:
    """A `Window`: milliseconds since the epoch, half-open."""

    from_ms: int
    to_ms: int

    @classmethod
    def of(cls, window: Window) -> Span:
        return cls(window.from_ms, window.to_ms)

    def window(self) -> Window:
        return Window(self.from_ms, self.to_ms)


@dataclass(frozen=True, slots=True)
class TaskMessage(Task):
    """A `Task` as it travels: fields of the model that are named neither here nor in `PLAIN` stay at home.

    Numbers are masked, and ``agent_name`` is there only if names may travel.  ``said`` never does: a thousand of them
    are more than an engine takes at once.
    """

    @classmethod
    def of(cls, task: Task, *, names: bool = False, hashed: Hash | None = None) -> TaskMessage:
        return cls(
            **{name: getattr(task, name) for name in PLAIN},
            # Masked already here, not only where the ledger is: the engine keeps every message in its histories.
            origin=mask_number(task.origin) if task.origin else task.origin,
            destination=mask_number(task.destination) if task.destination else task.destination,
            queue_name=redact_text(task.queue_name) if task.queue_name else task.queue_name,
            agent_name=task.agent_name if names else None,
            reason_code=redact_text(task.reason_code) if task.reason_code else None,
            # Made here, because the number itself does not travel.
            origin_hash=hashed(task.origin) if hashed else None,
            destination_hash=hashed(task.destination) if hashed else None,
        )

    def task(self) -> Task:
        return Task(**{each.name: getattr(self, each.name) for each in fields(Task)})


@dataclass(frozen=True, slots=True)
class PageAsk:
    """Ask for one page of ``span``, as `webex.client.WebexClient.tasks_page` is asked; ``next_link`` is relative.

    ``others`` asks for contacts of the channels that are only counted, ``every_channel`` for all there are.
    ``source`` is the list that is asked; of Search the page behind ``cursor``.
    """

    org: str
    span: Span
    from_ms: int
    next_link: str | None = None
    others: bool = False
    every_channel: bool = False
    source: str = TASKS
    cursor: str = ""

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> PageAsk:
        return cls(**{**row, "span": Span(**row["span"])})


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page, or why it cannot be had: ``refused`` is the reason's stable word then.

    ``cursor`` leads to the next page of Search; ``trouble`` says that it told of an error beside its rows.
    """

    tasks: list[TaskMessage] = field(default_factory=list)
    rows: int = 0
    next_link: str | None = None
    unreadable: int = 0
    asked_ms: int = 0
    refused: str = ""
    detail: str = ""
    more: bool = False
    cursor: str = ""
    trouble: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; a thousand rows are copied but once."""
        rows = [fields_of(each) for each in self.tasks]
        return {**{name: getattr(self, name) for name in self.__slots__}, "tasks": rows}


@dataclass(frozen=True, slots=True)
class TaskToDo:
    """A task to ask for and store, with what must be known of it.

    ``settled`` are its recordings that are stored, ``holder`` the one that is
    stored under its main key.  ``returns`` counts how often its URLs had expired.
    ``uploads`` were left open: recording, key and upload id of each, and of ``begun``,
    recording and key, nobody knows whether one was.  ``phase`` is
    whether the call is over (`rules.finality.Phase`), ``first_seen_ms`` when it was listed first, and
    ``times`` says of stored recordings when they begin and end, ``unstored`` of those that are not at rest.
    ``denied`` is what the media host
    said of recordings that came back for a fresh URL (`rules.finality.is_gone`), ``bare`` that
    nothing but its id is known.
    """

    id: str
    created_ms: int | None = None
    requested: bool | None = None
    settled: list[str] = field(default_factory=list)
    holder: str | None = None
    returns: int = 0
    uploads: list[tuple[str, str, str]] = field(default_factory=list)
    phase: str = str(Phase.OVER)
    first_seen_ms: int | None = None
    times: dict[str, list[int | None]] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)
    bare: bool = False
    begun: list[tuple[str, str]] = field(default_factory=list)
    unstored: dict[str, list[int | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, task: Task, before: Before, interrupted: InterruptedWork) -> TaskToDo:
        """Return a task to ask for with what the ledger knows of it and of what was left open."""
        todo = cls(task.id, task.created_ms, task.capture_requested, phase=str(phase(task)), bare=is_bare(task))
        return replace(
            todo,
            settled=list(before.stored),
            holder=before.holder,
            uploads=[(each.recording_id, each.key, each.upload_id) for each in interrupted.uploads],
            first_seen_ms=before.first_seen_ms,
            times=_times(before.stored),
            unstored=_times(before.unstored),
            begun=[(each.recording_id, each.key) for each in interrupted.started],
        )

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> TaskToDo:
        # JSON has no tuples; and what a worker of an earlier release does not name is as by default.
        uploads = [(recording, key, upload_id) for recording, key, upload_id in row.get("uploads", ())]
        begun = [(recording, key) for recording, key in row.get("begun", ())]
        return cls(**{**row, "uploads": uploads, "begun": begun})

    def before(self) -> Before:
        """Return what was known of the task when it was handed out."""
        stored, unstored = (
            {name: Times(*times) for name, times in each.items()} for each in (self.times, self.unstored)
        )
        return Before(self.first_seen_ms, stored, self.holder, unstored)

    def task(self) -> Task:
        """Return as much of the task as is known here."""
        active = None if self.phase == Phase.UNTOLD else self.phase == Phase.OPEN
        status = None if self.bare else LISTED  # a word that says nothing but that there was a row
        return Task(self.id, status=status, created_ms=self.created_ms, capture_requested=self.requested, active=active)

    def plain(self) -> dict[str, Any]:
        return fields_of(self)


@dataclass(frozen=True, slots=True)
class Batch:
    """One to ten tasks for one captures call; ``halved`` when it is a piece of one that failed as a whole.

    ``run`` names the backfill it belongs to.
    """

    org: str
    todos: list[TaskToDo]
    halved: bool = False
    run: str = ""

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Batch:
        return cls(row["org"], [TaskToDo.read(each) for each in row["todos"]], row["halved"], row.get("run", ""))


def _times(known: Mapping[str, Known]) -> dict[str, list[int | None]]:
    return {name: [it.start_ms, it.stop_ms] for name, it in known.items()}


def fields_of(row: Any) -> dict[str, Any]:
    """Return what is not as it is by default of a record without records in it."""
    kind = type(row)
    # Once for each class: a page has a thousand rows.
    if kind not in _USUAL:
        _USUAL[kind] = _usual(kind)
    return {name: value for name, usual in _USUAL[kind] if (value := getattr(row, name)) != usual}


def _usual(kind: Any) -> list[tuple[str, Any]]:
    """Name the fields with their defaults; `MISSING` is equal to nothing."""
    made = ((each, each.default_factory) for each in fields(kind))
    return [(each.name, each.default if factory is MISSING else factory()) for each, factory in made]
