"""A recording's bytes from its pre-signed URL.

The requests carry no credential, no cookie and no header but three: they are
made by hand and go straight to the transport, so there is no client that could
add one, follow a redirect, or log the URL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from wxrec_async.errors import InvalidMedia, RemoteError
from wxrec_async.model import Kind, Recording
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import Retrier
from wxrec_async.rules.media_urls import host_of, media_url_problem
from wxrec_async.rules.retry import MAX_WAIT_S
from wxrec_async.webex.errors import FOREIGN, remote_error_from
from wxrec_async.webex.media_head import Head, asked_wait_s, read_head
from wxrec_async.webex.media_stream import DEFAULT_LIMITS, MediaLimits, Renew, ResumingStream

__all__ = ["MediaLimits", "Renew", "ResumingStream", "WebexMedia"]


class WebexMedia:
    """Opens recordings.

    ``transport`` is the media's own (an `AiohttpTransport` with an
    ``address_check``), apart from the API's.  ``retrier`` judges with
    `rules.retry.for_download` and shares ``gate`` and ``reach`` with this source.
    ``renew`` asks captures for a fresh URL.  ``hosts`` and ``loopback`` are those
    of `rules.media_urls.media_url_problem`, which is asked before every request.
    """

    def __init__(  # noqa: PLR0913 - everything a download depends on is handed in
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        renew: Renew,
        retrier: Retrier,
        hosts: Sequence[str],
        loopback: bool = False,
        gate: CircuitBreaker | None = None,
        reach: NetworkMonitor | None = None,
        limits: MediaLimits = DEFAULT_LIMITS,
        user_agent: str = "wxrec-async",
    ) -> None:
        self._transport, self._renew, self._retrier = transport, renew, retrier
        self._hosts, self._loopback = tuple(hosts), loopback
        self._gate, self._reach, self._limits = gate or CircuitBreaker(), reach, limits
        self._headers = {"Accept-Encoding": "identity", "User-Agent": user_agent}

    @asynccontextmanager
    async def open(self, recording: Recording) -> AsyncIterator[ResumingStream]:
        """Send the request, and yield the stream when the answer's head is there.

        Opening and reading raise `OperationFailed` with one of three decisions:
        ``GiveUp(reason)`` (this recording has failed), ``DeletedAtSource()`` (S3
        says so, and captures, asked afterwards, names it no longer) and
        ``Restart()`` (begin again from byte 0: the bytes at the source are others, or
        the body was no recording); and `AuthError`, `RunStopped`.
        Whether the bytes are a sound recording, or any, is not judged here.
        """
        stream = ResumingStream(recording, self._fetch, renew=self._renew, retrier=self._retrier, limits=self._limits)
        try:
            await stream.begin()
            yield stream
        finally:
            await stream.aclose()

    async def _fetch(self, recording: Recording, offset: int, etag: str | None) -> tuple[httpx.Response, Head]:
        """Ask for the bytes from ``offset`` on, without ``etag`` for all; after a `RemoteError` no response is open."""
        url = recording.url.reveal() if recording.url else ""
        host = host_of(url)
        if (problem := media_url_problem(url, self._hosts, loopback=self._loopback)) is not None:
            raise InvalidMedia("bad_url", f"the URL is refused: {problem}", host=host)
        try:
            return await self._ask(url, offset, etag, recording.kind)
        except FOREIGN as exc:
            foreign: Exception = exc
        except RemoteError as exc:
            # Raised by what sees only the answer.
            exc.host = host
            raise
        raise remote_error_from(foreign, host)

    async def _ask(self, url: str, offset: int, etag: str | None, kind: Kind) -> tuple[httpx.Response, Head]:
        request = _request(url, {**self._headers, **_condition(offset, etag)})
        async with self._gate.request():
            response = await self._transport.handle_async_request(request)
            # Still inside the gate: whoever stands behind us must not go through before this was heard.
            if wait := asked_wait_s(response):
                self._gate.close(min(wait, MAX_WAIT_S))
        if self._reach is not None:
            self._reach.succeeded()
        try:
            return response, await read_head(response, offset, ranged=etag is not None, url=url, kind=kind)
        # Cancelled as well: nobody else has the response yet, and its connection would not come back.
        except BaseException:
            await response.aclose()
            raise


def _condition(offset: int, etag: str | None) -> dict[str, str]:
    """Ask for the rest of the very bytes that a strong ETag names (RFC 9110 section 13.1.5)."""
    return {"Range": f"bytes={offset}-", "If-Match": etag} if etag is not None else {}


def _request(url: str, headers: dict[str, str]) -> httpx.Request:
    """Build the request, or refuse when path or query would not arrive byte for byte."""
    request = httpx.Request("GET", url, headers=headers)
    target = url.partition("://")[2].partition("?")
    path = "/" + target[0].partition("/")[2]
    if request.url.raw_path.decode() != path + target[1] + target[2]:
        raise httpx.UnsupportedProtocol("the URL cannot be sent as it is")
    return request
