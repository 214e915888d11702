"""The nouns: what the API lists, what is stored, and what became of it.

Every value here is frozen.  Times are integer milliseconds since the epoch,
UTC, because that is what the API speaks; they turn into ISO 8601 only where a
person reads them.  Fields that may carry a phone number, an e-mail address or
a secret are left out of ``repr``.

The way of one recording, in these words: a `Period` is cut into `Window`\\ s, a
window lists `Task`\\ s, up to ten tasks are asked for their `Capture`\\ s, a
capture holds `Recording`\\ s, a recording becomes an `TransferSpec` (where it shall
lie), its bytes become `Part`\\ s, and the parts one `StoredObject`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
# Days here are UTC days, which are all of one length.
DAY_MS = 24 * HOUR_MS


class Secret:
    """A text that leaves the process only to its addressee.

    It does not print, format, pickle or hash, and it compares only with
    another secret, in constant time.  ``reveal()`` is the one way to the text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; call it only where it is sent to its addressee."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        import hmac  # noqa: PLC0415 - only reached when two secrets are compared

        if not isinstance(other, Secret):
            return NotImplemented
        # As bytes: of texts compare_digest takes only those that are ASCII.
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash in a trace would let a short secret be guessed

    # copy.deepcopy and multiprocessing go by this one, too.
    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not pickle")


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open span of creation times, ``from_ms <= createdTime < to_ms``."""

    from_ms: int
    to_ms: int

    def __post_init__(self) -> None:
        if self.from_ms >= self.to_ms:
            raise ValueError("a window ends after it begins")

    def __str__(self) -> str:
        return f"{iso(self.from_ms)}/{iso(self.to_ms)}"

    @property
    def length_ms(self) -> int:
        return self.to_ms - self.from_ms


class Period(Window):
    """What the user asked for: a window of any length."""

    __slots__ = ()


class TaskState(enum.StrEnum):
    """What is known of a task.  Only ``NO_RECORDING`` and ``CAPTURED`` with all recordings at rest are final."""

    # Persisted: the ledger's columns and the JSON hold these very words.
    LISTED = "listed"
    CAPTURED = "captured"
    NO_RECORDING = "no_recording"
    OWED = "owed"
    FAILED = "failed"


class RecordingState(enum.StrEnum):
    """What became of a recording.  ``STORED`` and ``GONE`` are final; ``FAILED`` is taken up by the next run."""

    # Persisted, as the states of a task are.
    LISTED = "listed"
    STARTED = "started"
    STORED = "stored"
    FAILED = "failed"
    GONE = "gone"


class Kind(enum.StrEnum):
    """What a recording is: the call's sound, what was said in it or written, or what an agent's screen showed."""

    # Persisted, as the states are.
    AUDIO = "audio"
    TRANSCRIPT = "transcript"
    SCREEN = "screen"


FINAL_STATES = frozenset({RecordingState.STORED, RecordingState.GONE})


@dataclass(frozen=True, slots=True)
class Task:
    """One contact as ``GET /v1/tasks`` lists it.  Everything but ``id`` can be missing.

    ``capture_requested`` is true when a capture will come, false when none
    will, and None while Webex does not know yet.  ``active`` is ``isActive``:
    true while the contact goes on, None where Webex does not say.  ``origin_hash`` and
    ``destination_hash`` are those of `rules.phone_numbers`, where they are wanted.  ``said`` is a
    JSON object of whatever else Webex says of it (`rules.said`), None when that is nothing.
    """

    id: str
    channel_type: str | None = None
    status: str | None = None
    direction: str | None = None
    origin: str | None = field(default=None, repr=False)
    destination: str | None = field(default=None, repr=False)
    created_ms: int | None = None
    ended_ms: int | None = None
    updated_ms: int | None = None
    queue_id: str | None = None
    queue_name: str | None = None
    agent_id: str | None = None
    agent_name: str | None = field(default=None, repr=False)
    duration_ms: int | None = None
    capture_requested: bool | None = None
    active: bool | None = None
    reason_code: str | None = None
    origin_hash: str | None = None
    destination_hash: str | None = None
    said: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One answer of ``GET /v1/tasks``.

    ``rows`` counts what the server sent, ``unreadable`` the rows among them that
    had no usable id and are in no task; ``next_link`` is an absolute URL on the same host when the server names one.
    ``more`` when the answer says itself that it is not the end of the list.
    """

    tasks: tuple[Task, ...]
    rows: int
    # Cisco documents no link between pages; should one come all the same, it is followed.
    next_link: str | None = None
    tracking_id: str | None = None
    unreadable: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One contact as Search shows it: a second list, which Webex keeps apart from ``GET /v1/tasks``.

    ``recordings`` and ``bytes`` are how many recordings Webex has of it and how
    large they are together; ``deleted`` when they were deleted, ``active`` while
    the contact goes on.  None where Search does not say.
    """

    task: Task
    recordings: int | None = None
    bytes: int | None = None
    errors: int | None = None
    deleted: bool | None = None
    active: bool | None = None


class SearchState(enum.StrEnum):
    """How the second list was had, so that what rests on it can say so.

    ``PRESENT`` answered to the end of what was asked, ``PARTIAL`` not to the end
    or with errors beside its rows; ``ABSENT`` is not there at all (404, 405, 501
    to the first question), ``REFUSED`` is there and does not answer us;
    ``OUT_OF_REACH`` lies further back than Search looks; ``NOT_ASKED`` was not to be asked.
    """

    PRESENT = "present"
    ABSENT = "absent"
    REFUSED = "refused"
    PARTIAL = "partial"
    OUT_OF_REACH = "out_of_reach"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One answer of Search.

    ``rows`` counts what the server sent, ``unreadable`` the rows among them
    without a usable id; ``cursor`` asks for the page behind this one and is
    empty after the last.  ``trouble`` is what the answer says went wrong beside its rows.
    """

    witnesses: tuple[SearchRow, ...]
    rows: int
    cursor: str = ""
    unreadable: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class SearchCounts:
    """How many contacts Search counts in a window: those it calls recorded, or not, and those of which it says nothing.

    ``bytes`` is how large their recordings are together.
    """

    recorded: int = 0
    untold: int = 0
    unrecorded: int = 0
    bytes: int = 0

    @property
    def tasks(self) -> int:
        return self.recorded + self.untold + self.unrecorded


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of a task, mostly its sound, with the pre-signed URL it can be fetched from for a while.

    ``leased_at`` is the monotonic time (seconds) at which the URL was handed
    out and ``lease_s`` how long it is promised to live.  ``url`` is None when
    Webex named none, ``problem`` then says why it cannot be fetched.
    ``tracking_id`` is that of the answer which named the recording.  ``named_as`` is the
    id captures has for it where that is not enough to tell it from another one (`rules.identity`).
    ``said`` is a JSON object of whatever else captures says of it (`rules.said`), never a URL that can be fetched.
    """

    task_id: str
    id: str
    file_name: str = ""
    url: Secret | None = field(default=None, repr=False)
    start_ms: int | None = None
    stop_ms: int | None = None
    call_type: str | None = None
    segment: bool = False
    sensitive: bool | None = None
    channel1: str | None = field(default=None, repr=False)
    channel2: str | None = field(default=None, repr=False)
    participants: tuple[str, ...] = field(default=(), repr=False)
    leased_at: float = 0.0
    # Webex's longest `urlExpiration`, which is also what it takes when none is asked for.
    lease_s: float = 3600.0
    problem: str | None = None
    tracking_id: str | None = None
    named_as: str = ""
    said: str | None = field(default=None, repr=False)
    kind: Kind = Kind.AUDIO


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something captures names of a task that was not asked for, such as a transcript: it is counted and left there.

    ``id`` is the one it would be stored under, where its kind can be stored.
    """

    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Capture:
    """What ``POST /v1/captures/query`` answered for one task.

    No recordings is an answer too, unless ``unsettled`` says why this answer
    proves nothing about what it does not name: ``entry_missing`` (no entry for
    the task), ``list_missing`` (null, or no list, in place of its recordings),
    ``error_beside`` (the entry or the whole answer speaks of an error).
    Recordings that such an answer names are there all the same.
    """

    task_id: str
    recordings: tuple[Recording, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    unsettled: str = ""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """What was seen at Webex and is not ours to move.

    ``kind`` is ``transcript``, ``screen``, another word of captures', or the
    channel type of a contact that was not asked for; ``place_ms`` is when its
    contact was created.
    """

    id: str
    kind: str
    place_ms: int


@dataclass(frozen=True, slots=True)
class ObjectTarget:
    """Where an object goes and what is said about it.

    ``at_hand`` keeps it out of storage classes that must be restored before they can be read.
    """

    key: str
    content_type: str
    metadata: dict[str, str] = field(default_factory=dict)
    # For what is read back to be written again, or by whoever audits: a restore takes hours.
    at_hand: bool = False


@dataclass(frozen=True, slots=True)
class TransferSpec:
    """A recording that is to be stored.

    ``target`` is its place.  ``fallback`` is the place it takes when the bucket
    shows that another recording of the same task already holds ``target``.
    ``replaces`` when an earlier state of this recording may be overwritten there;
    ``flags`` are those that what is stored gets besides its own.
    """

    recording: Recording
    target: ObjectTarget
    fallback: ObjectTarget | None = None
    replaces: bool = False
    flags: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[ObjectTarget, ...]:
        """Every place it may come to lie in."""
        return (self.target,) if self.fallback is None else (self.target, self.fallback)


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive bytes of a recording, held as the chunks they came in.

    ``number`` counts from 1, ``size`` is in bytes, ``crc32`` is the CRC-32
    (ISO 3309, as zlib computes it) over exactly these bytes.
    """

    number: int
    chunks: Sequence[bytes | memoryview] = field(repr=False)
    size: int
    crc32: int


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """What S3 said of an uploaded part."""

    number: int
    etag: str
    crc32: int
    size: int


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store describes it.

    ``crc32`` is the full-object CRC-32 when the store knows one, ``checksums``
    all full-object checksums it names, base64 as S3 writes them, by algorithm.
    ``sha256`` is ours, in hex, when the bytes went through this process.
    """

    key: str
    size: int
    crc32: int | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    # Never taken for an MD5: multipart objects and those under SSE-KMS have another one.
    etag: str = ""
    version_id: str | None = None
    content_type: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    # S3 itself names the SHA-256 of a multipart object only as one over its parts' digests.
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A recording is in the bucket, whole and verified.

    ``already`` when an equal object was there before; ``main_place`` when it
    lies at the task's own key; ``upload_id`` names the multipart upload that
    made it; ``flags`` say what was odd and stored all the same.
    """

    object: StoredObject
    already: bool = False
    main_place: bool = True
    upload_id: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A recording could not be stored; ``reason`` is a stable word, ``detail`` a sentence without secrets.

    ``evidence`` is what speaks for a deletion and does not prove it alone: S3 itself said from a fresh URL that
    it has no such key (``no_such_key``) or has it no longer (``http_410``).
    """

    reason: str
    detail: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """Webex deleted the recording: ``evidence`` as in `Failed`, and captures, asked after it, names it no longer."""

    evidence: str = ""


Outcome = Stored | Failed | Gone


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    task_id: str = ""
    recording_id: str = ""
    size: int | None = None
    crc32: int | None = None
    started_ms: int | None = None


def iso(ms: int | None) -> str | None:
    """Write milliseconds since the epoch as ISO 8601 UTC (``2026-01-31T00:00:00Z``); None stays None."""
    if ms is None:
        return None
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")
