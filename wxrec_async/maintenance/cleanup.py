"""Aborts what this tool left unfinished: multipart uploads that were begun and never completed.

They cost storage and show nowhere.  Those the ledger knows are ours for
certain; with `all_under_prefix` every old one below the key template's
constant prefix goes too, for when the ledger was lost.  Nothing outside the
prefix is ever touched.
"""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
from anyio import to_thread

from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError, HTTPStatusError, LedgerError
from wxrec_async.events import Emit, ignore
from wxrec_async.flow.summary import EXIT_AUTH, EXIT_FAILED, EXIT_OK, SUMMARY_SCHEMA
from wxrec_async.ledger import SqliteLedger
from wxrec_async.model import DAY_MS, OpenUpload, StoredObject
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys
from wxrec_async.rules.parts import same_object
from wxrec_async.wiring.bucket import is_denied, ledger_identity, open_bucket, open_ledger_of

AT_ONCE = 16
# The age at which the lifecycle rule that `doctor` recommends would abort them, too.
OLDER_THAN_S = 7 * DAY_MS / 1000
# No recording takes so long to store: an upload begun since may be one of a run that goes on elsewhere.
LIVE_MS = DAY_MS


class UploadFate(enum.StrEnum):
    """What became of an upload.

    ``FOUND``: it is there, nothing was done yet (or will be, in a dry run).
    ``COMPLETED``: it is an object meanwhile, the next run notes it.  ``LEFT``:
    it could not be aborted.  ``YOUNG``: under the prefix, and not old enough.
    """

    FOUND = "found"
    ABORTED = "aborted"
    COMPLETED = "completed"
    LEFT = "left_open"
    YOUNG = "too_young"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """An upload and what became of it; ``known`` when the ledger has it."""

    upload: OpenUpload
    fate: UploadFate
    known: bool


@dataclass(slots=True)
class CleanupReport:
    """What was done.  ``problems`` are listings that were refused, a sentence each."""

    dry_run: bool
    found: int = 0
    counts: Counter[UploadFate] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    denied: bool = False
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """Return 0, 3 when something could not be aborted or listed, 4 when that is for want of permission."""
        if self.denied:
            return EXIT_AUTH
        return EXIT_FAILED if self.problems or self.counts[UploadFate.LEFT] else EXIT_OK

    def as_json(self) -> dict[str, object]:
        """Return the summary line of ``--json``."""
        told = (UploadFate.ABORTED, UploadFate.COMPLETED, UploadFate.LEFT, UploadFate.YOUNG)
        return {
            "event": "summary",
            "schema": SUMMARY_SCHEMA,
            "dry_run": self.dry_run,
            "found": self.found,
            **{fate.value: self.counts[fate] for fate in told},
            "problems": self.problems,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }


class Uploads(Protocol):
    """The bucket, as far as unfinished uploads go."""

    async def open_uploads(self, prefix: str) -> list[OpenUpload]: ...

    async def abort(self, key: str, upload_id: str) -> bool: ...

    async def head(self, key: str) -> StoredObject | None: ...


OnUpload = Callable[[Cleaned], None]
Confirm = Callable[[int], Awaitable[None]]


async def _unasked(count: int) -> None:
    """Agree for those who know what runs elsewhere."""


def _unheard(cleaned: Cleaned) -> None:
    """Listen for those who only want the report."""


async def cleanup(  # noqa: PLR0913 - the command has these flags
    settings: Settings,
    *,
    all_under_prefix: bool = False,
    older_than_s: float = OLDER_THAN_S,
    dry_run: bool = False,
    on_upload: OnUpload = _unheard,
    confirm: Confirm = _unasked,
    emit: Emit = ignore,
    clock: Callable[[], float] = time.time,
) -> CleanupReport:
    """Abort unfinished uploads: those of the ledger, and with ``all_under_prefix`` every old one under the prefix.

    The ledger is held alone, so none of them belongs to a run that goes on on
    it; ``older_than_s`` keeps away from those of other machines.  ``on_upload``
    hears of each as ``FOUND`` before any is aborted, then what became of it.
    ``confirm`` is awaited before anything is aborted when uploads that the ledger
    does not know were begun within a day, with their number; it raises to refuse.
    Without a ledger only ``all_under_prefix`` is possible.  Raises
    `ConfigError`, `AuthError`, `LedgerError` or `RunStopped`.
    """
    # Before anything is opened: a template that names no prefix of ours is refused without a question to S3.
    prefix = _own_prefix(settings) if all_under_prefix else None
    begun, report = anyio.current_time(), CleanupReport(dry_run)
    async with AsyncExitStack() as stack:
        book = await _open_book(settings, stack, emit, needed=not all_under_prefix)
        bucket = await stack.enter_async_context(open_bucket(settings, emit))
        work = _Cleanup(bucket, book, report, on_upload)
        # Ours for certain come first: `find_under` meets them again, and there they might count as too young.
        await work.find_known()
        if prefix is not None:
            await work.find_under(prefix, round((clock() - older_than_s) * 1000))
        if not dry_run:
            if live := work.perhaps_alive(round(clock() * 1000) - LIVE_MS):
                await confirm(live)
            await work.abort_all()
    report.seconds = anyio.current_time() - begun
    return report


def _own_prefix(settings: Settings) -> str:
    prefix = keys.constant_prefix(settings.s3.key)
    # With an empty prefix every upload in the bucket would be listed, those of other programs too.
    if not prefix:
        raise ConfigError("[s3] key begins with a placeholder, so no prefix of the bucket is known to be ours alone")
    return prefix


async def _open_book(settings: Settings, stack: AsyncExitStack, emit: Emit, *, needed: bool) -> SqliteLedger | None:
    path = settings.ledger.path
    # Asked first, because opening makes a new, empty ledger where there is none.
    if not await to_thread.run_sync(path.exists):
        if needed:
            raise LedgerError(f"there is no ledger at {path}; name it with --ledger, or say --all-under-prefix")
        return None
    identity = await ledger_identity(settings)
    return await stack.enter_async_context(open_ledger_of(settings, identity.org_id, emit))


class _Cleanup:
    def __init__(self, bucket: Uploads, book: SqliteLedger | None, report: CleanupReport, on_upload: OnUpload) -> None:
        self._bucket, self._book, self._report, self._on_upload = bucket, book, report, on_upload
        self._found: dict[str, Cleaned] = {}

    async def find_known(self) -> None:
        """Find what the ledger has, and what may lie under the keys it began to write."""
        if self._book is None:
            return
        for upload in await self._book.open_uploads():
            self._add(upload, known=True)
        # Who was killed between CreateMultipartUpload and its answer wrote the key down, and never learned the id.
        begun = {row.key for row in await self._book.started_keys()}

        async def search(key: str) -> None:
            for upload in await self._listed(key):
                # S3 lists by prefix: the uploads of ``a/b-2.wav`` come with those of ``a/b``.
                if upload.key == key:
                    self._add(upload, known=True)

        await each_of(sorted(begun), search, AT_ONCE)

    async def find_under(self, prefix: str, begun_before_ms: int) -> None:
        """Find every upload under ``prefix`` that was begun before; one whose age is not told counts as young."""
        for upload in await self._listed(prefix):
            if upload.upload_id in self._found or not upload.key.startswith(prefix):
                continue
            # Without the ledger's word only age tells a dead upload from that of another machine at work.
            if upload.started_ms is not None and upload.started_ms < begun_before_ms:
                self._add(upload, known=False)
            else:
                self._tell(Cleaned(upload, UploadFate.YOUNG, known=False))

    def perhaps_alive(self, begun_after_ms: int) -> int:
        """Count what was found that the ledger does not know and that was begun after a moment."""
        found = (each for each in self._found.values() if not each.known)
        return sum((each.upload.started_ms or 0) > begun_after_ms for each in found)

    async def abort_all(self) -> None:
        """Abort what was found."""
        await each_of(list(self._found.values()), self._settle, AT_ONCE)

    async def _settle(self, cleaned: Cleaned) -> None:
        upload = cleaned.upload
        # Complete may have been carried out and its answer lost.  Then the row stays in the ledger: by it the next
        # run notes the recording as stored, instead of fetching it again.
        if await self._completed(upload):
            fate = UploadFate.COMPLETED
        elif await self._bucket.abort(upload.key, upload.upload_id):
            fate = UploadFate.ABORTED
            # After S3 has confirmed it, never before: a row that is forgotten is an upload nobody looks for again.
            if self._book is not None:
                await self._book.upload_gone(upload.upload_id)
        else:
            fate = UploadFate.LEFT
        self._tell(replace(cleaned, fate=fate))

    async def _completed(self, upload: OpenUpload) -> bool:
        """Say whether the upload became the object it was to be: then the ledger keeps it for the next run to note."""
        if upload.size is None or upload.crc32 is None:
            return False
        try:
            found = await self._bucket.head(upload.key)
        except (HTTPStatusError, OperationFailed):
            # Not known, so it is aborted; should it be an object after all, S3 leaves that alone.
            return False
        return found is not None and bool(same_object(found, size=upload.size, crc=upload.crc32))

    async def _listed(self, prefix: str) -> list[OpenUpload]:
        try:
            return await self._bucket.open_uploads(prefix)
        except OperationFailed as given_up:
            if is_denied(given_up):
                self._report.denied = True
                words = "uploads cannot be listed (s3:ListBucketMultipartUploads is needed)"
            else:
                words = f"uploads under {prefix} cannot be listed: {given_up.trouble}"
            # Where listing is denied, it is denied for every key: one sentence says it.
            if words not in self._report.problems:
                self._report.problems.append(words)
            return []

    def _add(self, upload: OpenUpload, *, known: bool) -> None:
        if upload.upload_id not in self._found:
            self._found[upload.upload_id] = cleaned = Cleaned(upload, UploadFate.FOUND, known)
            self._report.found += 1
            self._tell(cleaned)

    def _tell(self, cleaned: Cleaned) -> None:
        self._report.counts[cleaned.fate] += 1
        self._on_upload(cleaned)
