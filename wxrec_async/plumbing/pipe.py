"""A bounded in-memory pipe for chunks of bytes.

An anyio memory stream cannot tell *finished* from *closed while failing*: when
its send end closes early, the reader sees a normal end and would complete a
truncated object.  Here the end is a call of its own: the reader gets
`StopAsyncIteration` only after `finish`, and the failure itself after `fail`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

import anyio

Chunk = bytes | memoryview


class PipeBroken(Exception):
    """The writer left without saying that it had finished."""


class Pipe:
    """One writer, one reader, at most ``limit`` bytes between them.

    A chunk larger than ``limit`` passes alone, so one writer always gets on.
    ``sent`` and ``taken`` count bytes, ``crc32`` is what the writer said of the
    chunk taken last.  The writer must end with `finish` or
    `fail`; used as a context manager by the writer, leaving without `finish`
    is a failure.  Both ends may be cancelled at any await; then nothing is lost
    that `taken` counts.
    """

    def __init__(self, limit: int) -> None:
        if limit <= 0:
            raise ValueError("a pipe holds at least one byte")
        self._limit = limit
        self._chunks: deque[tuple[Chunk, int | None]] = deque()
        self._held = 0
        self._finished = False
        self._failure: BaseException | None = None
        self._abandoned = False
        self._room = anyio.Event()
        self._news = anyio.Event()
        self.sent = 0
        self.taken = 0
        self.crc32: int | None = None

    async def send(self, chunk: Chunk, crc32: int | None = None) -> None:
        """Hand over ``chunk``, with its CRC-32 if that is known, waiting while the pipe is full.

        Raises `RuntimeError` after `finish` or `fail`, also when they came while
        it waited, and `anyio.BrokenResourceError` when the reader has gone.
        """
        while self._is_full(len(chunk)):
            # An event cannot be cleared, so each wait has its own; no await lies between the look and the wait.
            self._room = anyio.Event()
            await self._room.wait()
        if self._abandoned:
            raise anyio.BrokenResourceError
        if self._ended:
            raise RuntimeError("the pipe has ended")
        if chunk:
            self._chunks.append((chunk, crc32))
            self._held += len(chunk)
            self.sent += len(chunk)
            self._news.set()

    @property
    def _ended(self) -> bool:
        return self._finished or self._failure is not None

    def _is_full(self, size: int) -> bool:
        waits = self._held > 0 and self._held + size > self._limit
        return waits and not self._ended and not self._abandoned

    def finish(self) -> None:
        """Say that every byte was sent.  Idempotent; `RuntimeError` after `fail`."""
        if self._failure is not None:
            raise RuntimeError("the pipe has failed")
        self._finished = True
        self._wake()

    def fail(self, failure: BaseException) -> None:
        """Say that the bytes end here because of ``failure``.  The first failure stays; ignored after `finish`."""
        if self._ended:
            return
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._room.set()

    def abandon(self) -> None:
        """The reader leaves: the writer's next `send` raises.  Idempotent."""
        self._abandoned = True
        # A reader that has gone must not keep the bytes in memory for as long as the writer takes to notice.
        self._chunks.clear()
        self._held = 0
        self._room.set()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Return the one reader's end.

        It is no generator: one that has raised, or was cancelled in a wait, says
        "the end" when it is asked again.
        """
        return self

    async def __anext__(self) -> Chunk:
        """Return the next chunk; the end only after `finish`, the failure as often as it is asked for."""
        # What was sent before the end, of whichever kind, is handed out first.
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._finished:
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        chunk, self.crc32 = self._chunks.popleft()
        self._held -= len(chunk)
        self.taken += len(chunk)
        self._room.set()
        return chunk

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> None:
        # A cancellation is the writer's own: raised in the reader it would pass for the reader's.
        self.fail(failure if isinstance(failure, Exception) else PipeBroken())
