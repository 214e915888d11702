"""Certifies days: one certificate after the other, each on top of the one before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio
from isal.isal_zlib import crc32

from wxrec_async.errors import AuthError, HTTPStatusError, ObjectExists, RunStopped
from wxrec_async.evidence.chain import ChainBroken, count_certificates, keys_below, read_one
from wxrec_async.evidence.manifests import (
    EndedTasks,
    FileChanged,
    Lines,
    Made,
    Manifests,
    NoEndedTasks,
    manifest_lines,
    task_lines,
)
from wxrec_async.flow.operator import current_operator
from wxrec_async.ledger import CertificateRow, Identity, SqliteLedger
from wxrec_async.model import ObjectTarget, Part, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys
from wxrec_async.rules.evidence import (
    CERTIFICATE_TYPE,
    MANIFEST_TYPE,
    MAX_CERTIFICATE,
    Certificate,
    Claim,
    Content,
    Issue,
    Link,
    Places,
    TasksFile,
    Unsound,
    certificate,
    misplaced,
    read_certificate,
    whole_day,
)
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.wiring.bucket import is_denied

# S3 takes no part under 5 MiB but the last one.
PART_SIZE = 8 << 20
# Each lost round means that somebody else certified something, or that the ledger was written meanwhile.
MOST_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class _File:
    """A file that a certificate names, and what it is made of."""

    lines: Lines
    made: Made


@dataclass(frozen=True, slots=True)
class _Files:
    manifest: _File
    tasks: _File


async def open_issuer(
    bucket: S3ReadStore, ledger: SqliteLedger, *, part_size: int = PART_SIZE, clock: Callable[[], float] = time.time
) -> CertificateIssuer:
    """Return an issuer for the organisation and bucket the ledger belongs to; both stay the caller's to close."""
    return CertificateIssuer(bucket, ledger, await ledger.identity(), part_size=part_size, clock=clock)


class CertificateIssuer:
    """Writes manifests and certificates into the bucket, and after that into the ledger.

    Any number of machines may issue for one organisation: the next number in
    the chain is a key that only one of them can take.  ``clock`` is epoch seconds.
    """

    def __init__(
        self,
        bucket: S3ReadStore,
        ledger: SqliteLedger,
        identity: Identity,
        *,
        part_size: int = PART_SIZE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bucket, self._ledger, self._clock = bucket, ledger, clock
        self._identity = identity
        self._places = Places(keys.evidence_prefix(identity.key_template), identity.org_id)
        self._manifests = Manifests(bucket, part_size)
        # What is the last link is remembered from one await to the next.
        self._alone = anyio.Lock()
        self._last: CertificateRow | None = None
        self._caught_up = False

    async def certify(self, claim: Claim, ended: EndedTasks | None = None) -> str | None:
        """Certify a day as the ledger has it; return the certificate's key.

        None when the newest certificate of that day says exactly this already, and lies there with its files.
        ``ended`` pages through the tasks that have nothing to store.  Raises ValueError when the day is not one
        UTC day, `ChainBroken` when what lies in the bucket is no sound chain,
        `AuthError` or `RunStopped` when the bucket cannot be read or written, `LedgerError`.
        """
        whole_day(claim.day)
        async with self._alone:
            try:
                return await self._certify(claim, ended or NoEndedTasks())
            except (HTTPStatusError, OperationFailed) as failure:
                words = f"the evidence cannot be written: S3 {failure}"
                raise (AuthError(words) if is_denied(failure) else RunStopped(words)) from None

    async def _certify(self, claim: Claim, ended: EndedTasks) -> str | None:
        day = claim.day
        for _ in range(MOST_ROUNDS):
            await self._catch_up()
            files = _Files(
                await self._described(manifest_lines(self._ledger, day)), await self._described(task_lines(ended))
            )
            of_day = await self._ledger.certificates_of(day.from_ms)
            number = (of_day[-1].number if of_day else 0) + 1
            content = self._content(claim, files, number)
            abandoned = await self._unclaimed(day, of_day)
            # A manifest that nobody claims calls for a new certificate, though the day is the same: it names the
            # manifest as abandoned, or every audit from now on would ask where its certificate went.
            if of_day and of_day[-1].content_sha256 == content.sha256 and not abandoned:
                # What the ledger says was certified is worth something only while it lies in the bucket.
                await self._check_in_force(of_day[-1], files)
                return None
            try:
                row = await self._issue(content, files, of_day, abandoned, claim.run_id)
            except FileChanged:
                # Described from one state of the ledger, written from a later one: describe it again.
                continue
            if row is not None:
                # Bucket first: the ledger never knows of a certificate that is not there.
                await self._ledger.add_certificate(row)
                self._last = row
                return row.certificate_key
            self._caught_up = False  # somebody was faster: theirs is the one to stand on
        raise RunStopped("others kept certifying, or the ledger kept changing, and no certificate could be issued")

    async def _described(self, lines: Lines) -> _File:
        return _File(lines, await self._manifests.describe(lines))

    def _content(self, claim: Claim, files: _Files, number: int) -> Content:
        manifest, tasks = files.manifest.made, files.tasks.made
        return Content(
            org_id=self._identity.org_id,
            bucket=self._identity.bucket,
            day=claim.day,
            filters=claim.filters,
            counts=claim.counts,
            manifest_sha256=manifest.sha256,
            manifest_size=manifest.size,
            recordings=manifest.lines,
            basis=claim.basis,
            tasks=TasksFile(self._places.tasks(claim.day, number, tasks.sha256), tasks.sha256, tasks.size, tasks.lines),
        )

    async def _write(self, key: str, file: _File) -> None:
        await self._manifests.write(file.lines, self._target(key, MANIFEST_TYPE), file.made)

    async def _issue(
        self, content: Content, files: _Files, of_day: list[CertificateRow], abandoned: tuple[str, ...], run_id: str
    ) -> CertificateRow | None:
        """Write manifest, tasks and certificate; None when the certificate's number was taken meanwhile."""
        day, n = content.day, (self._last.n if self._last else 0) + 1
        number = (of_day[-1].number if of_day else 0) + 1
        manifest_key = self._places.manifest(day, number, files.manifest.made.sha256)
        tasks_key = self._places.tasks(day, number, files.tasks.made.sha256)
        # Before the certificate that names them.  Broken off in between, files are left that nobody claims, and the
        # day's next certificate says so; the other way round there would be a certificate of what is not there.
        await self._write(manifest_key, files.manifest)
        await self._write(tasks_key, files.tasks)
        issue = Issue(
            n=n,
            number=number,
            previous=_link(self._last),
            follows=_link(of_day[-1] if of_day else None),
            manifest_key=manifest_key,
            issued_ms=round(self._clock() * 1000),
            run_id=run_id,
            tool_version=current_operator().tool_version,
            # An attempt that was broken off may have left exactly these two: the key has the hash of the content.
            abandoned=tuple(key for key in abandoned if key not in (manifest_key, tasks_key)),
        )
        key, data = self._places.certificate(n), certificate(content, issue)
        if not await self._put(key, data):
            return None
        return _row(read_certificate(key, data))

    async def _put(self, key: str, data: bytes) -> bool:
        """Write a certificate; what lies there afterwards decides whether it is ours."""
        # An answer may have been lost, and the repetition met our own certificate; or somebody else has the number.
        # Both are ObjectExists, and only the bytes tell which: a certificate names its run.
        with suppress(ObjectExists):
            await self._bucket.put(self._target(key, CERTIFICATE_TYPE), Part(1, (data,), len(data), crc32(data)))
        return await self._bucket.read_small(key, MAX_CERTIFICATE) == data

    def _target(self, key: str, content_type: str) -> ObjectTarget:
        return ObjectTarget(key, content_type, {"wx-org-id": keys.encode_id(self._identity.org_id)}, at_hand=True)

    async def _catch_up(self) -> None:
        """Have the ledger know every certificate there is; it may be new, or others may have issued meanwhile."""
        # Listing all certificates again for every day would grow with the chain.
        if self._caught_up:
            return
        last = await self._ledger.last_certificate()
        count = await count_certificates(self._bucket, self._places)
        # The last one must still be there: with the end of the chain cut off, numbers would be given again.
        if last is not None:
            await self._check_known(last, count)
        for n in range((last.n if last else 0) + 1, count + 1):
            last = await self._learn(n, last)
        self._last, self._caught_up = last, True

    async def _check_known(self, last: CertificateRow, count: int) -> None:
        found = await self._read(last.certificate_key) if last.n <= count else None
        if found is None or found.sha256 != last.certificate_sha256:
            what = "is not in the bucket any more" if found is None else "is another one in the bucket now"
            raise ChainBroken(f"certificate {last.certificate_key}, which this ledger knows, {what}{_NOT_ON_THAT}")

    async def _check_in_force(self, row: CertificateRow, files: _Files) -> None:
        """See that nobody took away or changed what says that a day is proven."""
        found = await self._read(row.certificate_key)
        if found.sha256 != row.certificate_sha256:
            raise ChainBroken(f"certificate {row.certificate_key} is another one in the bucket now{_NOT_ON_THAT}")
        for key, file in ((row.manifest_key, files.manifest), (row.tasks_key, files.tasks)):
            if key and not await self._manifests.is_there(key, file.made):
                raise ChainBroken(f"manifest {key} is not in the bucket any more{_NOT_ON_THAT}")

    async def _learn(self, n: int, before: CertificateRow | None) -> CertificateRow:
        found = await self._read(self._places.certificate(n))
        of_day = await self._ledger.certificates_of(found.day.from_ms)
        newest = of_day[-1] if of_day else None
        number = (newest.number if newest else 0) + 1
        # Somebody else's, or of a ledger that was lost: checked as an audit does, before anything stands on it.
        wrong = misplaced(found, self._places, previous=_link(before), follows=_link(newest), number=number)
        if wrong:
            raise ChainBroken(f"certificate {found.key}: {wrong[0]}{_NOT_ON_THAT}")
        row = _row(found)
        await self._ledger.add_certificate(row)
        return row

    async def _read(self, key: str) -> Certificate:
        try:
            return await read_one(self._bucket, key)
        except Unsound as unsound:
            raise ChainBroken(f"certificate {key}: {unsound}{_NOT_ON_THAT}") from None

    async def _unclaimed(self, day: Window, of_day: list[CertificateRow]) -> tuple[str, ...]:
        """Return the manifests of a day that no certificate names: somebody was broken off before writing theirs."""
        found = {key async for key in keys_below(self._bucket, self._places.manifests_of(day))}
        left = found - {row.manifest_key for row in of_day} - {row.tasks_key for row in of_day if row.tasks_key}
        # Certificates are read only when something is unclaimed, which it hardly ever is.
        if left:
            for row in of_day:
                left -= set((await self._read(row.certificate_key)).abandoned)
        return tuple(sorted(left))


_NOT_ON_THAT = "; nothing is certified on top of that: `wxrec-async verify --evidence` names all that is wrong"


def _link(row: CertificateRow | None) -> Link | None:
    return Link(row.certificate_key, row.certificate_sha256) if row else None


def _row(found: Certificate) -> CertificateRow:
    return CertificateRow(
        n=found.n,
        day_ms=found.day.from_ms,
        number=found.number,
        certified_ms=found.issued_ms,
        certificate_key=found.key,
        certificate_sha256=found.sha256,
        manifest_key=found.manifest.key,
        manifest_sha256=found.manifest.sha256,
        content_sha256=found.content_sha256,
        schema=found.schema,
        tasks_key=found.tasks.key if found.tasks else None,
        tasks_sha256=found.tasks.sha256 if found.tasks else None,
        witnesses=json.dumps(dict(found.basis.witnesses), sort_keys=True) if found.basis else "",
    )
