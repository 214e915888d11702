"""HTTP/1.1 without sockets: the client's own aiohttp writes and reads real bytes, the other end is a function.

What a server may do to a connection is in `Answer`; aiohttp's parser, not ours,
decides what the program sees of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp

from tests.worlds.clock import SKY

PIECE = 32 << 10
LATENCY_S = 0.02


@dataclass(frozen=True, slots=True)
class Request:
    """What the client sent; ``headers`` have lower-case names."""

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    ``framing`` is how the end of the body is told: ``length``, ``chunked`` or
    ``close``.  Of the body ``cut`` bytes come before the connection breaks, none
    of the head when ``lost``.  ``said`` stands for the body's length where the
    head lies about it.  After ``stall`` bytes nothing more comes, ever.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    framing: str = "length"
    delay_s: float = LATENCY_S
    cut: int | None = None
    stall: int | None = None
    lost: bool = False
    said: int | None = None

    def with_header(self, name: str, value: str | None) -> Answer:
        """Return it with this header, or without it."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=(*kept, (name, value)) if value is not None else kept)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def pieces(self, method: str) -> list[bytes]:
        """Return the bytes of head and body, in the pieces they go out in."""
        bare = method == "HEAD" or self.status in (204, 304)
        head = f"HTTP/1.1 {self.status} {'OK' if self.status < 300 else 'Refused'}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        if self.framing == "length" and self.header("Content-Length") is None and self.status != 204:
            head += f"Content-Length: {len(self.body) if self.said is None else self.said}\r\n"
        if self.framing == "chunked" and not bare:
            head += "Transfer-Encoding: chunked\r\n"
        if self.framing == "close":
            head += "Connection: close\r\n"
        sent = b"" if bare else self.body
        for mark in (self.cut, self.stall):
            sent = sent if mark is None or bare else sent[:mark]
        bodies = [sent[at : at + PIECE] for at in range(0, len(sent), PIECE)]
        if self.framing == "chunked" and not bare:
            bodies = [b"%x\r\n%b\r\n" % (len(each), each) for each in bodies]
            bodies += [b"0\r\n\r\n"] if self.cut is None and self.stall is None else []
        return [head.encode("latin-1") + b"\r\n", *bodies]


Server = Callable[[Request], Answer]


class _Line(asyncio.Transport):
    """One connection: takes the client's bytes, asks the server, hands back the answer's."""

    def __init__(self, protocol: Any, host: str, server: Server) -> None:
        super().__init__()
        self._protocol, self._host, self._server = protocol, host, server
        self._loop = asyncio.get_running_loop()
        self._got, self._closing, self._paused = bytearray(), False, False
        self._out: list[bytes] = []
        self._ends = self._stalled = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        if self._out or self._ends:
            self._loop.call_soon(self._send)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def write(self, data: Any) -> None:
        if self._closing:
            return
        self._got += data
        request = self._whole()
        if request is not None:
            self._loop.call_later(LATENCY_S / 2, self._serve, request)

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def _whole(self) -> Request | None:
        """Take a request off when all of it has come."""
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = bytes(self._got[:end]).decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body, rest = _body_of(bytes(self._got[end + 4 :]), headers)
        if body is None:
            return None
        self._got = bytearray(rest)
        method, target, _ = first.split(" ")
        return Request(method, self._host, target, headers, body)

    def _serve(self, request: Request) -> None:
        answer = self._server(request)
        self._loop.call_later(answer.delay_s, self._begin, answer, request.method)

    def _begin(self, answer: Answer, method: str) -> None:
        if self._closing:
            return
        self._out = [] if answer.lost else answer.pieces(method)
        self._stalled = answer.stall is not None
        self._ends = answer.lost or answer.cut is not None or answer.framing == "close"
        self._send()

    def _send(self) -> None:
        if self._closing or self._paused:
            return
        if self._out:
            self._protocol.data_received(self._out.pop(0))
            if self._out or self._ends:
                self._loop.call_soon(self._send)
        elif self._ends and not self._stalled:
            self._ends = False
            self._closing = True
            self._protocol.connection_lost(None)


def _body_of(data: bytes, headers: dict[str, str]) -> tuple[bytes | None, bytes]:
    """Return the body, None while it is not all there, and what lies behind it."""
    if "chunked" not in headers.get("transfer-encoding", "").lower():
        length = int(headers.get("content-length", "0"))
        return (data[:length], data[length:]) if len(data) >= length else (None, b"")
    body = b""
    while b"\r\n" in data:
        size, _, data = data.partition(b"\r\n")
        count = int(size.split(b";")[0], 16)
        if len(data) < count + 2:
            break
        body, data = body + data[:count], data[count + 2 :]
        if count == 0:
            return body, data
    return None, b""


def install(server: Server) -> None:
    """Have every connection that aiohttp opens in this process lead to ``server``."""

    async def create(self: Any, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's own
        await asyncio.sleep(LATENCY_S)
        protocol = self._factory()
        protocol.connection_made(_Line(protocol, str(req.url.raw_host), server))
        return protocol

    aiohttp.TCPConnector._create_connection = create  # type: ignore[method-assign]


def now_ms() -> int:
    """Return what the servers' clock says."""
    return round(SKY.now * 1000)
