"""A part's bytes as a request body, handed over chunk by chunk and never joined."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

from wxrec_async.model import Part


class PartBody:
    """What botocore and aiohttp each need of a body, over the list of chunks a part came in.

    botocore takes it for a file: it asks for the length, and on plain http reads
    it once to sign it.  aiohttp takes it for an asynchronous iterable, which it
    may not send a second time on its own (an `io.IOBase` it would, unseen by
    anybody).  Every iteration begins at the first byte.
    """

    __slots__ = ("_chunks", "_index", "_offset", "_position", "_size")

    def __init__(self, part: Part) -> None:
        self._chunks, self._size = part.chunks, part.size
        self._index = self._offset = self._position = 0

    def release(self) -> None:
        """Let go of the bytes once they are sent: botocore keeps requests in cycles that wait for the collector."""
        self._chunks = ()

    def __len__(self) -> int:
        return self._size

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Go to ``position``, an absolute one or 0 from the end; return it."""
        if whence == io.SEEK_END:
            position += self._size
        elif whence == io.SEEK_CUR:
            position += self._position
        self._index = self._offset = self._position = 0
        while position > self._position and self._index < len(self._chunks):
            self._advance(min(len(self._chunks[self._index]) - self._offset, position - self._position))
        return self._position

    def read(self, size: int | None = -1) -> bytes | memoryview:
        """Return at most ``size`` bytes, and never more than what is left of one chunk; empty at the end."""
        # An empty chunk would read as the end of the file.
        while self._index < len(self._chunks) and not len(self._chunks[self._index]):
            self._index += 1
        if self._index >= len(self._chunks):
            return b""
        left = len(self._chunks[self._index]) - self._offset
        taken = left if size is None or size < 0 else min(size, left)
        piece = memoryview(self._chunks[self._index])[self._offset : self._offset + taken]
        self._advance(taken)
        return piece

    def _advance(self, count: int) -> None:
        self._position += count
        self._offset += count
        if self._offset >= len(self._chunks[self._index]):
            self._index, self._offset = self._index + 1, 0

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        # Whatever `read` has taken before, what is sent begins at the first byte.
        for chunk in self._chunks:
            yield chunk
