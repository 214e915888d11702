"""Is the evidence sound, and does the bucket hold what it says?  Asked of the bucket alone: no ledger, no Webex.

The chain is read from its first certificate to its last, every manifest is
hashed, and every object of the newest manifest of each day is looked at.  What a
chain cannot show is that certificates are missing from its end; their manifests
show it, and so does the newest number and SHA-256, which the report names, to
whoever noted it earlier.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from hashlib import blake2b

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, HTTPStatusError, RunStopped
from wxrec_async.events import Emit, ignore
from wxrec_async.evidence.chain import keys_below
from wxrec_async.evidence.chain_check import Files, check_chain, newest_of_days, sort_out, unclaimed
from wxrec_async.evidence.manifest_reader import count_tasks, read_manifest
from wxrec_async.evidence.object_check import ObjectChecker
from wxrec_async.evidence.problems import AuditReport, ChainHead, OnProblem, Problem, ProblemKind, unheard
from wxrec_async.model import DAY_MS, Window
from wxrec_async.plumbing.for_each import each_fed
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys
from wxrec_async.rules.evidence import Certificate, NamedObject, Unsound, miscounted
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.wiring.bucket import is_denied, open_bucket


async def audit(
    settings: Settings,
    *,
    full: bool = False,
    period: Window | None = None,
    on_problem: OnProblem = unheard,
    on_looked: Callable[[], None] = lambda: None,
    emit: Emit = ignore,
) -> AuditReport:
    """Check every certificate and manifest, and the objects of the days in ``period`` (default: all of them).

    ``full`` reads the objects back and compares their SHA-256.  Nothing is
    written.  ``on_problem`` hears of everything that is wrong, ``on_looked`` is called
    for every recording that was looked at.  Raises
    `ConfigError`, `AuthError` or `RunStopped` when it cannot begin or go on.
    """
    begun = anyio.current_time()
    async with open_bucket(settings, emit) as bucket:
        report = AuditReport("full" if full else "head", period)
        auditing = _Auditing(bucket, settings, report, on_problem, on_looked)
        try:
            await auditing.run()
        except OperationFailed as given_up:
            words = f"the evidence cannot be listed: S3 {given_up}"
            raise (AuthError(words) if is_denied(given_up) else RunStopped(words)) from None
    report.seconds = anyio.current_time() - begun
    return report


class _Auditing:
    def __init__(
        self,
        bucket: S3ReadStore,
        settings: Settings,
        report: AuditReport,
        on_problem: OnProblem,
        on_looked: Callable[[], None],
    ) -> None:
        self._bucket, self._settings = bucket, settings
        self._report, self._on_problem, self._on_looked = report, on_problem, on_looked
        self._looker = ObjectChecker(bucket, report.level == "full", settings.backfill.max_failures_in_row)
        self._root = keys.evidence_prefix(settings.s3.key)
        self._named = array("Q")  # eight bytes of a hash for each key that is named, sorted in the end
        self._days: set[tuple[str, int]] = set()

    async def run(self) -> None:
        most = self._settings.backfill.concurrency
        await each_fed(self._feed, self._look, most)
        self._report.bytes_read = self._looker.bytes_read
        # Between the two passes: what no manifest names is known only when all of them were read.
        self._named = array("Q", sorted(self._named))
        await each_fed(self._feed_unnamed, self._count_unnamed, most)

    def _add(self, problem: Problem) -> None:
        self._report.add(problem)
        self._on_problem(problem)

    async def _feed(self, put: Callable[[NamedObject], Awaitable[None]]) -> None:
        """Check the chains, and hand out every recording that is to be there."""
        # All of them before any is read: a chain is checked from its first link, and what it does not claim last.
        found = [key async for key in keys_below(self._bucket, self._root)]
        files = sort_out(self._root, found, self._add)
        wanted = self._settings.webex.org_id
        # An empty place is no proof: without this an audit of the wrong prefix would find nothing wrong.
        if not files or (wanted and keys.encode_id(wanted) not in files):
            whose = f" of organisation {wanted}" if wanted else ""
            self._add(
                Problem(ProblemKind.CERTIFICATE_MISSING, self._root, f"there is no certificate{whose} below this")
            )
        for organisation in files.values():
            await self._feed_one(organisation, put)

    async def _feed_one(self, files: Files, put: Callable[[NamedObject], Awaitable[None]]) -> None:
        chain = await check_chain(self._bucket, self._root, files, self._add)
        self._report.certificates += len(files.certificates)
        newest = newest_of_days(chain)
        self._report.days += len(newest)
        # The period limits which objects are looked at.  The chain is checked as a whole, for a link proves nothing
        # without those before it, and only the newest certificate of a day says what is to be there now.
        in_force = {each.key for each in newest if self._is_asked_for(each)}
        for each in newest:
            self._report.hear(each.basis.witnesses if each.basis else {})
        self._days |= {(files.folder, each.day.from_ms) for each in newest if each.key in in_force}
        for certificate in chain:
            await self._check_manifest(certificate, put if certificate.key in in_force else None)
            await self._check_tasks(certificate)
        for key in unclaimed(files, chain):
            words = "no certificate names it: one was taken away, or was never written; certify its day again"
            self._add(Problem(ProblemKind.MANIFEST_UNCLAIMED, key, words))
        if chain:
            self._report.tips.append(ChainHead(chain[-1].org_id, chain[-1].n, chain[-1].key, chain[-1].sha256))

    def _is_asked_for(self, certificate: Certificate) -> bool:
        period, day = self._report.period, certificate.day
        return period is None or (day.from_ms < period.to_ms and day.to_ms > period.from_ms)

    async def _check_manifest(
        self, certificate: Certificate, put: Callable[[NamedObject], Awaitable[None]] | None
    ) -> None:
        async def take(named: NamedObject) -> None:
            self._named.append(_fingerprint(named.key))
            if put is not None:
                # The hash is known at the end only, so the objects of a changed manifest are looked at as well:
                # nothing is written, and the manifest is named in the end.
                await put(named)

        manifest = certificate.manifest
        try:
            # Keys of earlier manifests are gathered as well: what they name is no stranger.
            there = await read_manifest(self._bucket, manifest, take)
        except Unsound as unsound:
            self._add(Problem(ProblemKind.MANIFEST_CHANGED, manifest.key, str(unsound)))
        except (HTTPStatusError, OperationFailed) as failure:
            self._add(Problem(ProblemKind.UNKNOWN, manifest.key, f"S3 {failure}", denied=is_denied(failure)))
        else:
            self._report.manifests += 1
            if not there:
                self._add(Problem(ProblemKind.MANIFEST_MISSING, manifest.key, f"{certificate.key} names it"))

    async def _check_tasks(self, certificate: Certificate) -> None:
        """Hold the file of tasks without anything to store against what its certificate counts."""
        file = certificate.tasks
        if file is None:
            return
        try:
            states = await count_tasks(self._bucket, file)
        except Unsound as unsound:
            self._add(Problem(ProblemKind.MANIFEST_CHANGED, file.key, str(unsound)))
        except (HTTPStatusError, OperationFailed) as failure:
            self._add(Problem(ProblemKind.UNKNOWN, file.key, f"S3 {failure}", denied=is_denied(failure)))
        else:
            if states is None:
                self._add(Problem(ProblemKind.MANIFEST_MISSING, file.key, f"{certificate.key} names it"))
            elif wrong := miscounted(certificate.counts, states):
                self._add(Problem(ProblemKind.MANIFEST_CHANGED, file.key, wrong))
            self._report.tasks += states.total() if states else 0

    async def _look(self, named: NamedObject) -> None:
        problem = await self._looker.problem_of(named)
        self._report.recordings += 1
        self._on_looked()
        if problem is not None:
            self._add(problem)

    # Objects of certified days that no manifest names

    async def _feed_unnamed(self, put: Callable[[str], Awaitable[None]]) -> None:
        template = self._settings.s3.key
        # No certified day was asked for, so there is none to count strangers of: the listing is saved.
        if not self._days:
            return
        async for key in keys_below(self._bucket, keys.constant_prefix(template)):
            if not (key.startswith(self._root) or keys.is_sidecar(key, template=template) or self._is_named(key)):
                await put(key)

    def _is_named(self, key: str) -> bool:
        fingerprint = _fingerprint(key)
        at = bisect_left(self._named, fingerprint)
        return at < len(self._named) and self._named[at] == fingerprint

    async def _count_unnamed(self, key: str) -> None:
        try:
            found = await self._bucket.head(key)
        except (HTTPStatusError, OperationFailed) as failure:
            self._add(Problem(ProblemKind.UNKNOWN, key, f"S3 {failure}", denied=is_denied(failure)))
            return
        # Deleted since it was listed, or not ours: others may keep their objects below the same prefix.
        if found is None or not keys.is_labelled(found.metadata):
            return
        try:
            label = keys.read_label(found.metadata)
        except ValueError:
            # An id that was too long to be kept whole cannot be read back, and so belongs to no day that we know.
            return
        # Older objects do not name when the task was created; their recording began on the same day, nearly always.
        created = label.task.created_ms if label.task.created_ms is not None else label.recording.start_ms
        if created is not None and (label.org_id, created // DAY_MS * DAY_MS) in self._days:
            self._report.unnamed += 1


def _fingerprint(key: str) -> int:
    # Two keys with one fingerprint, one in 10^19 pairs, would hide a stranger; never a missing recording.
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
