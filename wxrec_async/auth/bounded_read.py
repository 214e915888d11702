"""The beginning of an answer's body, and never more of it: not of what was sent, not of what that stands for."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import httpx

PACKED = frozenset({"gzip", "x-gzip", "deflate"})


async def beginning(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """Collect at most ``limit`` bytes, and ask for no more than it takes."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk[: limit - len(body)]
        if len(body) >= limit:
            break
    return bytes(body)


def unpacked(body: bytes, coding: str, limit: int) -> bytes:
    """Return at most ``limit`` bytes of what ``body`` stands for; a kilobyte may stand for a megabyte.

    Identity is what is asked for, so ``coding`` is the server's own idea; raises
    `httpx.DecodingError` when it is one we do not know, or not true.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body[:limit]
    if coding in PACKED:
        try:
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, limit)
        except zlib.error:
            pass
    raise httpx.DecodingError("the body is encoded in a way that cannot be read")
