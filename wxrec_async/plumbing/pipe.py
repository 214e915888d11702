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
    ``sent`` and ``taken`` count bytes.  The writer must end with `finish` or
    `fail`; used as a context manager by the writer, leaving without `finish`
    is a failure.  Both ends may be cancelled at any await; then nothing is lost
    that `taken` counts.
    """

    def __init__(self, limit: int) -> None:
        if limit <= 0:
            raise ValueError("a pipe holds at least one byte")
        self._limit = limit
        self._chunks: deque[Chunk] = deque()
        self._held = 0
        self._finished = False
        self._failure: BaseException | None = None
        self._abandoned = False
        self._room = anyio.Event()
        self._news = anyio.Event()
        self.sent = 0
        self.taken = 0

    async def send(self, chunk: Chunk) -> None:
        """Hand over ``chunk``, waiting while the pipe is full.

        Raises `RuntimeError` after `finish` or `fail`, `anyio.BrokenResourceError`
        when the reader has gone.
        """
        if self._finished or self._failure is not None:
            raise RuntimeError("the pipe has ended")
        while self._held and self._held + len(chunk) > self._limit and not self._abandoned:
            self._room = anyio.Event()
            await self._room.wait()
        if self._abandoned:
            raise anyio.BrokenResourceError
        if chunk:
            self._chunks.append(chunk)
            self._held += len(chunk)
            self.sent += len(chunk)
            self._news.set()

    def finish(self) -> None:
        """Say that every byte was sent.  Idempotent; `RuntimeError` after `fail`."""
        if self._failure is not None:
            raise RuntimeError("the pipe has failed")
        self._finished = True
        self._news.set()

    def fail(self, failure: BaseException) -> None:
        """Say that the bytes end here because of ``failure``.  The first failure stays; ignored after `finish`."""
        if self._finished or self._failure is not None:
            return
        self._failure = failure
        self._news.set()

    def abandon(self) -> None:
        """The reader leaves: the writer's next `send` raises.  Idempotent."""
        self._abandoned = True
        self._chunks.clear()
        self._held = 0
        self._room.set()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Yield chunks until the writer finished; raise its failure when it failed, after what it sent."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._held -= len(chunk)
                self.taken += len(chunk)
                self._room.set()
                yield chunk
            if self._failure is not None:
                raise self._failure
            if self._finished:
                return
            self._news = anyio.Event()
            await self._news.wait()

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> None:
        if not self._finished:
            self.fail(failure or PipeBroken())
