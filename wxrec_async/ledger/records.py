"""What the flow asks of a ledger, whatever database keeps it, and the values that pass between them.

A ledger remembers what was listed, stored, owed, absent and failed.  It may lag
the bucket, never lead it: ``stored`` is written after the object was verified.
No URL and no secret gets in.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from wxrec_async.model import LeftAlone, OpenUpload, Recording, RecordingState, StoredObject, Task, TaskState, Window

if TYPE_CHECKING:
    from wxrec_async.ledger.standing import TaskRow


@dataclass(frozen=True, slots=True)
class Identity:
    """What a ledger belongs to; a ledger serves one organisation, one bucket, one key template."""

    org_id: str
    bucket: str
    key_template: str


@dataclass(frozen=True, slots=True)
class Author:
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
    """Scope: the tasks named for the run ``run_id``, by `Ledger.add_tasks` or `Ledger.name_tasks`."""

    run_id: str


Scope = Everything | InPeriod | NamedFor


class Work(enum.StrEnum):
    """Why a task is in the backlog.

    ``LISTED``: never asked.  ``OWED``: Webex promised a recording.  ``FAILED``:
    the task failed, or one of its recordings did.  ``UNFINISHED``: one of its
    recordings was found or begun and has not come to rest.
    """

    LISTED = "listed"
    OWED = "owed"
    FAILED = "failed"
    UNFINISHED = "unfinished"


ALL_WORK = frozenset(Work)
NOTHING: Mapping[str, int] = MappingProxyType({})
NO_REASONS: Mapping[str, str] = MappingProxyType({})


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

    ``row`` is what the next `Ledger.backlog` takes as ``after``, ``place_ms`` and
    ``row`` what the next `Ledger.oldest_work` does.
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
    because what it counts is not documented.
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
class Lag:
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
    """A run as the ledger saw it; ``ended_ms`` is None while it goes on, or when it was killed."""

    run_id: str
    started_ms: int
    ended_ms: int | None
    exit_code: int | None
    scope: Window | None
    summary: Mapping[str, object]
    author: Author | None = None


class LedgerReader(Protocol):
    """The reading side.  Everything raises LedgerError when the ledger cannot be read."""

    async def counts(self, scope: Scope, run_id: str | None) -> Counts:
        """Count what is in ``scope``; ``run_id`` says whose ``stored`` it is (None: nobody's)."""
        ...

    async def failures(self, scope: Scope, *, limit: int = 1000) -> list[Failure]:
        """Name what failed in ``scope``, in the order it was listed."""
        ...

    async def closed_windows(self, period: Window) -> list[Window]:
        """Return the closed spans that overlap ``period``: merged, ascending, not cut to it."""
        ...

    async def last_run(self) -> RunRecord | None:
        """Return the run begun last."""
        ...

    async def left_alone(self, scope: Scope) -> dict[str, int]:
        """Count what was seen and left, by kind; nothing for `NamedFor`."""
        ...

    async def incomplete(self, scope: Scope, *, limit: int = 1000) -> list[Incomplete]:
        """Name the tasks of which Search counts more recordings than came, in the order they were listed."""
        ...

    async def flag_counts(self, scope: Scope, run_id: str | None = None) -> dict[str, int]:
        """Count what was odd about stored recordings, by flag; ``run_id`` counts those of one run only."""
        ...

    async def lag(self) -> Lag:
        """Say how far behind the ledger is."""
        ...

    async def task_rows(self, window: Window, *, after: TaskRow | None = None, limit: int = 500) -> list[TaskRow]:
        """Return up to ``limit`` tasks placed in ``window`` behind ``after``, oldest first; an empty list is the end.

        A task's place is its creation, else the start of the window it was listed in.
        """
        ...

    async def identity(self) -> Identity:
        """Return what the ledger belongs to."""
        ...


class Ledger(LedgerReader, Protocol):
    """All methods may be called by many tasks at once, and return when their change is durable.

    A call that was begun is carried through: cancelling the caller takes effect
    after the commit.  Everything raises LedgerFull when the disk is full (nothing
    of the call is kept) and LedgerError otherwise; naming a task, recording or
    upload the ledger never heard of is a LedgerError too.
    """

    async def begin_run(
        self,
        run_id: str,
        now_ms: int,
        scope: Window | None,
        *,
        author: Author | None = None,
        command: str | None = None,
    ) -> None:
        """Open a run.  From here on no task is handed out twice (see `add_tasks`, `backlog`)."""
        ...

    async def end_run(self, run_id: str, now_ms: int, exit_code: int, summary: Mapping[str, object]) -> None:
        """Close a run; ``summary`` must be JSON."""
        ...

    async def close_window(self, window: Window, now_ms: int) -> None:
        """Remember that ``window`` never needs to be listed again.  May be called twice."""
        ...

    async def add_tasks(
        self,
        tasks: Sequence[Task],
        *,
        listed_in: Window | None,
        now_ms: int,
        named_for: str | None = None,
        patient: bool = False,
        source: str = "",
    ) -> list[Task]:
        """Add or refresh tasks, and return those to work on, each once, in order.

        ``source`` is where they were listed: ``tasks``, ``search`` or ``file``;
        when it is not said, ``file`` for what is named without a window.

        A null never overwrites a value, and an attribute of a row with an older
        ``updated_ms`` never overwrites one of a newer row.  Left out of the
        answer: tasks that are final, owed tasks whose ``next_ask_ms`` is still to
        come, and tasks this run was handed before, here or by `backlog`.  A task
        that had ``no_recording`` is taken up again when Webex now says
        ``capture_requested`` and did not before, and any task is due when its
        ``updated_ms`` grew, or its status, ``active`` or end is another one.
        ``patient`` leaves out what failed and is not due.
        """
        ...

    async def name_tasks(self, run_id: str, task_ids: Sequence[str]) -> None:
        """Put known tasks into the scope ``NamedFor(run_id)``.  May be called twice."""
        ...

    async def backlog(  # noqa: PLR0913 - what to take up has this many sides
        self,
        scope: Scope,
        *,
        now_ms: int,
        after: int = 0,
        limit: int = 500,
        only: Collection[Work] = ALL_WORK,
        due_only: bool = True,
        again: bool = False,
        patient: bool = False,
        open_since_ms: int | None = None,
    ) -> list[BacklogTask]:
        """Return up to ``limit`` tasks with work left, by ascending ``row``, beginning behind ``after``.

        ``due_only`` leaves out owed tasks whose ``next_ask_ms`` is still to come,
        ``patient`` what failed likewise.  Calls that go on (``still_open``) are left
        out when they were placed at ``open_since_ms`` or later; see `open_spans`.
        Tasks this run was handed before are left out unless ``again``.  An empty
        list is the end.
        """
        ...

    async def late(
        self, placed_in: Window, *, now_ms: int, after: int = 0, limit: int = 500, due_only: bool = True
    ) -> list[BacklogTask]:
        """Return tasks at rest that deserve a second look, as `backlog` does.

        Those are tasks with recordings whose ``next_ask_ms`` has come, or of which
        Search counts more recordings than came (without ``due_only``: at once).
        """
        ...

    async def leave_alone(self, seen: Sequence[LeftAlone], transcripts: Mapping[str, int]) -> None:
        """Note what was seen and left, and how many transcripts each known task has.  May be called twice."""
        ...

    async def oldest_work(  # noqa: PLR0913 - what to take up has this many sides
        self,
        scope: Everything | InPeriod,
        *,
        now_ms: int,
        after: BacklogTask | None = None,
        limit: int = 500,
        only: Collection[Work] = ALL_WORK,
        due_only: bool = True,
        patient: bool = False,
        open_since_ms: int | None = None,
    ) -> list[BacklogTask]:
        """As `backlog`, but by ascending place, so that what would be purged first comes first.

        A task without a place is in no answer; it is left to `backlog`.
        """
        ...

    async def open_spans(self, scope: Scope, *, now_ms: int, due_only: bool = True) -> list[Window]:
        """Return when calls that go on were created, as one window for each UTC day, ascending.

        They are listed again to learn whether they are over; ``due_only`` leaves
        out those whose ``next_ask_ms`` is still to come.
        """
        ...

    async def captured(self, task_id: str, recordings: Sequence[Recording], now_ms: int) -> KnownTask:
        """Note a task's recordings (at least one, else ValueError); see `captured_many`."""
        ...

    async def captured_many(
        self,
        captures: Mapping[str, Sequence[Recording]],
        now_ms: int,
        look_again: Mapping[str, int] = NOTHING,
        failing: Mapping[str, str] = NO_REASONS,
    ) -> dict[str, KnownTask]:
        """Note the recordings of several tasks in one change: new ones as LISTED, the state of known ones stays.

        But GONE, which is LISTED again: what captures names is not gone.  The
        times of what is STORED stay those of what was stored, so that whoever
        compares them with what is named now learns that it was changed.
        ``look_again`` says when a task deserves a second look, for those that do,
        ``failing`` names the reason of those that have failed, whatever is fetched of them.
        """
        ...

    async def known(self, task_id: str) -> KnownTask:
        """Return a task's recordings as they are known; none is an answer too."""
        ...

    async def known_many(self, task_ids: Sequence[str]) -> dict[str, KnownTask]:
        """Return several tasks as `known` does."""
        ...

    async def settle_task(  # noqa: PLR0913 - the facts of an answer
        self,
        task_id: str,
        state: TaskState,
        reason: str = "",
        *,
        now_ms: int,
        empty_answer: bool,
        next_ask_ms: int | None = None,
        evidence: str = "",
        named: int = 0,
    ) -> TaskState:
        """Note what became of a task without recordings, and return the state in force.

        ``named`` are recordings that were named and may not be fetched yet.

        ``state`` is NO_RECORDING, OWED or FAILED, else ValueError; what failed is
        due again after a while, unless ``next_ask_ms`` says when; ``evidence`` is
        what the state rests on, a stable word.  A task known
        to have recordings stays CAPTURED; only its answers are counted.
        """
        ...

    async def asked(self, task_ids: Sequence[str]) -> dict[str, AskedBefore]:
        """Return what is known of each task; unknown ones are left out."""
        ...

    async def started(self, task_id: str, recording_id: str, key: str, now_ms: int) -> None:
        """Note, before anything is sent to the bucket, that ``key`` is being written.  STORED and GONE stay."""
        ...

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str, now_ms: int) -> None:
        """Note an open multipart upload.  May be called twice."""
        ...

    async def completing(self, upload_id: str, size: int, crc32: int) -> None:
        """Note, before Complete is sent, what the object will be."""
        ...

    async def upload_gone(self, upload_id: str) -> None:
        """Forget an upload that was completed or aborted.  May be called twice."""
        ...

    async def stored(  # noqa: PLR0913 - the facts of a stored recording
        self,
        task_id: str,
        recording_id: str,
        obj: StoredObject,
        *,
        run_id: str,
        already: bool,
        main_place: bool,
        flags: Sequence[str] = (),
        now_ms: int,
        upload_id: str | None = None,
        span: tuple[int | None, int | None] | None = None,
    ) -> None:
        """Note a verified object; ``upload_id`` is forgotten in the same change.  The run must have been begun.

        ``span`` is start and stop of what was stored, where that is not what was
        stored before: a recording that Webex changed.

        ``already`` on a recording that is STORED keeps who stored it and when.
        A second holder of a task's main place is a LedgerError.
        """
        ...

    async def recording_failed(
        self, task_id: str, recording_id: str, reason: str, detail: str, now_ms: int, *, evidence: str = ""
    ) -> None:
        """Note a failure; STORED and GONE stay.  URLs and phone numbers are taken out of ``detail``."""
        ...

    async def recording_gone(self, task_id: str, recording_id: str, now_ms: int, *, evidence: str) -> None:
        """Note that Webex deleted the recording, and what says so (never nothing: ValueError); STORED stays."""
        ...

    async def open_uploads(self) -> list[OpenUpload]:
        """Return every upload that was created and not seen gone, oldest first."""
        ...

    async def started_keys(self) -> list[StartedKey]:
        """Return the recordings in state STARTED, in the order they were listed."""
        ...

    async def close(self) -> None:
        """Finish what is under way.  May be called twice; other calls then raise LedgerError."""
        ...
