"""From what captures answered to what is transferred, and where: pure but for one look at the bucket.

Whoever works (a worker of `orchestrator`, one of a fleet, `reconcile`) reads an
answer, places what is open of it and carries it by the functions here, so that a
recording gets the same name, the same key and the same flags everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wxrec_async.config import Settings
from wxrec_async.model import Capture, Failed, Kind, Outcome, Recording, Task, TransferSpec
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys, selection
from wxrec_async.rules.finality import EmptyAnswers
from wxrec_async.rules.identity import ChangePolicy, Identified, Known, identified, marked
from wxrec_async.rules.selection import WaitPolicy

CAPTURES_BATCH = 10  # tasks that one call to captures may ask for
NOTHING_NAMED = Identified(())


class CapturesResult(Protocol):
    """Every task asked for is in one of the two: what Webex has of it, or why it could not be asked."""

    @property
    def captures(self) -> Mapping[str, Capture]: ...

    @property
    def failed(self) -> Mapping[str, str]: ...


class KeyOwners(Protocol):
    """The bucket, as far as finding out who holds a key goes: `transfer.Transfer`."""

    async def key_owner(self, key: str) -> str | None: ...


class RecordingUploader(Protocol):
    """Whoever stores one recording: `transfer.Transfer`."""

    async def carry(self, order: TransferSpec) -> Outcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """By what an answer is read and its recordings are placed.

    ``kinds`` are those wanted besides audio, ``metadata`` goes with every object.

    What the rules want to have in another form than ``settings`` stands beside them (`flow.policies`).
    """

    settings: Settings = field(default_factory=Settings)
    ages: WaitPolicy = field(default_factory=WaitPolicy)
    changed: ChangePolicy = ChangePolicy.BESIDE
    kinds: frozenset[Kind] = frozenset()
    key_template: str = "call-detail/{task_id}/recording{ext}"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Before:
    """What was known of a task before captures was asked: when it was seen first, and what is ``stored`` of it.

    ``unstored`` are recordings that earlier answers named and that are not at rest (`rules.identity`).
    """

    first_seen_ms: int | None = None
    stored: Mapping[str, Known] = field(default_factory=dict)
    holder: str | None = None
    unstored: Mapping[str, Known] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """What captures said of one task.

    ``beside`` is id and kind of what it named that was not asked for, ``unsettled`` why it
    proves nothing about what it does not name.  With ``goes_on`` the call may not be
    over, so that nothing of it is fetched yet.  ``earlier`` are ids that only an
    earlier answer named.
    """

    task: Task
    named: Identified = NOTHING_NAMED
    beside: Sequence[tuple[str, str]] = ()
    unsettled: str = ""
    goes_on: bool = False
    earlier: frozenset[str] = frozenset()

    @property
    def transcripts(self) -> int:
        """How many of the recordings are transcripts."""
        return sum(each.kind is Kind.TRANSCRIPT for each in self.named.recordings)

    @property
    def offered(self) -> set[str]:
        """The ids that can be had now, also of what is not wanted by now and was before."""
        return ({each.id for each in self.named.recordings} - self.earlier) | {name for name, _ in self.beside}


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the open recordings of a task go; ``unplaced`` could not be given a place, and why."""

    orders: Sequence[TransferSpec] = ()
    unplaced: Sequence[tuple[Recording, Failed]] = ()


def read_answer(task: Task, capture: Capture, before: Before, rules: Rules, now_ms: int) -> TaskAnswer:
    """Tell what is to be fetched of an answer, each recording under an id of its own; nothing while the call goes on.

    ``now_ms`` is milliseconds since the epoch.  A task without a first sight is seen now.
    """
    wanted = selection.wanted_recordings(capture, include_segments=rules.settings.webex.include_segments)
    beside = [(each.id, each.kind) for each in capture.attachments]
    seen = EmptyAnswers(now_ms if before.first_seen_ms is None else before.first_seen_ms)
    # What captures names of a call that goes on may still grow, and what is stored would stay as it was then.
    if wanted and selection.while_it_goes_on(task, wanted, seen, rules.ages, now_ms):
        # Under the ids as they came: nothing is fetched yet, so there is nothing to tell apart.
        return TaskAnswer(task, Identified(tuple(wanted)), beside, capture.unsettled, goes_on=True)
    named = identified(wanted, before.stored, rules.changed, before.unstored)
    return TaskAnswer(task, named, beside, capture.unsettled)


def open_recordings(named: Identified, settled: Collection[str], done: Collection[str] = ()) -> list[Recording]:
    """Return what is left to do: neither ``done`` in this run nor ``settled`` before it, but what is replaced."""
    settled = (set(settled) - named.replacing) | set(done)
    return [each for each in named.recordings if each.id not in settled]


async def place(
    answer: TaskAnswer, left: Sequence[Recording], holder: str | None, rules: Rules, bucket: KeyOwners, now_ms: int
) -> Placed:
    """Give each recording that is ``left`` of a task its place; who holds the main place keeps it.

    The bucket is asked when ``holder`` is not known: the ledger may have been lost,
    and the first recording to come was another one.
    """
    task, named = answer.task, answer.named.recordings
    try:
        # A recording that is alone takes the main place without a question: the condition of its
        # write finds out who is there.
        if holder is None and len(keys.audio_of(named)) > 1:
            holder = await _holder_in_bucket(task, named, rules, bucket)
    except OperationFailed as given_up:
        return Placed(unplaced=[(each, Failed("bucket_unreadable", str(given_up))) for each in left])
    # All that is named is placed and then what is done is left out: a place must not depend on what is left.
    placed = keys.plan_transfers(task, named, template=rules.key_template, holder=holder, base=rules.metadata)
    flags = (selection.NEVER_ENDED,) if selection.never_ended(task, rules.ages, now_ms) else ()
    return Placed([marked(order, answer.named, flags) for order in placed if order.recording in left])


async def _holder_in_bucket(task: Task, recordings: Sequence[Recording], rules: Rules, bucket: KeyOwners) -> str | None:
    """Return which of several recordings lies under the task's main key; `OperationFailed` when it cannot be seen."""
    by_encoded_id = {keys.encode_id(each.id): each.id for each in recordings}
    # One for each extension among them: which of the recordings came first is what we want to know.
    for key in keys.main_keys(task, recordings, template=rules.key_template):
        if (occupant := await bucket.key_owner(key)) in by_encoded_id:
            return by_encoded_id[occupant]
    return None


async def carry(order: TransferSpec, carrier: RecordingUploader) -> Outcome:
    """Store one recording; one without a URL has failed by the name of its problem."""
    if order.recording.url is None:
        return Failed(order.recording.problem or "no_url")
    return await carrier.carry(order)
