"""What happened, as frozen records, and `RunTotals`, which folds them into numbers.

The flow emits events through one plain callable, ``Emit``.  It is called in the
event loop and must not block or raise.  Who listens (terminal, JSON lines, logs,
metrics, an embedding service) is none of the flow's business.  No event carries a
URL, a token, a phone number or an e-mail address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from wxrec_async.model import Kind, Window


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run begins.  ``period`` is None when task ids were given instead."""

    run_id: str
    period: Window | None
    windows: int
    concurrency: int
    memory_ceiling_mib: int


@dataclass(frozen=True, slots=True)
class Clamped:
    """Something that was asked for cannot be had; ``message`` says what is done instead."""

    message: str


@dataclass(frozen=True, slots=True)
class PageListed:
    window: Window
    rows: int
    new: int


@dataclass(frozen=True, slots=True)
class TasksLeftOut:
    """The filters left tasks alone.  ``window`` is None for those that an earlier run listed."""

    window: Window | None
    tasks: int


@dataclass(frozen=True, slots=True)
class WindowListed:
    """Every page of the window was read; ``closed`` when it never needs to be listed again."""

    window: Window
    closed: bool


@dataclass(frozen=True, slots=True)
class WindowIncomplete:
    """The window could not be listed to its end; what was seen of it is worked on all the same."""

    window: Window
    reason: str


@dataclass(frozen=True, slots=True)
class CapturesAsked:
    tasks: int
    recordings: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TaskSettled:
    """A task without recordings came to rest: ``state`` is ``no_recording``, ``owed`` or ``failed``."""

    task_id: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SeenAndLeft:
    """Webex has more that is not ours to move: ``count`` contacts of a channel, transcripts or screens, by ``kind``."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Polled:
    """A follower has ended round ``number`` (from 1) and waits until ``next_ms``, epoch milliseconds.

    Before ``caught_up_ms`` everything listed has come to rest; 0 while that
    cannot be told.  ``exit_code`` is the round's, ``owed`` and ``failed`` count
    tasks and recordings of the whole ledger.
    """

    run_id: str
    number: int
    exit_code: int
    stored: int
    owed: int
    failed: int
    caught_up_ms: int
    next_ms: int


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    task_id: str
    recording_id: str


@dataclass(frozen=True, slots=True)
class RecordingStored:
    """The object is in the bucket, whole and verified.

    ``already`` when an equal object was there before this run; ``flags`` name
    what was odd and stored all the same.
    """

    task_id: str
    recording_id: str
    key: str
    size: int
    crc32: int
    seconds: float
    already: bool = False
    flags: tuple[str, ...] = ()
    kind: str = Kind.AUDIO.value


@dataclass(frozen=True, slots=True)
class RecordingFailed:
    task_id: str
    recording_id: str
    reason: str
    detail: str = ""
    kind: str = Kind.AUDIO.value


@dataclass(frozen=True, slots=True)
class RecordingGone:
    """Webex deleted the recording."""

    task_id: str
    recording_id: str
    kind: str = Kind.AUDIO.value


@dataclass(frozen=True, slots=True)
class Retrying:
    """An operation will be tried again; ``operation`` is one of a few stable names."""

    operation: str
    attempt: int
    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Paused:
    """Everybody waits: ``after_s`` seconds, because of ``reason``."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class TokenRefreshed:
    """``expires_at`` is seconds since the epoch."""

    expires_at: float


@dataclass(frozen=True, slots=True)
class Warned:
    """A thing the operator should know; ``code`` is stable, ``message`` is one line."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Gauges:
    """How full the run is: tasks queued, recordings that wait for a worker, recordings being stored.

    ``requests`` went to Webex's API since the last such event of the run, which
    is ``budget_used`` of what was allowed in that time, from 0 to 1.  It comes
    every few seconds and once more when the run is over, however it ended; then
    all but ``requests`` are 0.
    """

    queue_depth: int
    waiting_orders: int
    in_flight: int
    requests: int
    budget_used: float


@dataclass(frozen=True, slots=True)
class Draining:
    """No new work is taken; what is in flight may finish within ``grace_s``."""

    reason: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class UploadLeftOpen:
    """A multipart upload of ours could not be aborted."""

    key: str
    upload_id: str


Event = (
    RunStarted
    | Clamped
    | PageListed
    | TasksLeftOut
    | WindowListed
    | WindowIncomplete
    | CapturesAsked
    | TaskSettled
    | SeenAndLeft
    | Polled
    | RecordingStarted
    | RecordingStored
    | RecordingFailed
    | RecordingGone
    | Retrying
    | Paused
    | TokenRefreshed
    | Warned
    | Gauges
    | Draining
    | UploadLeftOpen
)
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Be the listener of those who do not listen."""


@dataclass(slots=True)
class RunTotals:
    """A running count over events, for progress; the ledger's counts are what the summary is made of."""

    tasks_listed: int = 0
    tasks_settled: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    recordings_found: int = 0
    stored: int = 0
    already_stored: int = 0
    failed: int = 0
    gone: int = 0
    bytes: int = 0
    retries: int = 0
    captures_calls: int = 0
    windows: int = 0
    windows_listed: int = 0
    windows_incomplete: int = 0
    in_flight: int = 0

    def add(self, event: Event) -> None:
        """Fold one event in."""
        match event:
            # Every round of a follower begins so: its windows are counted anew, all else goes on.
            case RunStarted(windows=windows):
                self.windows, self.windows_listed, self.windows_incomplete = windows, 0, 0
            case PageListed(new=new):
                self.tasks_listed += new
            case WindowListed():
                self.windows_listed += 1
            case WindowIncomplete():
                self.windows_incomplete += 1
            case CapturesAsked(recordings=found):
                self.captures_calls += 1
                self.recordings_found += found
            case TaskSettled() | TasksLeftOut():
                self._add_done_with(event)
            case RecordingStarted():
                self.in_flight += 1
            case RecordingStored() | RecordingFailed() | RecordingGone():
                self.in_flight = max(0, self.in_flight - 1)  # some come to rest without having been begun
                self._add_outcome(event)
            case Retrying():
                self.retries += 1
            case _:
                pass

    def _add_done_with(self, event: TaskSettled | TasksLeftOut) -> None:
        if isinstance(event, TaskSettled):
            self.tasks_settled[event.state] += 1
            return
        self.left_out += event.tasks
        if event.window is not None:  # listed just now: they would seem to wait
            self.tasks_settled["left_out"] += event.tasks

    def _add_outcome(self, event: RecordingStored | RecordingFailed | RecordingGone) -> None:
        match event:
            # Before the next pattern, which would take it too: what was there already moved no bytes.
            case RecordingStored(already=True):
                self.already_stored += 1
            case RecordingStored(size=size):
                self.stored += 1
                self.bytes += size
            case RecordingFailed():
                self.failed += 1
            case RecordingGone():
                self.gone += 1
