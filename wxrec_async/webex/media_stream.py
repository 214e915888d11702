"""One recording as a stream of bytes that resumes by itself at the same byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import anyio
import httpx
from isal import isal_zlib

from wxrec_async.errors import (
    ConnectionLost,
    HTTPStatusError,
    InvalidMedia,
    InvalidResponse,
    RemoteError,
    SourceChanged,
    TimedOut,
)
from wxrec_async.model import Recording
from wxrec_async.plumbing.retrying import OperationFailed, Retrier
from wxrec_async.rules.media_urls import host_of
from wxrec_async.rules.retry import Attempts, GiveUp, RenewUrl, without_url
from wxrec_async.webex.errors import FOREIGN, remote_error_from
from wxrec_async.webex.media_head import PARTIAL, Head, stream_of

Renew = Callable[[Recording], Awaitable[Recording]]
Fetch = Callable[[Recording, int, str | None], Awaitable[tuple[httpx.Response, Head]]]
"""Asks for the bytes from an offset on under a strong ETag, or for all of them without one."""

REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """How long and how large a download may be.

    ``max_bytes`` for one recording; at least ``min_progress`` bytes in every
    ``progress_s`` seconds spent reading (time in which nobody reads does not
    count); a URL within ``lease_margin_s`` of its end is renewed before it is sent.
    """

    max_bytes: int = 8 << 30
    min_progress: int = 64 << 10
    progress_s: float = 60.0
    lease_margin_s: float = 60.0


DEFAULT_LIMITS = MediaLimits()


class ResumingStream:
    """The bytes of one recording; iterate once.

    ``length`` is the whole recording's length in bytes when the server told it,
    ``offset`` how many were handed out, ``crc32`` the CRC-32 (as zlib computes
    it) over exactly these and ``chunk_crc32`` that of the last chunk alone: whoever
    sends the bytes on need not look at them again, and what becomes of them in
    memory meanwhile does not go unnoticed.  ``proven`` is true after the end when the length was
    proved: every byte of ``length`` came, or the final chunk did.
    """

    def __init__(
        self,
        recording: Recording,
        fetch: Fetch,
        *,
        renew: Renew,
        retrier: Retrier,
        limits: MediaLimits = DEFAULT_LIMITS,
    ) -> None:
        self.length: int | None = None
        self.etag: str | None = None
        self.content_type = ""
        self.proven = False
        self.offset = 0
        self.crc32 = 0
        self.chunk_crc32: int | None = None
        self._recording, self._fetch, self._renew = recording, fetch, renew
        self._retrier, self._limits = retrier, limits
        self._host = ""
        self._response: httpx.Response | None = None
        self._head: Head | None = None
        self._basis: Head | None = None  # that of the body of which the bytes handed out are the beginning
        self._no_ranges = False
        self._finished = False
        self._tries = Attempts()
        self._mark = 0  # where the last failure was
        self._reading_s = 0.0  # time spent reading since then
        self._pace = (0, 0.0)  # bytes and seconds of the current stretch of `progress_s`

    async def begin(self) -> None:
        """Connect for the first time; to be called once, before the iteration."""
        await self._reconnect(None)

    async def aclose(self) -> None:
        """Drop the connection, unless its answer was read to the end."""
        response, self._response = self._response, None
        if response is not None:
            await response.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield non-empty chunks, as they come, until the end."""
        clock, crc32, combined = anyio.current_time, isal_zlib.crc32, isal_zlib.crc32_combine
        while not self._finished:
            try:
                pieces = await self._rest_of_body()
                before = clock()
                async for chunk in pieces:
                    # Before it is handed out: a byte too many must not reach the object.
                    self._count(len(chunk), clock() - before)
                    self.chunk_crc32 = of_chunk = crc32(chunk)
                    self.crc32 = combined(self.crc32, of_chunk, len(chunk))
                    yield chunk
                    # Only now: how long our reader took over the last chunk is not the server's slowness.
                    before = clock()
                self._ended()
                continue
            except FOREIGN as exc:
                trouble = remote_error_from(exc, self._host)
            except RemoteError as exc:
                trouble = exc
            # Outside the handlers: a failure in here would have the last one, and its URL, for its context.
            await self._reconnect(trouble)

    def _count(self, size: int, seconds: float) -> None:
        """Account for a chunk before it is handed out, or refuse it."""
        self._check_pace(size, seconds)
        offset = self.offset + size
        if self.length is not None and offset > self.length:
            raise InvalidMedia(
                "length_mismatch", f"the body is longer than the {self.length} bytes it was said to have"
            )
        if offset > self._limits.max_bytes:
            raise _too_large(self._limits)
        self.offset = offset

    def _check_pace(self, size: int, seconds: float) -> None:
        limits = self._limits
        self._reading_s += seconds
        got, spent = self._pace[0] + size, self._pace[1] + seconds
        if spent >= limits.progress_s:
            if got < limits.min_progress:
                raise TimedOut(f"only {got} bytes came in {spent:.0f} s")
            got, spent = 0, 0.0
        self._pace = (got, spent)

    def _ended(self) -> None:
        """Take the end of a body for the end of the recording only if nothing speaks against it."""
        # What can speak against it: bytes are missing; the head promised fewer; a range says nothing of the total.
        # Without any of it the end is proved by its framing or by the length, or it is for the RIFF header to say.
        if self.length is not None and self.offset < self.length:
            raise ConnectionLost(f"the body ended after {self.offset} of {self.length} bytes")
        end = self._head.end if self._head else None
        if end is not None and self.offset > end:
            raise SourceChanged(f"the body went on to byte {self.offset}, its head said {end}")
        if self.length is None and end is not None:
            raise ConnectionLost(f"a part came up to byte {end}, and nothing says whether it is the last one")
        framed = self._head is not None and self._head.framing != "none"
        self._finish(proven=framed or self.length is not None)

    def _finish(self, *, proven: bool) -> None:
        self._finished, self.proven = True, proven

    async def _reconnect(self, trouble: RemoteError | None) -> None:
        """Get a response that goes on at ``offset``, whatever it takes; raises when `rules.retry` gives up."""
        # Attempts count without progress only, so a connection that brought bytes begins a new count, of URLs too.
        if self._moved_on():
            self._tries = Attempts()
        self._mark, self._reading_s, self._pace = self.offset, 0.0, (0, 0.0)
        while True:
            # Before any wait: a broken connection would hold one of few places for nothing.
            await self.aclose()
            # Broken only after the last byte; where more came than there should be, that was no recording's end.
            if self.offset and self.offset == self.length and not isinstance(trouble, InvalidMedia):
                self._finish(proven=True)
                return
            if trouble is not None:
                await self._judge(trouble)
            try:
                await self._connect()
            except RemoteError as exc:
                trouble = exc
            else:
                return

    def _moved_on(self) -> bool:
        """Tell whether the last connection brought bytes, and not just a drip of them."""
        moved = self.offset - self._mark
        return moved > 0 and moved * self._limits.progress_s >= self._limits.min_progress * self._reading_s

    async def _judge(self, trouble: RemoteError) -> None:
        if (reason := _hopeless(trouble)) is not None:
            raise OperationFailed(GiveUp(reason), trouble)
        try:
            self._tries = await self._retrier.after("download", trouble, self._tries)
        except OperationFailed as exc:
            # A fresh URL is ours to get: the retrier knows nothing of captures.
            if not isinstance(exc.decision, RenewUrl):
                raise
        else:
            return
        # Counted before it is asked for, so that URLs which never work come to an end.
        self._tries = self._tries.counted(RenewUrl())
        await self._renew_url(trouble)

    async def _renew_url(self, trouble: RemoteError | None) -> None:
        """Ask captures for a fresh URL, because of ``trouble`` with the last one (None: its time is over)."""
        try:
            self._recording = await self._renew(self._recording)
        except OperationFailed as exc:
            if not isinstance(exc.decision, GiveUp):
                raise
            raise OperationFailed(without_url(exc.decision.reason, trouble), exc.trouble) from None
        if self._recording.url is None:
            reason = self._recording.problem or "no_url"
            raise OperationFailed(without_url(reason, trouble), InvalidResponse("Webex names no usable URL"))

    async def _connect(self) -> None:
        # Before it is sent: a URL that grew old in the queue would cost a request and come back as a 403.
        if self._lease_is_over():
            await self._renew_url(None)
        self._response, self._head = await self._fetch(self._recording, self.offset, self._condition())
        self._host = host_of(self._recording.url.reveal()) if self._recording.url else ""
        # After `_response` is set: what is refused here is closed by `_reconnect`.
        self._compare(self._response.status_code, self._head)

    def _condition(self) -> str | None:
        """Return the strong ETag under which the rest may be asked for; without one everything is asked for again."""
        return self._basis.strong_etag if self._basis and self.offset and not self._no_ranges else None

    def _lease_is_over(self) -> bool:
        lease_s = self._recording.lease_s
        margin = min(self._limits.lease_margin_s, lease_s / 4)  # a short lease must be usable at all
        return anyio.current_time() > self._recording.leased_at + lease_s - margin

    def _compare(self, status: int, head: Head) -> None:
        """Take the first head for what the recording is, and hold every later one against it.

        Two bodies are put together only if both name the same strong ETag (RFC 9110
        section 15.3.7.3); else the later one is read from byte 0 and takes the place
        of the earlier one, if it begins as that did.
        """
        if head.total is not None and head.total > self._limits.max_bytes:
            raise _too_large(self._limits)
        if self._basis is None:
            self._basis, self.length, self.etag, self.content_type = head, head.total, head.etag, head.content_type
            return
        # By what both heads name, the strongest first: another tag or length; without two tags, another date.
        # A range whose tag is not strong may be of any bytes: from now on all is asked for again, and compared.
        if _differ(_opaque(self._basis.etag), _opaque(head.etag)) or _differ(self.length, head.total):
            raise SourceChanged("the recording at the source is another one now")
        if not (self._basis.etag and head.etag) and _differ(self._basis.last_modified, head.last_modified):
            raise SourceChanged("the recording at the source is a newer one now")
        if status == PARTIAL and (head.strong_etag is None or head.strong_etag != self._basis.strong_etag):
            self._no_ranges = True
            raise ConnectionLost("the server sends a range and does not say of which recording")
        # The first answer may have come in chunks, without a length.
        self.length = head.total if self.length is None else self.length

    async def _rest_of_body(self) -> AsyncIterator[bytes]:
        """Return the body's chunks from ``offset`` on, skipping what a server sends again."""
        if self._response is None or self._head is None:
            raise ConnectionLost
        pieces, head = stream_of(self._response), self._head
        if head.start < self.offset:
            pieces = await self._skipped(pieces, self.offset - head.start)
            # All bytes so far are also this body's: from here on its tag is the one to ask under.
            if head.start == 0 and self._response.status_code != PARTIAL:
                self._basis = head
        return pieces

    async def _skipped(self, pieces: AsyncIterator[bytes], left: int) -> AsyncIterator[bytes]:
        """Read over ``left`` bytes that were handed out before, and make sure that they are the same.

        Those of a range that begins in the middle are not known any more: its ETag speaks for them.
        """
        crc, rest, before, known_bytes = 0, b"", anyio.current_time(), left == self.offset
        async for chunk in pieces:
            now = anyio.current_time()
            # What is skipped is read all the same, and may drip like anything else.
            self._check_pace(len(chunk), now - before)
            known, rest = chunk[:left], chunk[left:]
            crc, left, before = isal_zlib.crc32(known, crc), left - len(known), now
            if not left:
                break
        if left:
            raise ConnectionLost("the body ended before the byte to go on at")
        if known_bytes and crc != self.crc32:
            raise SourceChanged("the server begins again, with other bytes")
        return _chained(rest, pieces)


async def _chained(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in pieces:
        yield piece


def _opaque(etag: str | None) -> str | None:
    """Return an ETag as the weak comparison sees it: a proxy may take the strength of one away (RFC 9110 8.8.3.2)."""
    return etag.removeprefix("W/").strip('"') if etag else None


def _differ(ours: str | int | None, theirs: str | int | None) -> bool:
    return ours is not None and theirs is not None and ours != theirs


def _too_large(limits: MediaLimits) -> InvalidMedia:
    return InvalidMedia("too_large", f"the recording is larger than {limits.max_bytes} bytes")


def _hopeless(trouble: RemoteError) -> str | None:
    """Name the reason when trying again, or a fresh URL, would change nothing."""
    match trouble:
        case InvalidMedia(reason="bad_url" | "too_large" as reason):
            return reason
        case HTTPStatusError(status=status) if status in REDIRECTS:
            return "redirected"
        case _:
            return None
