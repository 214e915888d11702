"""A manifest read from the bucket, line by line, and hashed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from wxrec_async.evidence.chain import Reading
from wxrec_async.rules.evidence import MAX_LINE, Manifest, Named, Unsound, read_line

Take = Callable[[Named], Awaitable[None]]


async def read_manifest(bucket: Reading, manifest: Manifest, take: Take | None = None) -> bool:
    """Hand every line to ``take``; False when there is no such object.

    Raises `Unsound` when it is not what its certificate says, which for the hash
    shows only at the end: what was handed out by then may not be trusted.
    """
    found = await bucket.head(manifest.key)
    if found is None:
        return False
    sha256, lines, rest, odd = hashlib.sha256(), 0, b"", ""
    async for block in bucket.blocks(manifest.key, found.size):
        sha256.update(block)
        *whole, rest = (rest + block).split(b"\n")
        lines += len(whole)
        if len(rest) > MAX_LINE:
            raise Unsound("one of its lines is too long")
        if take is not None:
            odd = odd or await _hand_on(whole, take)
    if sha256.hexdigest() != manifest.sha256:
        raise Unsound(f"its SHA-256 is {sha256.hexdigest()}, not {manifest.sha256} as its certificate says")
    if found.size != manifest.size or lines != manifest.recordings or rest:
        raise Unsound(f"it has {found.size} bytes and {lines} lines, which is not what its certificate says")
    if odd:
        raise Unsound(odd)
    return True


async def _hand_on(lines: list[bytes], take: Take) -> str:
    """Return what is wrong with the first line that cannot be read."""
    odd = ""
    for line in lines:
        try:
            named = read_line(line)
        except Unsound as unsound:
            odd = odd or str(unsound)
        else:
            await take(named)
    return odd
