"""The reading side of a transfer: a stream through the pipe into parts, each with its room in the pool."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

import anyio
from anyio import to_thread

from wxrec_async.model import Part
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.pipe import Pipe, PipeBroken
from wxrec_async.plumbing.pool import MemoryPool, Reservation
from wxrec_async.rules.parts import PartAssembler
from wxrec_async.rules.wav import Sniffer

T = TypeVar("T")
HASHED_IN_THREAD = 1 << 20  # bytes of a part, from which on the way to a thread is worth it


class MediaStream(Protocol):
    """The body of a recording, from its first byte to its last; resumes behind the reader's back."""

    @property
    def length(self) -> int | None:
        """Whole size in bytes, when the server promised one."""

    @property
    def etag(self) -> str | None: ...

    @property
    def content_type(self) -> str: ...

    @property
    def proven(self) -> bool:
        """After the end: its length was proven by Content-Length or a final chunk."""

    @property
    def offset(self) -> int:
        """Bytes handed out so far."""

    @property
    def chunk_crc32(self) -> int | None:
        """CRC-32 of the chunk handed out last, None when nobody has computed it yet."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Sha256:
    """SHA-256 of parts, one after the other: 3.6 ms for 5 MiB where the CPU knows SHA (OpenSSL 3.0).

    A large part is hashed in a thread, which leaves the event loop to the bytes of
    others; ``threads`` is shared by all who hash.  A small one costs less than
    the way to a thread and back.
    """

    def __init__(self, threads: anyio.CapacityLimiter) -> None:
        self._threads, self._hash = threads, hashlib.sha256()

    async def feed(self, part: Part) -> None:
        """Take the next part."""
        if part.size < HASHED_IN_THREAD:
            self.feed_now(part.chunks)
        else:
            await to_thread.run_sync(self.feed_now, part.chunks, limiter=self._threads)

    def feed_now(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Take the next bytes, here and now."""
        for chunk in chunks:
            self._hash.update(chunk)

    @property
    def hex(self) -> str:
        return self._hash.hexdigest()


class PartReader:
    """Takes chunks out of the pipe and fills parts, one at a time, each with its room in the pool."""

    def __init__(
        self,
        pipe: Pipe,
        stream: MediaStream,
        pool: MemoryPool,
        part_size: int,
        *,
        sha256: Sha256 | None = None,
        sniffer: Sniffer | None = None,
    ) -> None:
        self.stream = stream
        self.sniffer = sniffer or Sniffer()
        self._pipe = pipe
        self._pool = pool
        self._assembler = PartAssembler(stream.length, part_size)
        self._next: bytes | memoryview | None = None
        self._next_crc32: int | None = None
        self._filled: tuple[Part, Reservation] | None = None
        self._ended = False
        self._sha256 = sha256

    @property
    def size(self) -> int:
        return self._assembler.size

    @property
    def crc32(self) -> int:
        return self._assembler.crc32

    @property
    def sha256(self) -> str | None:
        """SHA-256 in hex of the parts filled: the whole body, once `more` says no; None when it was not wanted."""
        return self._sha256.hex if self._sha256 else None

    async def more(self) -> bool:
        """Say whether bytes follow those of the parts given so far."""
        if self._next is None and not self._ended:
            await self._pull()
        return self._next is not None

    async def fill(self) -> None:
        """Wait for room, then fill the next part; the last one may be short, that of an empty body empty."""
        # Room before bytes: without it they stay in the pipe, the pipe fills, and the source is
        # read no faster than S3 takes.
        room = await self._pool.take(self._room_needed())
        try:
            part = self._feed()
            while part is None and not self._ended:
                await self._pull()
                part = self._feed()
            part = part or self._assembler.finish()
            if self._sha256:
                await self._sha256.feed(part)
        except BaseException:
            # Cancelled or failed: room that nobody gives back would be missing until the end of the process.
            room.release()
            raise
        self._filled = (part, room)

    def take(self) -> tuple[Part, Reservation]:
        """Return the part that was filled, with the room it takes up; both are the caller's now."""
        if self._filled is None:
            raise RuntimeError("fill a part before you take it")
        filled, self._filled = self._filled, None
        return filled

    def close(self) -> None:
        """Drop the part that nobody took.  May be called twice."""
        if self._filled is not None:
            self._filled[1].release()
            self._filled = None

    async def drain(self) -> None:
        """Read to the end, keeping nothing but size and checksums."""
        # The part that was filled is counted and hashed already; only its bytes go.
        self.close()
        while await self.more():
            if self._next is not None and self._sha256:
                # One chunk at a time is too little to be worth a thread.
                self._sha256.feed_now((self._next,))
            while self._next is not None:
                self._feed()
            self._assembler.forget()

    def _room_needed(self) -> int:
        # A small recording takes the room it needs, so that many of them fit where a few large ones do.
        goal, length = self._assembler.goal, self.stream.length
        return goal if length is None else min(goal, length - self.size)

    def _feed(self) -> Part | None:
        """Feed what of the pulled chunk belongs to this part; the rest waits until there is room for it."""
        if self._next is None:
            return None
        chunk, wanted = self._next, self._assembler.goal - self._assembler.held
        self._next = memoryview(chunk)[wanted:] if len(chunk) > wanted else None
        if self._next is not None:
            chunk, self._next_crc32 = memoryview(chunk)[:wanted], None  # it was that of both pieces
        return next(iter(self._assembler.feed(chunk, self._next_crc32)), None)

    async def _pull(self) -> None:
        self._next = await anext(self._pipe, None)
        self._next_crc32 = self._pipe.crc32
        if self._next is None:
            self._ended = True
        else:
            self.sniffer.feed(self._next)


async def through_pipe(stream: MediaStream, limit: int, consume: Callable[[Pipe], Awaitable[T]]) -> T:
    """Read ``stream`` in a task of its own while ``consume`` takes its bytes from the pipe."""
    pipe = Pipe(limit)
    taken: list[T] = []
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_pump, stream, pipe)
            try:
                taken.append(await consume(pipe))
            finally:
                # The reader has what it wanted, or has failed: the source must not wait for room
                # that nobody makes.
                pipe.abandon()
                group.cancel_scope.cancel()
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None
    if not taken:
        raise PipeBroken  # the source was cancelled, and not by us
    return taken[0]


async def _pump(stream: MediaStream, pipe: Pipe) -> None:
    """Move the stream into the pipe.  Its failure reaches the reader through the pipe, in its place in the bytes."""
    chunks = aiter(stream)
    try:
        async for chunk in chunks:
            await pipe.send(chunk, stream.chunk_crc32)
        pipe.finish()
    except Exception as failure:  # noqa: BLE001 - handed on whole, unless the reader has left and knows why
        pipe.fail(failure)
    finally:
        # Here, in the task that has iterated it: left to the collector it would end in another task, where the
        # scopes and connections inside it cannot be left.
        if isinstance(chunks, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await chunks.aclose()
