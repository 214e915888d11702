"""One aiohttp session behind httpx's transport interface.

httpx gives the interface (auth flows, fakes in tests), aiohttp moves the bytes
at a quarter of the cost of httpx's own transport.  What aiohttp does on its own
account is switched off: cookies, redirects, decompression, proxies from the
environment, headers nobody asked for, re-quoting of URLs, and repeating requests.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver

from wxrec_async.webex.errors import AddressRefused, CertificateRefused, HeadRefused, ProxyRefused
from wxrec_async.webex.pacing import PacedTransport

__all__ = ["AiohttpTransport", "PacedTransport", "Timeouts", "framing_of", "tls_context"]

AddressCheck = Callable[[str], bool]

# aiohttp's own limit of 8 KiB refuses heads that others take.
MAX_HEAD_LINE = 64 << 10
AUTO_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
# The other side went away in mid handshake: that may pass.  All else of TLS is a matter of certificates.
TRANSIENT_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to get a connection, to the end of the answer's head (connecting included), for one read of a body."""

    connect_s: float = 15.0
    head_s: float = 30.0
    read_s: float = 30.0


DEFAULT_TIMEOUTS = Timeouts()


def tls_context(ca_bundle: Path | None = None) -> ssl.SSLContext:
    """Build the one TLS context of the process: TLS 1.2 or newer, always verifying.

    ``ca_bundle`` takes the place of the system's certificates.  Raises OSError
    (`ssl.SSLError` is one) when it cannot be read.
    """
    context = ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests byte for byte, each exactly once, over at most ``limit`` connections.

    Raises httpx's exceptions (see `errors` for three of our own) whose texts
    never contain a URL.  ``read_buffer`` is in bytes; a connection holds up to
    twice that.  ``address_check`` is asked with the very address a socket is
    about to connect to, so neither DNS rebinding nor an address literal gets
    around it; with a ``proxy`` it is the proxy that connects, and it is not asked.
    A response's ``extensions["framing"]`` is ``"length"``, ``"chunked"`` or ``"none"``.
    """

    def __init__(  # noqa: PLR0913 - the knobs of a transport, all but one with defaults
        self,
        *,
        tls: ssl.SSLContext,
        limit: int = 100,
        read_buffer: int = 64 << 10,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        proxy: str = "",
        address_check: AddressCheck | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._tls, self._limit, self._read_buffer = tls, limit, read_buffer
        self._timeouts, self._proxy, self._resolver = timeouts, proxy, resolver
        self._address_check = None if proxy else address_check
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` and return when the answer's head is there; the body is read from the stream."""
        body = await request.aread()
        url = _exact_url(request.url)
        try:
            # For the whole head: a read timer, which is off here, would begin anew with every byte of one that drips.
            async with asyncio.timeout(self._timeouts.head_s):
                response = await self._open_session().request(
                    request.method,
                    url,
                    data=body or None,
                    headers=request.headers.multi_items(),
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as exc:
            failure = _translated(exc)
        else:
            return _as_httpx(response, self._timeouts.read_s)
        raise failure  # not inside the except block: the original's text contains the URL

    async def aclose(self) -> None:
        """Close every connection; may be called more than once."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        """Make the session on first use, because it belongs to the running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=self._read_buffer,
                max_line_size=MAX_HEAD_LINE,
                max_field_size=MAX_HEAD_LINE,
                skip_auto_headers=AUTO_HEADERS,
                proxy=self._proxy or None,
                # The read timer is ours (`_Body`): aiohttp's dies with a damaged chunk and costs a timer per segment.
                timeout=aiohttp.ClientTimeout(
                    connect=self._timeouts.connect_s, sock_connect=self._timeouts.connect_s, sock_read=None
                ),
            )
            self._session._retry_connection = False  # no argument for it; else GETs are repeated behind our back
        return self._session

    def _connector(self) -> aiohttp.TCPConnector:
        return _CleanConnector(
            ssl=self._tls,
            limit=self._limit,
            resolver=self._resolver,
            socket_factory=self._checked_socket if self._address_check else None,
        )

    def _checked_socket(self, address: Any) -> socket.socket:
        # Here and not when the name is resolved: this is the address that is connected to.
        family, kind, proto, _, where = address
        if self._address_check is not None and not self._address_check(str(where[0])):
            raise _Forbidden
        return socket.socket(family, kind, proto)


class _Forbidden(OSError):
    """This address must not be connected to."""

    def __str__(self) -> str:
        return "forbidden address"


class _CleanConnector(aiohttp.TCPConnector):
    """Never reuses a connection on which bytes arrived while it lay idle: they would answer the wrong request."""

    async def _get(self, key: Any, traces: Any) -> Any:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None


class _Body(httpx.AsyncByteStream):
    """The raw body, in whatever pieces arrive; a read that waits longer than ``read_s`` fails.

    One timer per response, moved lazily, instead of one per read: it looks only
    at how long the current read has been waiting, so time in which nobody reads
    (back-pressure) does not count.
    """

    def __init__(self, response: aiohttp.ClientResponse, read_s: float) -> None:
        self._response, self._read_s = response, read_s
        self._loop = asyncio.get_running_loop()
        self._waiting_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content, clock = self._response.content, self._loop.time
        try:
            self._watch()
            while True:
                # Around the read alone: while our reader takes its time the server is not late.
                self._waiting_since = clock()
                chunk = await content.readany()
                self._waiting_since = None
                if not chunk:
                    return
                yield chunk
        except (aiohttp.ClientError, OSError, RuntimeError, TimeoutError) as exc:
            failure = _translated(exc)
        finally:
            self._unwatch()
        raise failure

    async def aclose(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        self._unwatch()
        # Where the body was read to its end aiohttp has taken the connection back already, and keeps it.
        self._response.close()

    def _watch(self) -> None:
        now = self._loop.time()
        since = self._waiting_since if self._waiting_since is not None else now
        if now - since >= self._read_s:
            self._response.content.set_exception(aiohttp.SocketTimeoutError("read"))
        else:
            self._timer = self._loop.call_at(since + self._read_s, self._watch)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _exact_url(url: httpx.URL) -> yarl.URL:
    """Hand the URL on byte for byte: a pre-signed URL that was re-quoted is another URL."""
    exact = yarl.URL(str(url), encoded=True)
    if exact.raw_path_qs.encode() != url.raw_path:
        raise httpx.UnsupportedProtocol("the URL cannot be sent as it is")
    return exact


def _as_httpx(response: aiohttp.ClientResponse, read_s: float) -> httpx.Response:
    headers = response.headers
    framing = framing_of(headers.get("Transfer-Encoding"), headers.get("Content-Length"))
    return httpx.Response(
        response.status,
        headers=response.raw_headers,
        stream=_Body(response, read_s),
        extensions={"framing": framing},
    )


def framing_of(transfer_encoding: str | None, content_length: str | None) -> str:
    """Say what proves a body's end: its ``length``, the final chunk (``chunked``), or nothing (``none``)."""
    if transfer_encoding and "chunked" in transfer_encoding.lower():
        return "chunked"
    return "length" if content_length is not None else "none"


# aiohttp's failures as httpx's


def _translated(exc: BaseException) -> Exception:
    """Choose httpx's exception for aiohttp's, first match wins, and never copy its text: it contains the URL."""
    match exc:
        # Kinds before what they are a kind of: this is a TimeoutError as well, a proxy's error one of the answer's.
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout("no connection in time")
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError():
            return _without_connection(exc)
        case aiohttp.ClientHttpProxyError(status=status):
            return ProxyRefused(status)
        case TimeoutError():  # aiohttp's own timeouts are TimeoutErrors too
            return httpx.ReadTimeout("no answer in time")
        case aiohttp.ClientResponseError():  # the parser's, which found it before there was a response
            return HeadRefused("the answer's head is not HTTP")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("the answer broke off or makes no sense")
        case aiohttp.ClientConnectionError():
            return httpx.ReadError("the connection was reset")
        case ValueError() | aiohttp.NonHttpUrlClientError():  # aiohttp.InvalidURL is a ValueError
            return httpx.UnsupportedProtocol("the request cannot be sent as it is")
        case _:
            return httpx.RemoteProtocolError("the connection broke")


def _without_connection(exc: BaseException) -> httpx.ConnectError:
    match exc:
        case aiohttp.ClientConnectorCertificateError():
            return CertificateRefused("the certificate was refused")
        case aiohttp.ClientConnectorError(os_error=_Forbidden()):
            return AddressRefused("the address is not allowed")
        case aiohttp.ClientConnectorSSLError(os_error=cause) if not isinstance(cause, TRANSIENT_TLS):
            return CertificateRefused("the TLS handshake failed")
        case _:
            return httpx.ConnectError("no connection")
