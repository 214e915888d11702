"""A server on this machine that waits for one browser to come back, and ends."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketListener, SocketStream

from wxrec_async.config import is_loopback
from wxrec_async.errors import AuthError, ConfigError

HEAD_LIMIT = 16 << 10  # bytes
HEAD_WITHIN_S = 10.0
ANY_NAME = "localhost"

Judge = Callable[[str], bool]
"""Takes a request's target (path and query); true when it is the redirect that was waited for."""


def catchable(redirect_uri: str) -> bool:
    """Say whether a server of ours can be what ``redirect_uri`` names: plain http on loopback."""
    pieces = urlsplit(redirect_uri)
    return pieces.scheme == "http" and is_loopback(pieces.hostname or "")


class Loopback:
    """Answers at ``redirect_uri`` and nowhere else; see `listening`."""

    def __init__(self, redirect_uri: str, listeners: list[SocketListener]) -> None:
        self._path = urlsplit(redirect_uri).path or "/"
        self._listeners = listeners
        self._caught: str | None = None
        self._done = anyio.Event()
        self._is_ours: Judge = lambda _target: False

    async def caught(self, is_ours: Judge, within_s: float) -> str:
        """Wait for the redirect that ``is_ours`` accepts and return its target; others are told so and forgotten.

        Raises `AuthError` when none comes in ``within_s`` seconds.
        """
        self._is_ours = is_ours
        with anyio.move_on_after(within_s):
            async with anyio.create_task_group() as group:
                for listener in self._listeners:
                    group.start_soon(listener.serve, self._answer)
                await self._done.wait()
                group.cancel_scope.cancel()
        if self._caught is None:
            raise AuthError(
                f"nobody logged in within {within_s / 60:g} minutes; run `wxrec-async login` again, with --no-browser "
                "when the browser is on another machine"
            )
        return self._caught

    async def _answer(self, stream: SocketStream) -> None:
        """Serve one connection one request; browsers open some they never use."""
        async with stream:
            try:
                with anyio.move_on_after(HEAD_WITHIN_S):
                    target = await _target(stream)
                    await self._reply(stream, target)
            except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
                return

    async def _reply(self, stream: SocketStream, target: str | None) -> None:
        if target is None:
            await stream.send(_page(400, "Bad Request", "This is not a request."))
        elif target.partition("?")[0] != self._path:
            await stream.send(_page(404, "Not Found", "There is nothing here."))
        # One answer is all there is: a page that is loaded again must not begin a second exchange of the same code.
        elif self._caught is not None or not self._is_ours(target):
            await stream.send(_page(400, "Bad Request", "This does not belong to the login that is under way."))
        else:
            self._caught = target
            try:
                await stream.send(_page(200, "OK", "Webex has answered. Close this page and go back to the terminal."))
            finally:
                # After the page was sent, for this ends the server and every connection; and also when the browser
                # has gone meanwhile: the answer is here, and its code lives for minutes only.
                self._done.set()


async def _target(stream: SocketStream) -> str | None:
    """Read a request's head; return the target of a GET, None for anything else."""
    head = bytearray()
    while b"\r\n\r\n" not in head:
        if len(head) > HEAD_LIMIT:
            return None
        head += await stream.receive(4096)
    words = bytes(head).partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or words[0] != b"GET" or not words[1].startswith(b"/"):
        return None
    return words[1].decode("ascii", "replace")


def _page(status: int, reason: str, text: str) -> bytes:
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def listening(redirect_uri: str) -> AsyncIterator[Loopback]:
    """Bind the loopback address that ``redirect_uri`` names, for as long as the context lasts.

    Raises `ConfigError` when the port is taken or may not be used.
    """
    pieces = urlsplit(redirect_uri)
    host, port = pieces.hostname or "", pieces.port or 80
    async with AsyncExitStack() as stack:
        listeners: list[SocketListener] = []
        # A browser may try either address for the name; whoever held the other one would get the code.
        for address in ("127.0.0.1", "::1") if host == ANY_NAME else (host,):
            if listener := await _bound(address, port, spare=bool(listeners)):
                listeners.append(await stack.enter_async_context(listener))
        yield Loopback(redirect_uri, listeners)


async def _bound(address: str, port: int, *, spare: bool) -> SocketListener | None:
    """Return the bound socket; None for a ``spare`` address that this machine does not have."""
    try:
        multi = await anyio.create_tcp_listener(local_host=address, local_port=port)
    except OSError as error:
        if spare and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return None
        raise ConfigError(_cannot_bind(error, address, port)) from None
    return multi.listeners[0]  # type: ignore[return-value]  # one literal address, one TCP listener


def _cannot_bind(error: OSError, address: str, port: int) -> str:
    way_out = "or use --no-browser, or name another registered address in [auth] redirect_uri"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {address} is in use by another program: end that, {way_out}"
    return f"port {port} of {address} cannot be listened on ({error.strerror}); {way_out.removeprefix('or ')}"
