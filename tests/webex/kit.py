"""A server that answers with the very bytes it is told to, and what the Webex tests need around it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import httpx

from wxrec_async.errors import RemoteError
from wxrec_async.events import Event
from wxrec_async.model import Recording, Secret
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import Retrier, RetryPolicy
from wxrec_async.rules.retry import for_api, for_download
from wxrec_async.webex.media import MediaLimits, Renew, WebexMedia
from wxrec_async.webex.transport import AiohttpTransport, Timeouts, tls_context

PLAIN = tls_context()  # loading the system's certificates once is enough
QUICK = Timeouts(connect_s=2.0, head_s=2.0, read_s=0.3)


class Connection:
    """One accepted connection: what a script writes to, and the ways to end it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def fin(self) -> None:
        """Close as a well-behaved peer does."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def rst(self) -> None:
        """Reset: what the other side has not read yet may be lost."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_gone(self) -> None:
        """Say nothing more until the other side hangs up."""
        with suppress(OSError):
            while await self.reader.read(65536):
                pass


Script = Callable[[Connection, "Request"], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """A request as it came, head only; header names in lower case."""

    head: bytes
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Server:
    """Answers the n-th request with the n-th script, the last one for all further requests."""

    scripts: Sequence[Script]
    host: str = "127.0.0.1"
    scheme: str = "http"
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def url(self, target: str = "/rec?X-Amz-Signature=CANARY-SIG-1") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{target}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = Connection(reader, writer)
        try:
            while not writer.is_closing():
                request = await read_request(reader)
                self.requests.append(request)
                await self.scripts[min(len(self.requests), len(self.scripts)) - 1](connection, request)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            with suppress(OSError):  # who writes to somebody who has gone is told here a second time
                await writer.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(head, lines[0].split(" ")[1], headers, body)


@asynccontextmanager
async def serving(
    *scripts: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """Run a server on loopback for the length of the block, and leave no task of it behind."""
    server = Server(scripts, host=host, scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(server.handle(reader, writer))
        tasks.add(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets aborted connections report themselves lost


def head(status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def whole(body: bytes, *headers: str, status: str = "200 OK") -> Script:
    """Answer with the whole body and keep the connection."""

    async def script(connection: Connection, request: Request) -> None:
        await connection.send(head(status, *headers, length=len(body)) + body)

    return script


def raw(data: bytes, end: str = "keep") -> Script:
    """Write exactly these bytes, then ``keep`` the connection, send ``fin`` or ``rst``, or ``stall``."""

    async def script(connection: Connection, request: Request) -> None:
        await connection.send(data)
        match end:
            case "fin":
                await connection.fin()
            case "rst":
                await asyncio.sleep(0.05)  # else the reset overtakes the bytes
                connection.rst()
            case "stall":
                await connection.until_gone()
            case _:
                pass

    return script


def cut(body: bytes, at: int, *headers: str, end: str = "fin", status: str = "200 OK") -> Script:
    """Promise the whole body, send ``at`` bytes of it."""
    return raw(head(status, *headers, length=len(body)) + body[:at], end)


def ranged(body: bytes, *headers: str, upto: int | None = None, end: str = "keep") -> Script:
    """Serve ranges as S3 does; ``upto`` is the byte before which the connection ends in the way of ``end``."""

    async def script(connection: Connection, request: Request) -> None:
        wanted = request.headers.get("range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if wanted and start >= len(body):
            refusal = f"Content-Range: bytes */{len(body)}"
            await connection.send(head("416 Range Not Satisfiable", refusal, length=0))
            return
        lines = list(headers)
        status = "200 OK"
        if wanted:
            status = "206 Partial Content"
            lines.append(f"Content-Range: bytes {start}-{len(body) - 1}/{len(body)}")
        await raw(head(status, *lines, length=len(body) - start) + body[start:upto], end)(connection, request)

    return script


def s3_error(status: str, code: str, message: str = "no") -> Script:
    xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return whole(xml.encode(), "Content-Type: application/xml", status=status)


@asynccontextmanager
async def transport(**knobs: object) -> AsyncIterator[AiohttpTransport]:
    """Make a transport with short deadlines, closed at the end of the block."""
    settings: dict[str, object] = {"tls": PLAIN, "timeouts": QUICK, **knobs}
    made = AiohttpTransport(**settings)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.aclose()


async def fetch(made: httpx.AsyncBaseTransport, url: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """Send one GET and read its body."""
    response = await made.handle_async_request(httpx.Request("GET", url, headers=headers))
    return response, await drained(response)


async def drained(response: httpx.Response, into: bytearray | None = None) -> bytes:
    got = bytearray() if into is None else into
    try:
        async for chunk in response.aiter_raw():
            got += chunk
    finally:
        await response.aclose()
    return bytes(got)


@dataclass
class Told:
    """What a retrier reported."""

    retries: list[tuple[str, int, float, RemoteError]] = field(default_factory=list)

    def __call__(self, operation: str, attempt: int, after_s: float, trouble: RemoteError) -> None:
        self.retries.append((operation, attempt, after_s, trouble))


def retrier(judge: RetryPolicy, told: Told | None = None, gate: CircuitBreaker | None = None) -> Retrier:
    """Make a retrier that decides as the real one does and never waits (no jitter: chance 0)."""
    return Retrier(
        judge, gate=gate or CircuitBreaker(), reach=NetworkMonitor(), on_retry=told or Told(), chance=lambda: 0.0
    )


def api_retrier(told: Told | None = None) -> Retrier:
    return retrier(for_api, told)


def recording(url: str, **facts: object) -> Recording:
    """Make a recording whose lease begins now; the monotonic clock's zero may be hours or seconds ago."""
    facts = {"leased_at": anyio.current_time(), **facts}
    return Recording("task-1", "task-1", "combinedRecordings.wav", Secret(url), **facts)  # type: ignore[arg-type]


async def never_renew(_: Recording) -> Recording:
    raise AssertionError("no fresh URL should have been asked for")


def media(
    made: httpx.AsyncBaseTransport, renew: Renew = never_renew, told: Told | None = None, **limits: float
) -> WebexMedia:
    """Make a source of media on loopback that decides as the real one does and never waits."""
    return WebexMedia(
        made,
        renew=renew,
        retrier=retrier(for_download, told),
        hosts=("*.media.test",),
        loopback=True,
        limits=MediaLimits(**limits),  # type: ignore[arg-type]
    )


def events_of(kind: type[Event], events: Iterable[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def chain_text(exc: BaseException | None) -> str:
    """Everything an exception and those it drags along would print."""
    seen: list[str] = []
    queue = [exc]
    while queue:
        if (one := queue.pop()) is None or len(seen) > 50:
            continue
        seen += [repr(one), str(one)]
        queue += [one.__cause__, one.__context__]
        queue += getattr(one, "exceptions", ())
    return "\n".join(seen)
