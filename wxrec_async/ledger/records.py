"""The values that pass between a ledger and those who use it; no database is known here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from wxrec_async.model import Kind, Recording, RecordingState, StoredObject, Task, TaskState, Window


@dataclass(frozen=True, slots=True)
class Identity:
    """What a ledger belongs to; a ledger serves one organisation, one bucket, one key template."""

    org_id: str
    bucket: str
    key_template: str


@dataclass(frozen=True, slots=True)
class Operator:
    """Who made a run: the program's version, and the user as ``name@host``."""

    tool_version: str
    who: str


@dataclass(frozen=True, slots=True)
class Everything:
    """Scope: every task the ledger knows."""


@dataclass(frozen=True, slots=True)
class InPeriod:
    """Scope: tasks whose place (created time, else the start of the window they were listed in) lies in ``period``."""

    period: Window


@dataclass(frozen=True, slots=True)
class NamedFor:
    """Scope: the tasks named for the run ``run_id``, by `SqliteLedger.add_tasks`."""

    run_id: str


Scope = Everything | InPeriod | NamedFor


class BacklogReason(enum.StrEnum):
    """Why a task is in the backlog.

    ``LISTED``: never asked.  ``OWED``: Webex promised a recording.  ``FAILED``:
    the task failed, or one of its recordings did.  ``UNFINISHED``: one of its
    recordings was found or begun and has not come to rest.
    """

    LISTED = "listed"
    OWED = "owed"
    FAILED = "failed"
    UNFINISHED = "unfinished"


ALL_REASONS = frozenset(BacklogReason)
NOTHING: Mapping[str, int] = MappingProxyType({})
NO_REASONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a task with recordings stands; ``next_ask_ms`` is when it is worth asking again."""

    state: TaskState
    reason: str = ""
    next_ask_ms: int | None = None


NO_STANDINGS: Mapping[str, Standing] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AskedBefore:
    """What earlier questions for a task's captures brought.

    ``empty_answers`` counts answers without recordings, the first and last of
    which came at ``first_empty_ms`` and ``last_empty_ms``; ``named`` is the most
    recordings that one answer named.
    """

    state: TaskState
    first_seen_ms: int
    empty_answers: int = 0
    first_empty_ms: int | None = None
    last_empty_ms: int | None = None
    next_ask_ms: int | None = None
    named: int = 0


@dataclass(frozen=True, slots=True)
class BacklogTask:
    """A task to take up again, as the ledger keeps it.

    ``row`` is what the next `SqliteLedger.backlog` takes as ``after``, ``place_ms`` and
    ``row`` what the next `SqliteLedger.oldest_work` does.
    """

    row: int
    task: Task
    asked: AskedBefore
    place_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A recording the ledger calls stored; ``row`` is its task's place in the ledger.

    ``size`` is in bytes; ``crc32`` is None when the store named none and it was never read back,
    ``sha256`` (hex) when the bytes never went through this program.
    """

    row: int
    task_id: str
    recording_id: str
    key: str
    size: int
    crc32: int | None
    etag: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class KnownRecording:
    """A recording as the ledger keeps it.

    ``evidence`` is what a final state rests on.  ``start_ms`` and ``stop_ms``
    are, of one that is STORED, those of what was stored, whatever Webex says by
    now; ``size`` is in bytes.  ``stored`` is there when it is STORED,
    ``was_stored`` when it ever was; ``segment`` when it is a part of another one.
    """

    id: str
    state: RecordingState
    reason: str = ""
    evidence: str = ""
    start_ms: int | None = None
    stop_ms: int | None = None
    size: int | None = None
    flags: tuple[str, ...] = ()
    segment: bool = False
    was_stored: bool = False
    stored: StoredRow | None = None
    kind: Kind = Kind.AUDIO


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task's recordings as the ledger knows them, by id.

    ``holder`` is the recording that is stored under the task's main place, None
    while none is; ``named`` the most recordings that one answer of captures named.
    """

    task_id: str
    known: Mapping[str, KnownRecording]
    holder: str | None = None
    named: int = 0

    @property
    def recordings(self) -> dict[str, RecordingState]:
        """Where each of them stands."""
        return {recording_id: each.state for recording_id, each in self.known.items()}


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with its recordings.

    ``place_ms`` and ``row`` are its place in the order of pages; ``evidence`` is
    what its state rests on, ``named`` the most recordings one answer of captures
    named; the ``witness`` fields are what Search said at ``witness_ms``, None when it was never heard.
    """

    row: int
    place_ms: int
    task: Task
    asked: AskedBefore
    reason: str = ""
    recordings: tuple[KnownRecording, ...] = ()
    witness_ms: int | None = None
    witness_recordings: int | None = None
    witness_bytes: int | None = None
    witness_deleted: bool | None = None
    evidence: str = ""
    named: int = 0


@dataclass(frozen=True, slots=True)
class FoundRecording:
    """A recording that lies in the bucket, with what its metadata tells of its task."""

    task: Task
    recording: Recording
    object: StoredObject
    main_place: bool


@dataclass(frozen=True, slots=True)
class StartedKey:
    """A recording that was begun and has not come to rest: its key may carry an upload nobody wrote down."""

    task_id: str
    recording_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed and why; ``recording_id`` is empty when the task failed before a recording was known."""

    task_id: str
    recording_id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Where everything in a scope stands.

    ``tasks_listed == tasks_with_recordings + no_recording + owed + failed_tasks +
    unfinished_tasks`` and ``recordings == stored + already_stored + failed +
    gone`` always hold.  ``stored`` and ``bytes`` are those of one run,
    ``already_stored`` is every other stored recording; ``unfinished_recordings``
    (found or begun) are in none of them.  ``incomplete`` are those among the
    tasks with recordings of which Search counts more than came: no obstacle,
    because what it counts is not documented.  ``by_kind`` says how much of ``recordings``
    and of the six numbers about them is transcripts and screen recordings, for those kinds
    of which there are any; the rest is audio.
    """

    tasks_listed: int = 0
    tasks_with_recordings: int = 0
    no_recording: int = 0
    owed: int = 0
    failed_tasks: int = 0
    unfinished_tasks: int = 0
    stored: int = 0
    already_stored: int = 0
    failed: int = 0
    gone: int = 0
    unfinished_recordings: int = 0
    bytes: int = 0
    bytes_total: int = 0
    incomplete: int = 0
    by_kind: Mapping[str, Mapping[str, int]] = field(default_factory=dict, hash=False)

    @property
    def recordings(self) -> int:
        return self.stored + self.already_stored + self.failed + self.gone


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A task of which Search counts more recordings (``witnessed``) than captures has named (``found``)."""

    task_id: str
    witnessed: int
    found: int


@dataclass(frozen=True, slots=True)
class CatchUp:
    """How far the ledger is behind; every moment is None when there is none.

    ``listed_to_ms`` ends the newest span that never needs to be listed again;
    before ``caught_up_ms`` everything listed is stored, has no recording, or
    failed by name.  ``oldest_owed_ms`` is the creation time of the oldest task
    that Webex owes, ``next_ask_ms`` when the next of them is due.  ``followed``
    is what the last round of a follower wrote into its summary.
    """

    listed_to_ms: int | None = None
    caught_up_ms: int | None = None
    oldest_owed_ms: int | None = None
    next_ask_ms: int | None = None
    followed: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the ledger saw it; ``ended_ms`` is None while it goes on, or when it was killed.

    ``command`` is what it was asked to do, empty where a release before wrote it down.
    """

    run_id: str
    started_ms: int
    ended_ms: int | None
    exit_code: int | None
    scope: Window | None
    summary: Mapping[str, object]
    author: Operator | None = None
    command: str = ""
