"""One call to the API: sent, judged by its status, and its body read under a deadline and a cap."""

from __future__ import annotations

import time
import uuid
import zlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

import anyio
import httpx
from anyio import to_thread

from wxrec_async.errors import ConnectionLost, HTTPStatusError, InvalidResponse, RunStopped, TimedOut
from wxrec_async.events import Emit, Warned, ignore
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.media_urls import host_of
from wxrec_async.rules.retry import GiveUp
from wxrec_async.rules.sent_secrets import secret_of_header, without_secrets
from wxrec_async.rules.server_time import (
    REMEMBERED,
    SKEW_REFUSED_S,
    SKEW_WARNED_S,
    Moment,
    ahead_s,
    lost_s,
    servers_now_ms,
)
from wxrec_async.webex.errors import FOREIGN, remote_error_from
from wxrec_async.webex.pacing import retry_after_of
from wxrec_async.webex.parse import read_error

T = TypeVar("T")

ERROR_BODY_CAP = 64 << 10
LIST_CAP = 8 << 20  # tasks and Search: a thousand rows of 8 KiB
CAPTURES_CAP = 4 << 20
MAX_CONTAINERS = 50_000  # what a JSON answer may hold: a thousand tasks have some five thousand objects
MAX_VALUES = 200_000
JUMP_S = 5.0
NO_CONTENT = 204  # the one success that says "there is nothing", and ends with its head (RFC 9112, 6.3)
OK = (200, 203, NO_CONTENT)
READ_PIECE = 1 << 20
READ_APART = 256 << 10  # a body of this size would hold the loop for as long as it takes to read it


@dataclass(frozen=True, slots=True)
class ApiReply:
    """A body that came with a success, decoded (empty when there was none), and what support asks for.

    ``ahead_s`` is by how many seconds this answer shows our clock to be ahead of the server's.
    """

    body: bytes
    tracking_id: str | None
    ahead_s: float = 0.0


class ApiCalls:
    """Sends requests to the API and returns bodies; every failure is a `RemoteError`.

    ``deadline_s`` runs from the moment the request's turn came (waiting for the
    budget or a closed gate does not count) to the last byte of the body.
    ``cap`` is in bytes after decoding; a larger answer, or one that would make
    more objects than any sound answer has, is given up at once with the reason
    ``answer_too_large``, because it will be as large next time.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        emit: Emit = ignore,
        deadline_s: float = 30.0,
        body_cap: int = LIST_CAP,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http, self._emit, self._clock = http, emit, clock
        self._deadline_s, self._body_cap = deadline_s, body_cap
        self._skew_told = False
        self.answered = False  # anything at all, be it a refusal
        self._offsets_s: deque[float] = deque(maxlen=REMEMBERED)
        self._apart_s = 0.0  # our wall clock less the monotonic one

    @property
    def servers_now_ms(self) -> int | None:
        """What time it is at the servers, rather too early than too late; None before any has said."""
        self._forget_after_a_jump()
        return servers_now_ms(self._offsets_s, anyio.current_time())

    def _forget_after_a_jump(self) -> None:
        """Forget what the servers said when the two clocks of this machine have gone apart since.

        The monotonic one stands still while a machine sleeps: by it the servers' now would be hours ago, and
        calls created since would lie in a future that nobody asks for.
        """
        apart_s = self._clock() - anyio.current_time()
        if abs(apart_s - self._apart_s) > JUMP_S:
            self._offsets_s.clear()
        self._apart_s = apart_s

    async def get(self, url: str, params: dict[str, str | int] | None = None) -> ApiReply:
        """GET; ``params`` are put behind the URL, which is sent as it is without them."""

        def build() -> httpx.Request:
            headers = {**_HEADERS, "TrackingId": str(uuid.uuid4())}
            return self._http.build_request("GET", url, params=params, headers=headers)

        return await self._believed(build, self._body_cap)

    async def post(self, url: str, body: bytes, *, cap: int = LIST_CAP, tracked: bool = False) -> ApiReply:
        """POST a JSON body; ``tracked`` where the service is documented to take an id of the request."""

        def build() -> httpx.Request:
            headers = {**_HEADERS, "Content-Type": "application/json"}
            if tracked:
                headers["TrackingId"] = str(uuid.uuid4())
            return self._http.build_request("POST", url, content=body, headers=headers)

        return await self._believed(build, min(cap, self._body_cap))

    async def _believed(self, build: Callable[[], httpx.Request], cap: int) -> ApiReply:
        """Ask; once more when the answer says that our clock is far off, and only if that one agrees end the run.

        Nothing is judged by a clock that is in doubt, and one wrong `Date` ends nothing.
        """
        first = await self._ask(build(), cap)
        if abs(first.ahead_s) <= SKEW_REFUSED_S:
            return first
        request = build()
        again = await self._ask(request, cap)
        if abs(again.ahead_s) > SKEW_REFUSED_S:
            raise RunStopped(f"{_clock_words(again.ahead_s, request.url.host)}; set the clock and run again")
        return again

    async def _ask(self, request: httpx.Request, cap: int) -> ApiReply:
        host = request.url.host
        asked = self._moment()
        try:
            response = await self._http.send(request, stream=True, follow_redirects=False)
            try:
                return await self._read(response, asked, cap)
            finally:
                await response.aclose()
        except FOREIGN as exc:
            foreign: Exception = exc
        # Not inside the handler: the original would come along as its context, and in it the request's token.
        raise remote_error_from(foreign, host)

    async def _read(self, response: httpx.Response, asked: Moment, cap: int) -> ApiReply:
        sent_at, host = response.extensions.get("sent_at", anyio.current_time()), response.request.url.host
        self.answered = True
        # Before anything is judged: a refusal tells the time as well.
        ahead = self._note_date(response, asked)
        rejected = response.status_code not in OK
        body: bytes | None = None
        # It raises nothing when time is over: what was refused is told so, though its body never came.
        with anyio.CancelScope(deadline=sent_at + self._deadline_s):
            body = await _body_of(response, ERROR_BODY_CAP if rejected else cap, cut=rejected)
        if rejected:
            raise self._rejection(response, body or b"", host)
        if body is None:
            raise TimedOut(f"{host} did not finish its answer in {self._deadline_s:g} s", host=host)
        # Nothing says how long it is and nothing is in it: cut off.  With a length of 0 it is meant, see below.
        if not body and response.extensions.get("framing") == "none" and response.status_code != NO_CONTENT:
            raise ConnectionLost(f"the connection to {host} closed before its answer came", host=host)
        if not body and response.status_code != NO_CONTENT:
            raise InvalidResponse(f"{host} answered {response.status_code} and nothing else", host=host)
        self._warn_of_skew(ahead, host)
        _refuse_swarm(body)
        return ApiReply(body, response.headers.get("trackingid"), ahead)

    def _rejection(self, response: httpx.Response, body: bytes, host: str) -> HTTPStatusError:
        error = read_error(body, response.headers.get("trackingid"))
        sent = [secret_of_header(response.request.headers.get("Authorization", ""))]
        words = without_secrets(error.words, sent)
        # Only the host, as of every URL that is shown.
        if response.has_redirect_location:
            words = (
                f"redirects to {host_of(response.headers['Location']) or 'the same host'}; redirects are not followed"
            )
        return HTTPStatusError(
            response.status_code,
            code=without_secrets(error.code, sent),
            words=words,
            retry_after_s=retry_after_of(response, self._clock()),
            tracking_id=error.tracking_id,
            host=host,
        )

    def _moment(self) -> Moment:
        return Moment(self._clock(), anyio.current_time())

    def _note_date(self, response: httpx.Response, asked: Moment) -> float:
        """Keep the servers' time, also of a refusal: "this lies in the future" comes with the way to know better.

        Return by how many seconds our clock is ahead of it; an answer from a cache (``Age``) tells nothing.
        """
        theirs = _date_s(response.headers.get("Date")) if "Age" not in response.headers else None
        self._forget_after_a_jump()
        if theirs is None:
            return 0.0
        asked, read = response.extensions.get("asked", asked), self._moment()
        ahead = ahead_s(asked, read, theirs)
        # A clock further off ends the run (`_believed`); till then nothing is planned by it.  Nor by a `Date` that
        # was made before this machine slept: by it the servers' now would lie as far back as the sleep was long.
        if abs(ahead) <= SKEW_REFUSED_S and abs(lost_s(asked, read)) <= JUMP_S:
            self._offsets_s.append(theirs - anyio.current_time())
        return ahead

    def _warn_of_skew(self, ahead: float, host: str) -> None:
        if SKEW_WARNED_S < abs(ahead) <= SKEW_REFUSED_S and not self._skew_told:
            self._skew_told = True
            self._emit(Warned("clock_skew", _clock_words(ahead, host)))


def _clock_words(ahead: float, host: str) -> str:
    return f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {host}'s"


# Above 1 MB bodies come compressed, but only to those who ask; what they stand for is counted as it is inflated.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}


def _refuse_swarm(body: bytes) -> None:
    """Refuse an answer of many tiny values: within any cap on its bytes it would fill the memory and hold the loop."""
    containers = body.count(b"{") + body.count(b"[")
    if containers > MAX_CONTAINERS or body.count(b",") > MAX_VALUES:
        raise OperationFailed(
            GiveUp("answer_too_large"), InvalidResponse("the answer holds more values than any sound one")
        )


async def read_apart(body: bytes, read: Callable[[bytes], T]) -> T:
    """Read a body into values: a long one in a thread, so that downloads, signals and deadlines go on meanwhile."""
    if len(body) < READ_APART:
        return read(body)
    return await to_thread.run_sync(read, body)


async def _body_of(response: httpx.Response, cap: int, *, cut: bool) -> bytes:
    """Read at most ``cap`` decoded bytes; what is beyond is left out (``cut``) or refused."""
    pieces: list[bytes] = []
    size = 0
    async with aclosing(_decoded(response)) as decoded:
        async for piece in decoded:
            size += len(piece)
            pieces.append(piece)
            if size > cap:
                if cut:
                    break
                raise OperationFailed(
                    GiveUp("answer_too_large"), InvalidResponse(f"the answer is larger than {cap} bytes")
                )
    return b"".join(pieces)[:cap]


async def _decoded(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body, inflated in small steps if it came compressed."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if response.is_stream_consumed:  # somebody (the auth flow) has read and decoded it already
        yield response.content
    elif coding in ("", "identity"):
        async for piece in response.aiter_raw():
            yield piece
    elif coding in ("gzip", "x-gzip", "deflate"):
        async for piece in _inflated(response.aiter_raw()):
            yield piece
    else:
        raise InvalidResponse("the answer is encoded in a way that was not asked for")


async def _inflated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # 32: gzip or zlib, told by its first bytes, as servers send both under either name.
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    async for piece in pieces:
        rest = piece
        while rest and not inflate.eof:
            try:
                # In steps: a kilobyte may stand for a megabyte, and the cap is looked at between two pieces.
                clear = inflate.decompress(rest, READ_PIECE)
            except zlib.error:
                break
            yield clear
            rest = inflate.unconsumed_tail
        if rest and not inflate.eof:
            raise InvalidResponse("the answer's compression is damaged")
    if not inflate.eof:
        raise InvalidResponse("the answer's compression breaks off")


def _date_s(value: str | None) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (TypeError, ValueError, OverflowError):
        return None
