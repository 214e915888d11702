"""One recording of a manifest, held against the bucket."""

from __future__ import annotations

from dataclasses import dataclass

from wxrec_async.errors import AuthError, HTTPStatusError, RunStopped
from wxrec_async.evidence.problems import Problem, ProblemKind
from wxrec_async.model import StoredObject
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.evidence import NamedObject
from wxrec_async.rules.parts import crc32_text, strong_etag
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.wiring.bucket import is_denied


@dataclass(slots=True)
class ObjectChecker:
    """Looks at objects; ``full`` reads every one back.  Raises when ``most_unknown`` in a row cannot be looked at."""

    bucket: S3ReadStore
    full: bool
    most_unknown: int
    bytes_read: int = 0
    _streak: int = 0

    async def problem_of(self, named: NamedObject) -> Problem | None:
        """Return what is wrong with an object, None when nothing is."""
        try:
            wrong = await self._compare(named)
        except (HTTPStatusError, OperationFailed) as failure:
            self._streak += 1
            # So many in a row are a missing permission or an outage, and no finding about any of them.
            self._check_streak(failure)
            return _problem(ProblemKind.UNKNOWN, named, f"S3 {failure}", denied=is_denied(failure))
        self._streak = 0
        if wrong is None:
            return None
        if not wrong:
            return _problem(ProblemKind.OBJECT_MISSING, named, "there is no such object")
        return _problem(ProblemKind.OBJECT_DIFFERENT, named, wrong)

    async def _compare(self, named: NamedObject) -> str | None:
        """Return a sentence, "" when the object is not there, None when it is as it should be."""
        # Each comparison only where the cheaper one before it found nothing: size, checksum, and the bytes last.
        found = await self.bucket.head(named.key)
        if found is None:
            return ""
        if found.size != named.size:
            return f"it has {found.size} bytes, not {named.size}"
        said = None if found.crc32 is None else crc32_text(found.crc32)
        if said and named.checksum and said != named.checksum:
            return f"its CRC-32 is {said}, not {named.checksum}"
        if self.full or not _proven(named, found, said):
            return await self._read(named, found)
        return None

    async def _read(self, named: NamedObject, found: StoredObject) -> str | None:
        read = await self.bucket.digest(named.key, found.size)
        self.bytes_read += read.size
        if read.size != named.size:
            return f"{read.size} bytes were read back, not {named.size}"
        # SHA-256 first: where both differ it is the one that cannot be forged.
        if named.sha256 and read.sha256 != named.sha256:
            return f"the SHA-256 of its bytes is {read.sha256}, not {named.sha256}"
        if named.checksum and crc32_text(read.crc32) != named.checksum:
            return f"the CRC-32 of its bytes is {crc32_text(read.crc32)}, not {named.checksum}"
        return None

    def _check_streak(self, failure: HTTPStatusError | OperationFailed) -> None:
        if self._streak >= self.most_unknown:
            words = f"{self._streak} objects in a row could not be looked at: S3 {failure}"
            raise AuthError(words) if is_denied(failure) else RunStopped(words)


def _proven(named: NamedObject, found: StoredObject, said: str | None) -> bool:
    """Say whether the description alone shows the same bytes; some stores name no checksum, but keep the ETag."""
    if said and named.checksum:
        return True
    return bool(named.etag) and strong_etag(named.etag or "") == strong_etag(found.etag)


def _problem(wrong: ProblemKind, named: NamedObject, detail: str, *, denied: bool = False) -> Problem:
    return Problem(wrong, named.key, detail, named.task_id, named.recording_id, denied)
