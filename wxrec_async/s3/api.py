"""One request: through the gate, within a deadline of our own, its failure in our words.  Never repeated here."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import anyio
from isal import isal_zlib

from wxrec_async.errors import AuthError, ConnectionLost, HTTPStatusError, RemoteError, TimedOut
from wxrec_async.model import StoredObject
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.s3.errors import FAILURES, translated
from wxrec_async.s3.replies import Reply, stored_object
from wxrec_async.s3.requests import Requests

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

T = TypeVar("T")
READ_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds a request may take.  The SDK's own do not see a server that stops reading.

    A body has ``request_s``, or its size at ``bytes_per_s`` if that is longer;
    a complete has ``complete_s``, because S3 may assemble for minutes.
    ``recheck_s`` is for how long an object that S3 has acknowledged is looked
    for when it does not show.
    """

    # Measured: aiobotocore with a read timeout of 2 s still waited after 12 s for a server that had
    # stopped reading.
    request_s: float = 60.0
    complete_s: float = 300.0
    bytes_per_s: float = 64 << 10
    # Some S3-compatible stores answer 404 for a moment after a write that they acknowledged.
    recheck_s: float = 30.0

    def body(self, size: int) -> float:
        """Return the deadline of a request that moves ``size`` bytes."""
        return max(self.request_s, size / self.bytes_per_s)


@dataclass(frozen=True, slots=True)
class ObjectDigest:
    """What the bytes of an object are: ``size`` in bytes, ``sha256`` in hex."""

    size: int
    crc32: int
    sha256: str


def _total(reply: Reply) -> int | None:
    """Return the whole size that a range's answer names."""
    total = str(reply.get("ContentRange") or "").rpartition("/")[2]
    return int(total) if total.isascii() and total.isdigit() else None


def _secrets_of(client: S3Client) -> list[str]:
    """Return the credentials that the client's requests are made with; it shows them nowhere."""
    # S3 repeats what was signed in a refused signature's answer.  The attributes are private, and
    # so asked for softly:
    # where they are gone, words are redacted by their looks alone.
    known = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    values = (getattr(known, name, None) for name in ("access_key", "secret_key", "token"))
    return [value for value in values if isinstance(value, str)]


class S3Api:
    """Sends single requests, and looks at single objects."""

    def __init__(self, client: S3Client, requests: Requests, gate: CircuitBreaker, deadlines: Deadlines) -> None:
        self.client, self.requests, self.deadlines = client, requests, deadlines
        self.host = urlsplit(client.meta.endpoint_url).hostname or "S3"
        self._gate = gate

    async def send(self, call: Callable[[], Awaitable[T]], within_s: float | None = None) -> T:
        """Make one call; raises a `RemoteError`, or `AuthError` when there are no credentials any more."""
        async with self._gate.request():  # any answer at all has opened it again, so failures leave it as values
            answer = await self._answer(call, self.deadlines.request_s if within_s is None else within_s)
        if isinstance(answer, RemoteError | AuthError):
            raise answer from None
        return answer

    async def _answer(self, call: Callable[[], Awaitable[T]], within_s: float) -> T | RemoteError | AuthError:
        try:
            with anyio.move_on_after(within_s):
                return await call()
        except FAILURES as error:
            return translated(error, self.host, _secrets_of(self.client))
        # Reached by the deadline alone: a cancellation from outside passes through the scope as what it is.
        return TimedOut(f"{self.host} did not take the request within {within_s:.0f} s", host=self.host)

    async def look(self, key: str) -> StoredObject | None:
        """Ask what is there, None when nothing is; 403 is `HTTPStatusError`, it says neither (no ListBucket)."""
        try:
            # Without the mode S3 leaves the checksums out of its answer to a HEAD.
            params = self.requests.key(key, ChecksumMode="ENABLED")
            reply = await self.send(lambda: self.client.head_object(**params))
            return stored_object(key, reply, size=await self._size(key, reply))
        except HTTPStatusError as refusal:
            if refusal.status == 404:
                return None
            raise

    async def read_crc32(self, key: str, size: int) -> tuple[int, int]:
        """Read the object back, expected to have ``size`` bytes; return its size and CRC-32."""
        return await self.send(lambda: self._read(key), self.deadlines.body(size))

    async def read_digest(self, key: str, size: int) -> ObjectDigest:
        """As `read_crc32`, with the SHA-256 of the bytes, too."""
        sha256 = hashlib.sha256()
        size, crc32 = await self.send(lambda: self._read(key, sha256.update), self.deadlines.body(size))
        return ObjectDigest(size, crc32, sha256.hexdigest())

    async def read_range(self, key: str, first: int, count: int) -> bytes:
        """Return ``count`` bytes from byte ``first`` on, or fewer at the object's end."""
        within_s = self.deadlines.body(count)
        return await self.send(lambda: self._read_range(key, first, count), within_s)

    async def _size(self, key: str, reply: Reply) -> int:
        """Return an object's size; a HEAD may leave it out (RFC 9110 section 8.6), and then a range of one byte tells.

        Where that does not tell either, the object is read to its end.
        """
        if reply.get("ContentLength") is not None:
            return int(reply["ContentLength"])
        try:
            # A long deadline: a store that passes over the range sends the whole object.
            return await self.send(lambda: self._size_of_range(key), self.deadlines.complete_s)
        except HTTPStatusError as refusal:
            if refusal.status == 416:
                return 0  # it has no first byte
            raise

    async def _size_of_range(self, key: str) -> int:
        reply = await self.client.get_object(**self.requests.key(key, Range="bytes=0-0"))
        body = reply["Body"]
        async with body:
            if (total := _total(reply)) is not None:
                return total
            size = 0
            while chunk := await body.read(READ_BYTES):
                size += len(chunk)
        return size

    async def _read_range(self, key: str, first: int, count: int) -> bytes:
        span = f"bytes={first}-{first + count - 1}"
        reply: Reply = await self.client.get_object(**self.requests.key(key, Range=span))
        # No Content-Range: the store passed over the range and sends the object from its first byte.
        skipped, data = first if reply.get("ContentRange") is None else 0, bytearray()
        # Of an answer in chunks no length is known; whether it came short is for the caller to see,
        # who adds the blocks up.
        expected = int(reply["ContentLength"]) - skipped if reply.get("ContentLength") is not None else 0
        body = reply["Body"]
        async with body:
            while len(data) < skipped + count and (chunk := await body.read(READ_BYTES)):
                data += chunk
                if skipped:  # the whole object is sent where a part of it was asked for
                    gone = min(skipped, len(data))
                    skipped -= gone
                    # Let go of as it comes: what is skipped may be gigabytes.
                    del data[:gone]
        if len(data) < min(count, expected):
            raise ConnectionLost(f"{self.host} sent less than it announced", host=self.host)
        return bytes(data[:count])

    async def _read(self, key: str, take: Callable[[bytes], object] | None = None) -> tuple[int, int]:
        reply = await self.client.get_object(**self.requests.key(key))
        size = crc32 = 0
        body = reply["Body"]
        async with body:
            while chunk := await body.read(READ_BYTES):
                size, crc32 = size + len(chunk), isal_zlib.crc32(chunk, crc32)
                if take is not None:
                    take(chunk)
        if size != reply.get("ContentLength", size):  # sent in chunks it has none
            raise ConnectionLost(f"{self.host} sent less than it announced", host=self.host)
        return size, crc32

    async def holds(self, found: StoredObject, size: int, crc32: int) -> bool:
        """Say whether ``found`` is these bytes: by what the store says, or by reading it back when it does not."""
        if found.size != size:
            return False
        # A composite checksum or none, and an ETag is no digest of the bytes: only reading them back tells.
        if found.crc32 is None:
            return await self.read_crc32(found.key, size) == (size, crc32)
        return found.crc32 == crc32
