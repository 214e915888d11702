"""A source of recordings whose bytes all pass one throttle.

The throttle stands behind the stream, not beneath it: the stream finds a
server that does not get on by the time it spends reading, and time spent
waiting for our own limit must not count against the server.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import anyio

from wxrec_async.flow.part_reader import MediaStream
from wxrec_async.flow.transfer import MediaSource
from wxrec_async.model import Recording
from wxrec_async.plumbing.throttle import Throttle


def limited(source: MediaSource, mib_per_second: float) -> MediaSource:
    """Return ``source`` held to a rate for all who read from it; 0 is no limit, and the source itself."""
    return LimitedSource(source, Throttle(mib_per_second * (1 << 20))) if mib_per_second else source


class LimitedSource:
    """A `MediaSource` in front of another one."""

    def __init__(self, source: MediaSource, throttle: Throttle) -> None:
        self._source, self._throttle = source, throttle

    @asynccontextmanager
    async def open(self, recording: Recording) -> AsyncIterator[MediaStream]:
        """See `transfer.MediaSource`."""
        async with self._source.open(recording) as stream:
            yield LimitedStream(stream, self._throttle)


class LimitedStream:
    """A `MediaStream` in front of another one; ``offset`` may be ahead of what was handed out by one chunk."""

    def __init__(self, stream: MediaStream, throttle: Throttle) -> None:
        self._stream, self._throttle = stream, throttle

    @property
    def length(self) -> int | None:
        return self._stream.length

    @property
    def etag(self) -> str | None:
        return self._stream.etag

    @property
    def content_type(self) -> str:
        return self._stream.content_type

    @property
    def proven(self) -> bool:
        return self._stream.proven

    @property
    def offset(self) -> int:
        return self._stream.offset

    @property
    def chunk_crc32(self) -> int | None:
        return None  # the chunks are others here

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what the stream yields, when it may pass."""
        chunks = aiter(self._stream)
        try:
            async for chunk in chunks:
                for piece in self._throttle.slices(chunk):
                    await self._throttle.take(len(piece))
                    yield piece
        finally:
            # As in `part_reader._pump`: closed by the task that has iterated it, cancelled or not.
            if isinstance(chunks, AsyncGenerator):
                with anyio.CancelScope(shield=True):
                    await chunks.aclose()
