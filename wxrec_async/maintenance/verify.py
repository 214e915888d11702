"""Does the bucket hold what the ledger says?

Every recording the ledger calls stored is looked for, a bounded number at once,
page by page, so that a million of them need no more memory than a thousand.
Nothing is written unless marking is asked for, and the bucket never is.
"""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio

from wxrec_async.config import BackfillSettings, Settings
from wxrec_async.errors import AuthError, HTTPStatusError, RunStopped
from wxrec_async.events import Emit, ignore
from wxrec_async.flow.summary import EXIT_AUTH, EXIT_FAILED, EXIT_OK, SUMMARY_SCHEMA
from wxrec_async.ledger import StoredRow, open_reader
from wxrec_async.model import StoredObject, Window, iso
from wxrec_async.plumbing.for_each import each_fed
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys
from wxrec_async.rules.parts import strong_etag
from wxrec_async.s3.api import ObjectDigest
from wxrec_async.wiring.bucket import is_denied, ledger_identity, open_bucket, open_ledger_of

# Rows of the ledger that are in memory at once.
PAGE = 1000
# Findings that the report keeps; `on_finding` hears of every one, the summary counts them all.
KEPT = 1000


class Level(enum.StrEnum):
    """How close to look.

    ``HEAD`` believes the size and checksum that S3 names, which were computed
    when the object was written; ``FULL`` reads every byte back.
    """

    HEAD = "head"
    FULL = "full"


class ObjectVerdict(enum.StrEnum):
    """What became of an object; ``UNKNOWN`` when S3 does not let us know."""

    OK = "ok"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


# UNKNOWN is not among them: what S3 did not let us see is no finding, and never becomes work.
REASONS = {ObjectVerdict.MISSING: "missing_in_bucket", ObjectVerdict.DIFFERENT: "differs_in_bucket"}


@dataclass(frozen=True, slots=True)
class ObjectFinding:
    """One stored recording, held against the bucket.

    ``what`` names what differs (``size``, ``crc32``, ``bytes``: those read back,
    ``ids``: the metadata names another recording), ``detail`` says it in a
    sentence.  ``marked`` when the ledger now takes the recording for work.
    """

    row: StoredRow
    verdict: ObjectVerdict
    what: tuple[str, ...] = ()
    detail: str = ""
    denied: bool = False
    marked: bool = False
    bytes_read: int = 0


@dataclass(slots=True)
class VerifyReport:
    """What was found.  ``findings`` are the first thousand that are not ok; ``bytes_read`` counts what was read back.

    ``denied`` are those of ``unknown`` for which S3 refused permission.
    """

    level: Level
    period: Window | None = None
    counts: Counter[ObjectVerdict] = field(default_factory=Counter)
    denied: int = 0
    marked: int = 0
    bytes_read: int = 0
    seconds: float = 0.0
    findings: list[ObjectFinding] = field(default_factory=list)

    @property
    def checked(self) -> int:
        return self.counts.total()

    @property
    def wrong(self) -> int:
        return self.checked - self.counts[ObjectVerdict.OK]

    @property
    def exit_code(self) -> int:
        """Return 0 when all is well, 4 when a permission is missing, 3 when anything is wrong or not known."""
        if self.denied:
            return EXIT_AUTH
        return EXIT_FAILED if self.wrong else EXIT_OK

    def add(self, finding: ObjectFinding) -> None:
        """Count one."""
        self.counts[finding.verdict] += 1
        self.denied += finding.denied
        self.marked += finding.marked
        self.bytes_read += finding.bytes_read
        if finding.verdict is not ObjectVerdict.OK and len(self.findings) < KEPT:
            self.findings.append(finding)

    def as_json(self) -> dict[str, object]:
        """Return the summary line of ``--json``."""
        return {
            "event": "summary",
            "schema": SUMMARY_SCHEMA,
            "level": self.level.value,
            "from": iso(self.period.from_ms) if self.period else None,
            "to": iso(self.period.to_ms) if self.period else None,
            "checked": self.checked,
            **{verdict.value: self.counts[verdict] for verdict in ObjectVerdict},
            "denied": self.denied,
            "marked": self.marked,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }


class ObjectInspector(Protocol):
    """The bucket, as far as looking goes."""

    async def head(self, key: str) -> StoredObject | None: ...

    async def digest(self, key: str, size: int) -> ObjectDigest: ...


class StoredRows(Protocol):
    """The ledger, as far as reading goes."""

    async def stored_rows(
        self, period: Window | None = None, *, after: StoredRow | None = None, limit: int = 1000
    ) -> list[StoredRow]: ...


Mark = Callable[[StoredRow, str, str], Awaitable[bool]]
FillIn = Callable[[StoredRow, str], Awaitable[bool]]
OnFinding = Callable[[ObjectFinding], None]


def _unheard(finding: ObjectFinding) -> None:
    """Listen for those who only want the report."""


async def verify(  # noqa: PLR0913 - the command has these flags
    settings: Settings,
    *,
    level: Level = Level.HEAD,
    period: Window | None = None,
    mark: bool = False,
    on_finding: OnFinding = _unheard,
    emit: Emit = ignore,
    clock: Callable[[], float] = time.time,
) -> VerifyReport:
    """Look at every recording stored in ``period`` (default: all) and say what the bucket has of it.

    Without ``mark`` the ledger is only read, also beside a run.  With it the
    ledger is held alone, a SHA-256 that it does not know is filled in from bytes
    that were read back, and a recording that is missing or differs becomes
    work for the next run; one that differs is named by that run as a conflict,
    never overwritten.  ``on_finding`` hears of every object.  Raises
    `ConfigError`, `AuthError`, `LedgerError` or `RunStopped` when it cannot begin
    or go on.
    """
    # The ledger's own bucket is compared first: against another bucket everything would be missing.
    identity = await ledger_identity(settings)
    async with open_bucket(settings, emit) as bucket:
        if not mark:
            async with open_reader(settings.ledger.path) as reader:
                return await _Verification(bucket, reader, level, on_finding).run(period, settings.backfill)
        async with open_ledger_of(settings, identity.org_id, emit) as ledger:

            async def marked(row: StoredRow, reason: str, detail: str) -> bool:
                if reason == REASONS[ObjectVerdict.MISSING]:
                    await bucket.check_bucket()  # HEAD says 404 for a bucket that is gone, too
                return await ledger.lost(row, reason, detail, round(clock() * 1000))

            verification = _Verification(bucket, ledger, level, on_finding, mark=marked, fill_in=ledger.note_sha256)
            return await verification.run(period, settings.backfill)


class _Verification:
    def __init__(
        self,
        bucket: ObjectInspector,
        rows: StoredRows,
        level: Level,
        on_finding: OnFinding,
        *,
        mark: Mark | None = None,
        fill_in: FillIn | None = None,
    ) -> None:
        self._comparison, self._rows, self._level = Comparison(bucket, level, fill_in), rows, level
        self._on_finding, self._mark = on_finding, mark

    async def run(self, period: Window | None, limits: BackfillSettings) -> VerifyReport:
        report, begun = VerifyReport(self._level, period), anyio.current_time()

        async def feed(put: Callable[[StoredRow], Awaitable[None]]) -> None:
            last: StoredRow | None = None
            # On from the last row, not by an offset: marking takes rows out of this very list while it is read.
            while page := await self._rows.stored_rows(period, after=last, limit=PAGE):
                for row in page:
                    await put(row)
                last = page[-1]

        async def work(row: StoredRow) -> None:
            # Marked, told and counted before the streak is looked at: the one that ends it is in the report as well.
            finding = await self._marked(await self._judge(row))
            report.add(finding)
            self._on_finding(finding)
            self._comparison.check_streak(finding, limits.max_failures_in_row)

        await each_fed(feed, work, limits.concurrency)
        report.seconds = anyio.current_time() - begun
        return report

    async def _marked(self, finding: ObjectFinding) -> ObjectFinding:
        reason = REASONS.get(finding.verdict)
        if self._mark is None or reason is None:
            return finding
        return replace(finding, marked=await self._mark(finding.row, reason, finding.detail))

    async def _judge(self, row: StoredRow) -> ObjectFinding:
        return await self._comparison.judge(row)


class Comparison:
    """Holds one stored recording against the bucket, as closely as ``level`` says.

    ``fill_in`` hears of the SHA-256 of sound bytes that were read back and had none.
    """

    def __init__(self, bucket: ObjectInspector, level: Level, fill_in: FillIn | None = None) -> None:
        self._bucket, self._level, self._fill_in = bucket, level, fill_in
        self._streak = 0

    async def judge(self, row: StoredRow) -> ObjectFinding:
        """Say what the bucket has of it; UNKNOWN when S3 does not let us look, never an exception of one object."""
        try:
            return await self._compare(row)
        except (HTTPStatusError, OperationFailed) as failure:
            trouble = failure.trouble if isinstance(failure, OperationFailed) else failure
            # HEAD had found it: only reading it back meets a 404 as a failure.
            if isinstance(trouble, HTTPStatusError) and trouble.status == 404:
                return ObjectFinding(row, ObjectVerdict.MISSING, detail="it was deleted while it was looked at")
            return ObjectFinding(row, ObjectVerdict.UNKNOWN, detail=f"S3 {trouble}", denied=is_denied(failure))

    async def _compare(self, row: StoredRow) -> ObjectFinding:
        found = await self._bucket.head(row.key)
        if found is None:
            return ObjectFinding(row, ObjectVerdict.MISSING, detail="there is no such object")
        differences = differing(row, found)
        read = 0
        # The bytes are read when they can still say something: never when size or checksum have convicted the object
        # already, always at FULL, and at HEAD only where the description proves nothing (see `proven`).
        if not (differences.keys() & {"size", "crc32"}) and (self._level is Level.FULL or not proven(row, found)):
            digest = await self._bucket.digest(row.key, found.size)
            read = digest.size
            differences |= differing_bytes(row, found, digest)
            # Of bytes that were found sound only: a SHA-256 in the ledger goes into certificates.
            if not differences and self._fill_in is not None and row.sha256 is None:
                await self._fill_in(row, digest.sha256)
        if not differences:
            return ObjectFinding(row, ObjectVerdict.OK, bytes_read=read)
        detail = "; ".join(differences.values())
        return ObjectFinding(row, ObjectVerdict.DIFFERENT, tuple(differences), detail, bytes_read=read)

    def check_streak(self, finding: ObjectFinding, most: int) -> None:
        """Stop when so many in a row cannot be known that the fault must be everybody's."""
        # Missing and different are answers; UNKNOWN in a row is a missing permission or an outage.
        self._streak = self._streak + 1 if finding.verdict is ObjectVerdict.UNKNOWN else 0
        if self._streak >= most:
            words = f"{self._streak} objects in a row could not be looked at, the last one because {finding.detail}"
            raise AuthError(words) if finding.denied else RunStopped(words)


def differing(row: StoredRow, found: StoredObject) -> dict[str, str]:
    """Return what of an object's description contradicts the ledger, with a sentence each.

    An object without our metadata says nothing of ids: one that was there
    before, with the same bytes, counts as stored.
    """
    differences = {}
    if found.size != row.size:
        differences["size"] = f"it has {found.size} bytes, not {row.size}"
    # Not every store names a checksum, and not every row has one: what one side does not say contradicts nothing.
    if found.crc32 is not None and row.crc32 is not None and found.crc32 != row.crc32:
        differences["crc32"] = f"its CRC-32 is {found.crc32:08x}, not {row.crc32:08x}"
    # With right bytes under a wrong name, the key was written by somebody else, or for another recording.
    if keys.is_labelled(found.metadata) and not keys.names(found.metadata, row.task_id, row.recording_id):
        task, recording = found.metadata["wx-task-id"], found.metadata["wx-recording-id"]
        differences["ids"] = f"its metadata names task {task[:100]} recording {recording[:100]}"
    return differences


def proven(row: StoredRow, found: StoredObject) -> bool:
    """Say whether the description alone shows the same bytes: by checksum, else by ETag, as far as the ledger has one.

    Some stores name no checksum; S3 changes the ETag whenever an object is written with other bytes.
    """
    if row.crc32 is None or found.crc32 is not None:
        return True
    return bool(row.etag) and strong_etag(row.etag) == strong_etag(found.etag)


def differing_bytes(row: StoredRow, found: StoredObject, read: ObjectDigest) -> dict[str, str]:
    """Return what the bytes read back contradict."""
    wanted = row.crc32 if row.crc32 is not None else found.crc32
    # Size first: with bytes missing every checksum differs as well, and says less.
    if read.size != row.size:
        return {"bytes": f"{read.size} bytes were read back, not {row.size}"}
    if wanted is not None and read.crc32 != wanted:
        return {"bytes": f"the CRC-32 of its bytes is {read.crc32:08x}, not {wanted:08x}"}
    if row.sha256 is not None and read.sha256 != row.sha256:
        return {"bytes": f"the SHA-256 of its bytes is {read.sha256}, not {row.sha256}"}
    return {}
