"""The one request after which an object is there, and what to make of an answer that leaves it open.

An answer can be lost, an error can come inside a 200, and a second try then
hears 412 or NoSuchUpload *because of us*.  So whenever the answer does not say
it, the bucket is asked: an object of this size and checksum is ours.  A refusal
that says the key is taken is looked into as well: there is a conflict only where
something lies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

import anyio

from wxrec_async.errors import ConnectionLost, HTTPStatusError, InvalidResponse, ObjectExists, RemoteError, TimedOut
from wxrec_async.model import ObjectTarget, StoredObject
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import S3_SLOW_CODES, GiveUp
from wxrec_async.s3.api import S3Api
from wxrec_async.s3.replies import Reply, stored_object


@dataclass(frozen=True, slots=True)
class Expected:
    """What the object must be when it is there."""

    target: ObjectTarget
    size: int
    crc32: int
    overwrite: bool


class VerifiedWrite:
    """A put or a complete, tried until the object is known to be there, or known not to be ours.

    ``attempt`` is called again after every `RemoteError` it raises that is worth it;
    ``look_once_more`` when it was given up.
    """

    def __init__(self, wire: S3Api, proof: Expected, send: Callable[[], Awaitable[Reply]]) -> None:
        self._wire, self._proof, self._send = wire, proof, send
        self._open = False  # a request went out and nobody knows what it did
        self._hidden = False  # looking is not allowed
        self._taken_times = 0  # how often S3 called the key taken though nothing of ours can be there

    async def attempt(self) -> StoredObject:
        """Return the object.  Raises `ObjectExists`, a `RemoteError`, or `OperationFailed` when no try can help."""
        # Look before sending again: what went out may have done it, and a second complete finds no
        # upload any more.
        if self._open and (found := await self._ours()):
            return found
        try:
            reply = await self._send()
        except RemoteError as trouble:
            # Once open it stays open: a refusal says what became of this request, not of the one before.
            self._open = self._open or leaves_open(trouble)
            return await self._after_error(trouble)
        self._open = True  # what fails from here on is only the looking
        return await self._verified(reply)

    async def look_once_more(self, after: RemoteError) -> StoredObject | None:
        """Return the object if it turns out to be there after all; ``after`` is the failure it was given up for."""
        if not self._open:
            return None
        # After a write of ours these speak for an object that is there and does not show yet; after
        # others one look will do.
        conflict = isinstance(after, HTTPStatusError) and after.status in (404, 409, 412)
        try:
            return await self._ours_in_the_end(patient=conflict)
        # What it was given up for says more than why the last look failed.
        except RemoteError:
            return None

    async def _after_error(self, trouble: RemoteError) -> StoredObject:
        """Return the object when a refusal means that it is there already; else raise ``trouble``."""
        # A refusal leaves four cases:
        # 412, and nothing of ours can be there: somebody else's object, or a store that is behind (`_occupied`);
        # 412 after a write whose answer was lost: most likely by our own object, so it is looked
        # for with patience;
        # 404, mostly NoSuchUpload: a complete that went through takes its upload away, so the
        # object is looked for;
        # anything else says nothing of what lies under the key, and is the retrier's.
        match trouble:
            case HTTPStatusError(status=412) if not self._open:
                raise await self._occupied() from None
            case HTTPStatusError(status=412):
                if found := await self._ours_in_the_end(patient=True):
                    return found
                raise self._unverified("S3 says that the key is taken, but not what lies there") from None
            case HTTPStatusError(status=404, code=code) if code != "NoSuchBucket":
                if found := await self._ours_in_the_end(patient=self._open):
                    return found
        raise trouble

    async def _occupied(self) -> Exception:
        """Look what lies under a key that is said to be taken; nothing is tried again, and then waited for."""
        # Nothing there at the first 412 is a race that another try may win; at the second one the
        # store is given time.
        self._taken_times += 1
        for pause_s in pauses(self._wire.deadlines.recheck_s if self._taken_times > 1 else 0.0):
            try:
                found = await self._wire.look(self._proof.target.key)
            except HTTPStatusError as refusal:
                # Who may not look believes the 412; that nobody can compare the bytes then is
                # `Transfer`'s to say.
                return ObjectExists() if refusal.status == 403 else refusal
            if found is not None:
                return ObjectExists(found=found)
            await anyio.sleep(pause_s)
        words = "S3 says that the key is taken, and nothing lies there"
        if self._taken_times > 1:
            return self._unverified(words)
        return HTTPStatusError(409, code="OperationAborted", words=words, host=self._wire.host)

    async def _ours(self) -> StoredObject | None:
        """Look for the object: None when it is not there (or cannot be seen), `ObjectExists` when it is another."""
        proof = self._proof
        try:
            found = await self._wire.look(proof.target.key)
        except HTTPStatusError as refusal:
            # Without s3:ListBucket a missing key is a 403, too: it is not there, or not to be seen.
            if refusal.status == 403:
                self._hidden = True
                return None
            raise
        if found is None:
            return None
        if await self._wire.holds(found, proof.size, proof.crc32):
            return replace(found, crc32=proof.crc32)
        # What lies there may be what is to be replaced; other bytes are no conflict then.
        if proof.overwrite:
            return None
        raise ObjectExists(found=found)

    async def _ours_in_the_end(self, *, patient: bool) -> StoredObject | None:
        """Look for what is there by our own hand perhaps; some stores show it only after a while."""
        for pause_s in pauses(self._wire.deadlines.recheck_s if patient else 0.0):
            if found := await self._ours():
                return found
            if self._hidden:
                break
            await anyio.sleep(pause_s)
        return None

    async def _verified(self, reply: Reply) -> StoredObject:
        """Compare what S3 says it has with what we sent."""
        proof = self._proof
        stored = stored_object(proof.target.key, reply, size=proof.size)
        # The answer's own checksum suffices: one request less for each recording, and no permission
        # to read is needed.
        if stored.crc32 is None:
            return await self._shown()
        if stored.crc32 != proof.crc32:
            raise self._corrupted()
        # An answer to a write tells neither; they are what was asked for, and no HEAD is spent on them.
        return replace(stored, content_type=proof.target.content_type, metadata=proof.target.metadata)

    async def _shown(self) -> StoredObject:
        """Look at the object, because the answer proves nothing; some stores show it only after a while."""
        proof = self._proof
        for pause_s in pauses(self._wire.deadlines.recheck_s):
            if found := await self._seen():
                if await self._wire.holds(found, proof.size, proof.crc32):
                    return replace(found, crc32=proof.crc32)
                raise self._corrupted()
            await anyio.sleep(pause_s)
        raise self._unverified("S3 acknowledged the object but does not show it")

    async def _seen(self) -> StoredObject | None:
        try:
            return await self._wire.look(self._proof.target.key)
        except HTTPStatusError as refusal:
            if refusal.status != 403:
                raise
        raise self._unverified("S3 names no checksum, and s3:GetObject to look at it is not allowed")

    def _corrupted(self) -> OperationFailed:
        words = "S3 has other bytes than were sent"
        return self._judged(
            "corrupting_path", HTTPStatusError(200, code="BadDigest", words=words, host=self._wire.host)
        )

    def _unverified(self, words: str) -> OperationFailed:
        return self._judged("unverified", InvalidResponse(words, host=self._wire.host))

    def _judged(self, reason: str, trouble: RemoteError) -> OperationFailed:
        self._open = False  # we know what there is to know; looking again would not change it
        return OperationFailed(GiveUp(reason), trouble)


def leaves_open(trouble: RemoteError) -> bool:
    """Say whether the request may have been carried out all the same."""
    match trouble:
        case ConnectionLost() | TimedOut() | InvalidResponse():
            return True
        case HTTPStatusError(status=status, code=code):
            # A server that is asked to do less has turned the request away; any other 5xx may come
            # after the work was done.
            return status >= 500 and code not in S3_SLOW_CODES
        case _:
            # Nothing was sent (no connection, no trust), or S3 refused it and so did nothing.
            return False


def pauses(total_s: float) -> Iterator[float]:
    """Yield growing waits of ``total_s`` in all, and a last one of 0."""
    pause_s = 0.25
    while total_s > 0:
        yield min(pause_s, total_s)
        total_s, pause_s = total_s - pause_s, pause_s * 2
    yield 0.0
