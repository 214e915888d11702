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

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from wxrec_async.model import Failed, Gone, Outcome, Recording, Stored, StoredObject, Task, Window
from wxrec_async.rules.redact import mask_number, redact_text
from wxrec_async.rules.retry import Tries


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
class At:
    """A place in what earlier runs left: behind ``row`` of the tasks placed at ``place_ms``; None: by row alone."""

    place_ms: int | None
    row: int = 0


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A `Task`; numbers are masked, and ``agent_name`` is there only if names may travel."""

    id: str
    channel_type: str | None = None
    status: str | None = None
    direction: str | None = None
    origin: str | None = None
    destination: str | None = None
    created_ms: int | None = None
    ended_ms: int | None = None
    updated_ms: int | None = None
    queue_id: str | None = None
    queue_name: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    duration_ms: int | None = None
    capture_requested: bool | None = None

    @classmethod
    def of(cls, task: Task, *, names: bool = False) -> TaskRow:
        row = cls(**{name: getattr(task, name) for name in cls.__slots__})
        return replace(
            row,
            origin=mask_number(task.origin) if task.origin else task.origin,
            destination=mask_number(task.destination) if task.destination else task.destination,
            queue_name=redact_text(row.queue_name) if row.queue_name else row.queue_name,
            agent_name=row.agent_name if names else None,
        )

    def task(self) -> Task:
        return Task(**{name: getattr(self, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class PageAsk:
    """Ask for one page of ``span``, as `webex.client.WebexClient.tasks_page` is asked; ``next_link`` is relative.

    ``others`` asks for contacts of the channels that are only counted.
    """

    org: str
    span: Span
    from_ms: int
    next_link: str | None = None
    others: bool = False

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> PageAsk:
        return cls(**{**row, "span": Span(**row["span"])})


@dataclass(frozen=True, slots=True)
class PageRow:
    """A page, or why it cannot be had: ``refused`` is the reason's stable word then."""

    tasks: list[TaskRow] = field(default_factory=list)
    rows: int = 0
    next_link: str | None = None
    unreadable: int = 0
    asked_ms: int = 0
    refused: str = ""
    detail: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; a thousand rows are copied but once."""
        rows = [_fields(each) for each in self.tasks]
        return {**{name: getattr(self, name) for name in self.__slots__}, "tasks": rows}


@dataclass(frozen=True, slots=True)
class Todo:
    """A task to ask for and store, with what must be known of it.

    ``settled`` are its recordings that are at rest, ``holder`` the one that is
    stored under its main key.  ``returns`` counts how often its URLs had expired.
    ``uploads`` were left open: recording, key and upload id of each.
    """

    id: str
    created_ms: int | None = None
    requested: bool | None = None
    settled: list[str] = field(default_factory=list)
    holder: str | None = None
    returns: int = 0
    uploads: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Todo:
        uploads = [(recording, key, upload_id) for recording, key, upload_id in row.get("uploads", ())]
        return cls(**{**row, "uploads": uploads})

    def plain(self) -> dict[str, Any]:
        return _fields(self)


@dataclass(frozen=True, slots=True)
class Batch:
    """One to ten tasks for one captures call; ``halved`` when it is a piece of one that failed as a whole."""

    org: str
    todos: list[Todo]
    halved: bool = False

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Batch:
        return cls(row["org"], [Todo.read(each) for each in row["todos"]], row["halved"])


@dataclass(frozen=True, slots=True)
class Found:
    """A recording that captures named."""

    id: str
    call_type: str | None = None
    start_ms: int | None = None
    stop_ms: int | None = None
    segment: bool = False
    tracking_id: str | None = None

    @classmethod
    def of(cls, recording: Recording) -> Found:
        kind = redact_text(recording.call_type) if recording.call_type else recording.call_type
        times = recording.start_ms, recording.stop_ms
        return cls(recording.id, kind, *times, recording.segment, recording.tracking_id)

    def recording(self, task_id: str) -> Recording:
        return Recording(
            task_id,
            self.id,
            start_ms=self.start_ms,
            stop_ms=self.stop_ms,
            call_type=self.call_type,
            segment=self.segment,
            tracking_id=self.tracking_id,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What captures had of one task; ``recordings`` is empty when it had nothing.

    ``beside`` is id and kind of what it named that is no audio.
    """

    todo: Todo
    recordings: list[Found] = field(default_factory=list)
    beside: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one recording: ``kind`` is ``stored``, ``failed`` or ``gone``; ``seconds`` is what it took."""

    task_id: str
    recording_id: str
    kind: str
    key: str = ""
    size: int = 0
    crc32: int | None = None
    sha256: str | None = None
    etag: str = ""
    version_id: str | None = None
    already: bool = False
    main_place: bool = True
    flags: list[str] = field(default_factory=list)
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, recording: Recording, outcome: Outcome, seconds: float = 0.0) -> Done:
        ids = (recording.task_id, recording.id)
        match outcome:
            case Stored(object=found):
                return cls(
                    *ids, "stored", found.key, found.size, found.crc32, found.sha256, found.etag, found.version_id,
                    outcome.already, outcome.main_place, list(outcome.flags), seconds=round(seconds, 3),
                )  # fmt: skip
            case Failed(reason=reason, detail=detail):
                return cls(*ids, "failed", reason=reason, detail=redact_text(detail), seconds=round(seconds, 3))
            case Gone():
                return cls(*ids, "gone", seconds=round(seconds, 3))

    def object(self) -> StoredObject:
        known = StoredObject(self.key, self.size, self.crc32, etag=self.etag, version_id=self.version_id)
        return replace(known, sha256=self.sha256)

    @property
    def holds(self) -> bool:
        """Whether it is stored under the task's main key."""
        return self.kind == "stored" and self.main_place


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """A multipart upload that could not be aborted."""

    task_id: str
    recording_id: str
    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of a batch.

    Each task is in ``answers`` or ``failed`` (a stable word), or comes back: in
    ``again`` when recordings of it are left that need a fresh URL or another
    worker, in ``halves`` when the batch must be halved to find the id at fault.
    """

    answers: list[Answer] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    again: list[Todo] = field(default_factory=list)
    halves: list[list[Todo]] = field(default_factory=list)
    asked_s: float = 0.0
    left_open: list[LeftOpen] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; `read` reads it."""
        return {
            "answers": [
                {
                    "todo": _fields(each.todo),
                    "recordings": [_fields(one) for one in each.recordings],
                    "beside": each.beside,
                }
                for each in self.answers
            ],
            "failed": self.failed,
            "done": [_fields(each) for each in self.done],
            "again": [_fields(each) for each in self.again],
            "halves": [[_fields(each) for each in half] for half in self.halves],
            "asked_s": self.asked_s,
            "left_open": [_fields(each) for each in self.left_open],
        }

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> BatchOutcome:
        """Return what is to be written down: what comes back is for the engine to hand out again."""
        return cls(
            [
                Answer(
                    Todo.read(each["todo"]),
                    [Found(**one) for one in each["recordings"]],
                    [(named, kind) for named, kind in each["beside"]],
                )
                for each in row["answers"]
            ],
            row["failed"],
            [Done(**each) for each in row["done"]],
            asked_s=row["asked_s"],
            left_open=[LeftOpen(**each) for each in row["left_open"]],
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is, for the engine to keep: the next attempt begins here instead of at the beginning."""

    tries: dict[str, int] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    recordings: int = 0
    bytes: int = 0

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Progress:
        """Return what was kept as JSON."""
        return cls(**{**kept, "done": [Done(**row) for row in kept.get("done", ())]})

    def plain(self) -> dict[str, Any]:
        """Return what `read` reads."""
        return {
            "tries": self.tries,
            "done": [_fields(each) for each in self.done],
            "recordings": self.recordings,
            "bytes": self.bytes,
        }

    def history(self) -> Tries:
        """Return the failures so far as `rules.retry` counts them."""
        return Tries(**{name: int(count) for name, count in self.tries.items()})

    def after(self, tries: Tries) -> Progress:
        kept = {name: getattr(tries, name) for name in Tries.__slots__ if name != "outage_s"}
        return replace(self, tries=kept)


def _fields(row: TaskRow | Todo | Found | Done | LeftOpen) -> dict[str, Any]:
    """Return what is not as it is by default of a record without records in it."""
    return {name: value for name, usual in _USUAL[type(row)] if (value := getattr(row, name)) != usual}


def _usual(kind: type[TaskRow | Todo | Found | Done | LeftOpen]) -> list[tuple[str, Any]]:
    """Name the fields with their defaults; `MISSING` is equal to nothing."""
    made = ((each, each.default_factory) for each in fields(kind))
    return [(each.name, each.default if factory is MISSING else factory()) for each, factory in made]


_USUAL = {kind: _usual(kind) for kind in (TaskRow, Todo, Found, Done, LeftOpen)}
