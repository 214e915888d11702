"""Below HTTP: cut, hold, and write answers that no well-behaved server writes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable

from aiohttp import web

HIGH_WATER = 1 << 20


def cut(request: web.BaseRequest, *, reset: bool = True) -> web.Response:
    """End the connection now, with RST or FIN; what was already written is sent first when it is FIN."""
    transport = request.transport
    if transport is not None:
        if reset:
            # It is this that makes the kernel send RST; abort() by itself ends in a FIN.
            _linger_zero(transport)
            transport.abort()
        else:
            transport.close()
    return web.Response()  # never sent


def is_gone(request: web.BaseRequest) -> bool:
    """Whether the connection is closed or closing."""
    return request.transport is None or request.transport.is_closing()


async def hold(request: web.BaseRequest, seconds: float) -> None:
    """Keep the client waiting, at most until it leaves."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0 and not is_gone(request):
        # In slices, as aiohttp does not wake a handler whose client has left.
        await asyncio.sleep(min(left, 0.05))


class RawReply:
    """An answer written byte by byte past aiohttp's own framing; end it with ``fin()`` or ``rst()``."""

    def __init__(self, request: web.BaseRequest) -> None:
        if request.transport is None:
            raise ConnectionResetError
        self._request = request
        self._transport = request.transport
        self.sent = 0
        self.head_begun = False

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Write the head, or what is left of it when its beginning was written before (``head_begun``)."""
        first = "" if self.head_begun else f"HTTP/1.1 {status} Sandbox\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._transport.write(f"{first}{lines}\r\n".encode("latin-1"))

    async def send(self, data: bytes) -> None:
        """Write body bytes, waiting while the client does not read; raises ConnectionResetError when it left."""
        await self.plain(data)
        self.sent += len(data)

    async def chunk(self, data: bytes) -> None:
        """Write one well-formed chunk."""
        await self.plain(f"{len(data):x}\r\n".encode())
        await self.send(data)
        await self.plain(b"\r\n")

    async def plain(self, data: bytes) -> None:
        """Write bytes that are no part of the body."""
        if self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(data)
        # What the client does not read must not pile up here: a real server is held up by it as well.
        while self._transport.get_write_buffer_size() > HIGH_WATER and not self._transport.is_closing():
            await asyncio.sleep(0.002)

    async def end(self, how: str) -> web.Response:
        """Close with ``fin`` or ``rst``, after what was written has left this process."""
        while self._transport.get_write_buffer_size() and not self._transport.is_closing():
            await asyncio.sleep(0.002)
        return cut(self._request, reset=how == "rst")


def _linger_zero(transport: asyncio.Transport) -> None:
    """Make close() send RST, as a crashing server or a firewall does."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
