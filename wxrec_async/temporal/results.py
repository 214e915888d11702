"""What comes back from the machines of an engine; plain data as in `messages`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wxrec_async.model import Failed, Gone, Kind, Outcome, Recording, Stored, StoredObject
from wxrec_async.rules.finality import is_gone
from wxrec_async.rules.redact import mask_number, redact_text
from wxrec_async.rules.retry import Attempts
from wxrec_async.rules.said import harmless
from wxrec_async.temporal.messages import TaskToDo, fields_of

MOST_COUNT = 32
MOST_TEXT = 256


@dataclass(frozen=True, slots=True)
class NamedRecording:
    """A recording that captures named; ``earlier`` when it was an earlier attempt's answer that did.

    Numbers among its participants are masked; what captures says of it beyond its fields stays where it was heard.
    """

    id: str
    call_type: str | None = None
    start_ms: int | None = None
    stop_ms: int | None = None
    segment: bool = False
    tracking_id: str | None = None
    earlier: bool = False
    file_name: str = ""
    channel1: str | None = None
    channel2: str | None = None
    participants: list[str] = field(default_factory=list)
    sensitive: bool | None = None
    kind: str = Kind.AUDIO.value

    @classmethod
    def of(cls, recording: Recording) -> NamedRecording:
        call = redact_text(recording.call_type) if recording.call_type else recording.call_type
        return cls(
            recording.id,
            call,
            recording.start_ms,
            recording.stop_ms,
            recording.segment,
            recording.tracking_id,
            file_name=harmless(recording.file_name, mask_number),
            channel1=harmless(recording.channel1 or "", mask_number) or None,
            channel2=harmless(recording.channel2 or "", mask_number) or None,
            # More would fill the engine's histories; a call has a handful.
            participants=[harmless(each, mask_number)[:MOST_TEXT] for each in recording.participants[:MOST_COUNT]],
            sensitive=recording.sensitive,
            kind=recording.kind.value,
        )

    def recording(self, task_id: str) -> Recording:
        return Recording(
            task_id,
            self.id,
            start_ms=self.start_ms,
            stop_ms=self.stop_ms,
            call_type=self.call_type,
            segment=self.segment,
            tracking_id=self.tracking_id,
            file_name=self.file_name,
            channel1=self.channel1,
            channel2=self.channel2,
            participants=tuple(self.participants),
            sensitive=self.sensitive,
            kind=Kind(self.kind),
        )


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What captures had of one task; ``recordings`` is empty when it had nothing.

    ``beside`` is id and kind of what it named that is no audio.  ``unsettled`` is why
    the answer proves nothing about what it does not name, ``goes_on`` that the call
    may not be over, so that nothing of it was fetched.
    """

    todo: TaskToDo
    recordings: list[NamedRecording] = field(default_factory=list)
    beside: list[tuple[str, str]] = field(default_factory=list)
    unsettled: str = ""
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class TransferResult:
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
    evidence: str = ""
    content_type: str | None = None

    @classmethod
    def of(cls, recording: Recording, outcome: Outcome, seconds: float = 0.0) -> TransferResult:
        ids = (recording.task_id, recording.id)
        match outcome:
            case Stored(object=found):
                return cls(
                    *ids, "stored", found.key, found.size, found.crc32, found.sha256, found.etag, found.version_id,
                    outcome.already, outcome.main_place, list(outcome.flags), seconds=round(seconds, 3),
                    content_type=found.content_type,
                )  # fmt: skip
            case Failed(reason=reason, detail=detail, evidence=evidence):
                words = redact_text(detail)
                return cls(*ids, "failed", reason=reason, detail=words, seconds=round(seconds, 3), evidence=evidence)
            case Gone(evidence=evidence):
                return cls(*ids, "gone", seconds=round(seconds, 3), evidence=evidence)

    def outcome(self) -> Outcome:
        """Return it as a worker on this machine would have told it."""
        match self.kind:
            case "stored":
                return Stored(self.object(), self.already, self.main_place, flags=tuple(self.flags))
            case "gone" if is_gone(self.evidence, named=False, sound=True):
                return Gone(self.evidence)
            case "gone":  # a worker of an earlier release took any 404 for a deletion
                return Failed("not_found", "a 404 from the media host")
            case _:
                return Failed(self.reason, self.detail, self.evidence)

    def object(self) -> StoredObject:
        known = StoredObject(self.key, self.size, self.crc32, etag=self.etag, version_id=self.version_id)
        return replace(known, sha256=self.sha256, content_type=self.content_type)

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
    ``worker`` is named by one whose renewed token could not be stored: whether that
    is so now, ``token_unsaved`` says.
    """

    answers: list[AnswerRow] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    done: list[TransferResult] = field(default_factory=list)
    again: list[TaskToDo] = field(default_factory=list)
    halves: list[list[TaskToDo]] = field(default_factory=list)
    asked_s: float = 0.0
    left_open: list[LeftOpen] = field(default_factory=list)
    worker: str = ""
    token_unsaved: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; `read` reads it."""
        return {
            "answers": [
                {
                    "todo": fields_of(each.todo),
                    "recordings": [fields_of(one) for one in each.recordings],
                    "beside": each.beside,
                    # What is as it is by default stays at home (see `messages`).
                    **({"unsettled": each.unsettled} if each.unsettled else {}),
                    **({"goes_on": True} if each.goes_on else {}),
                }
                for each in self.answers
            ],
            "failed": self.failed,
            "done": [fields_of(each) for each in self.done],
            "again": [fields_of(each) for each in self.again],
            "halves": [[fields_of(each) for each in half] for half in self.halves],
            "asked_s": self.asked_s,
            "left_open": [fields_of(each) for each in self.left_open],
            **({"worker": self.worker, "token_unsaved": self.token_unsaved} if self.worker else {}),
        }

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> BatchOutcome:
        """Return what is to be written down: what comes back is for the engine to hand out again."""
        return cls(
            [
                AnswerRow(
                    TaskToDo.read(each["todo"]),
                    [NamedRecording(**one) for one in each["recordings"]],
                    [(named, kind) for named, kind in each["beside"]],
                    each.get("unsettled", ""),
                    each.get("goes_on", False),
                )
                for each in row["answers"]
            ],
            row["failed"],
            [TransferResult(**each) for each in row["done"]],
            asked_s=row["asked_s"],
            left_open=[LeftOpen(**each) for each in row["left_open"]],
            worker=row.get("worker", ""),
            token_unsaved=row.get("token_unsaved", False),
        )


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How far a piece of work is, for the engine to keep: the next attempt begins here instead of at the beginning.

    ``named`` is what captures named so far, by task: a later answer that names less takes nothing back.
    """

    tries: dict[str, int] = field(default_factory=dict)
    done: list[TransferResult] = field(default_factory=list)
    recordings: int = 0
    bytes: int = 0
    named: dict[str, list[NamedRecording]] = field(default_factory=dict)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> BatchProgress:
        """Return what was kept as JSON."""
        named = {task: [NamedRecording(**one) for one in each] for task, each in kept.get("named", {}).items()}
        return cls(**{**kept, "done": [TransferResult(**row) for row in kept.get("done", ())], "named": named})

    def plain(self) -> dict[str, Any]:
        """Return what `read` reads."""
        return {
            "tries": self.tries,
            "done": [fields_of(each) for each in self.done],
            "recordings": self.recordings,
            "bytes": self.bytes,
            "named": {task: [fields_of(one) for one in each] for task, each in self.named.items()},
        }

    def history(self) -> Attempts:
        """Return the failures so far as `rules.retry` counts them."""
        return Attempts(**{name: int(count) for name, count in self.tries.items()})

    def after(self, tries: Attempts) -> BatchProgress:
        # An outage is what this worker's network did; the next attempt may be on another machine.
        kept = {name: getattr(tries, name) for name in Attempts.__slots__ if name != "outage_s"}
        return replace(self, tries=kept)
