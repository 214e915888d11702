"""Looking through the bucket: what lies there, and whether its bytes are still what they were."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from wxrec_async.errors import InvalidResponse
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.s3.api import ObjectDigest
from wxrec_async.s3.replies import Reply
from wxrec_async.s3.uploads import S3Store

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Keys in the order S3 lists them; ``then`` asks for the next page, empty after the last one."""

    keys: tuple[str, ...]
    then: str = ""


class S3ReadStore(S3Store):
    """An `S3Store` that also lists objects and reads them back."""

    async def keys(self, prefix: str, then: str = "") -> KeyPage:
        """Return a page of up to 1,000 keys below ``prefix``; `OperationFailed` when they cannot be listed."""
        given = {"ContinuationToken": then} if then else {}
        params = self._requests.bucket(Prefix=prefix, **given)

        async def attempt() -> KeyPage:
            page: Reply = await self._wire.send(lambda: self._client.list_objects_v2(**params))
            token = str(page.get("NextContinuationToken") or "") if page.get("IsTruncated") else ""
            # A list that goes on, but nowhere or here again, would be cut short in silence or read for ever.
            if page.get("IsTruncated") and token in ("", then):
                raise InvalidResponse("the list of objects does not go on", host=self._wire.host)
            return KeyPage(tuple(row["Key"] for row in page.get("Contents", ()) if row.get("Key")), token)

        return await self._retrier.run("list_objects", attempt)

    async def digest(self, key: str, size: int) -> ObjectDigest:
        """Read an object of about ``size`` bytes as a stream; return its true size, CRC-32 and SHA-256."""
        return await self._retrier.run("read_object", lambda: self._wire.read_digest(key, size))

    async def read_small(self, key: str, most: int) -> bytes | None:
        """Return an object's bytes, None when there is none; `OperationFailed` when they are more than ``most``."""
        found = await self.read_tagged(key, most)
        return None if found is None else found[0]

    async def read_tagged(self, key: str, most: int) -> tuple[bytes, str] | None:
        """As `read_small`, with the ETag of what lies there; the bytes may be newer than that, never older."""
        found = await self.head(key)
        if found is None:
            return None
        # By what HEAD says, before a byte is read: what lies there was perhaps not written by us.
        if found.size > most:
            raise OperationFailed(GiveUp("too_large"), InvalidResponse(f"it has {found.size} bytes"))
        return b"".join([block async for block in self.blocks(key, found.size)]), found.etag

    async def blocks(self, key: str, size: int) -> AsyncIterator[bytes]:
        """Yield an object of ``size`` bytes, each block asked for when it is wanted, so that one may wait between."""
        first = 0
        while first < size:
            count = min(BLOCK, size - first)
            # A request for each block: what breaks is asked for again from there, not from the first byte.
            block = await self._retrier.run("read_object", partial(self._wire.read_range, key, first, count))
            yield block
            if len(block) != count:
                return  # it is shorter than was said: whoever adds it up will see
            first += count
