"""Bodies that lie: every answer here is written past aiohttp, byte by byte."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from wxrec_async.sandbox.audio import Audio
from wxrec_async.sandbox.fault_kinds import Fault
from wxrec_async.sandbox.front import Call
from wxrec_async.sandbox.raw_http import RawReply, hold

Headers = dict[str, str]
BYTERANGES_END = b"\r\n--cut--\r\n"


@dataclass(slots=True)
class Faulty:
    """An answer that is about to go wrong: bytes ``start <= position < end`` of ``audio``."""

    call: Call
    fault: Fault
    reply: RawReply
    status: int
    headers: Headers
    audio: Audio
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def at(self, default: str = "middle") -> int:
        """Return the offset within the body where it happens."""
        where: str | int = self.fault.get("at", default)
        named: dict[str | int, int] = {
            "first": 1,
            "middle": self.length // 2,
            "last": self.length - 1,
            "end": self.length,
        }
        place = where if isinstance(where, int) else named[where]
        return max(0, min(place, self.length))

    def head(self, **more: str | None) -> None:
        """Write status and headers; names with underscores, None leaves a usual header out."""
        extra = {name.replace("_", "-"): value for name, value in more.items()}
        # Closed after each: what stands behind a body that lies could be taken for the next answer.
        usual: dict[str, str | None] = {"Content-Length": str(self.length), "Connection": "close"}
        lines = {**self.headers, **usual, **extra}
        self.reply.head(self.status, [(name, value) for name, value in lines.items() if value is not None])

    async def drip_head(self, count: int, interval: float) -> None:
        """Write a status line and then a header of ``count`` letters, one at a time; the others follow with `head`."""
        self.reply.head_begun = True
        await self.reply.plain(f"HTTP/1.1 {self.status} Sandbox\r\nX-Slow: ".encode())
        for _ in range(count):
            await self.reply.plain(b"z")
            await hold(self.call.request, interval)
        await self.reply.plain(b"\r\n")

    async def body(self, first: int = 0, last: int | None = None) -> None:
        """Write body bytes between two offsets."""
        stop = self.start + (self.length if last is None else last)
        for block in self.audio.read(self.start + first, stop):
            await self.reply.send(block)

    async def done(self) -> web.Response:
        return await self.reply.end(self.fault.get("end", "fin"))


async def _short_body(answer: Faulty) -> None:
    answer.head()
    await answer.body(0, answer.at())


async def _excess(answer: Faulty) -> None:
    answer.head()
    await answer.body()
    await answer.reply.send(b"\x55" * answer.fault.get("count", 100))


async def _unframed(answer: Faulty) -> None:
    answer.head(Content_Length=None)
    await answer.body(0, answer.at("end"))


async def _chunked(answer: Faulty) -> None:
    """Write a chunked body, whole with its last chunk or cut at an offset."""
    answer.head(Content_Length=None, Transfer_Encoding="chunked")
    cut = answer.at("end")
    for block in answer.audio.read(answer.start, answer.start + cut):
        await answer.reply.chunk(block)
    if cut == answer.length:
        await answer.reply.plain(b"0\r\n\r\n")


async def _bad_chunk(answer: Faulty) -> None:
    answer.head(Content_Length=None, Transfer_Encoding="chunked")
    for block in answer.audio.read(answer.start, answer.start + answer.at()):
        await answer.reply.chunk(block)
    await answer.reply.plain(b"zz\r\nnot a chunk\r\n")
    # Left open for a moment: what is to be seen is the damage, not the end of the connection.
    await hold(answer.call.request, answer.fault.get("seconds", 1.0))


async def _wrong_range(answer: Faulty) -> None:
    """Claim and deliver another range than the one asked for (206 even when none was)."""
    answer.status = 206
    answer.start = answer.start + 1 if answer.length > 1 else 0
    span = f"bytes {answer.start}-{answer.end - 1}/{answer.audio.size}"
    answer.head(Content_Range=span)
    await answer.body()


async def _other_total(answer: Faulty) -> None:
    """Deliver the range that was asked for, as one of a file that is longer now."""
    answer.head(Content_Range=f"bytes {answer.start}-{answer.end - 1}/{answer.audio.size + 1000}")
    await answer.body()


async def _byteranges(answer: Faulty) -> None:
    """Answer as servers do that were asked for several ranges."""
    answer.status = 206
    total = answer.audio.size
    first = f"--cut\r\nContent-Type: audio/wav\r\nContent-Range: bytes {answer.start}-{answer.end - 1}/{total}\r\n\r\n"
    length = len(first) + answer.length + len(BYTERANGES_END)
    kind = "multipart/byteranges; boundary=cut"
    answer.head(Content_Type=kind, Content_Range=None, Content_Length=str(length))
    await answer.reply.plain(first.encode())
    await answer.body()
    await answer.reply.plain(BYTERANGES_END)


async def _two_lengths(answer: Faulty) -> None:
    """Name two lengths; the second one, a smaller one, as a header of its own."""
    # Spelt differently it is another key of the dictionary, and so a second header.
    answer.head(Content_length=str(max(0, answer.length - 1)))
    await answer.body()


async def _length_and_chunked(answer: Faulty) -> None:
    """Name a length and send chunks all the same, well-formed ones."""
    answer.head(Transfer_Encoding="chunked")
    for block in answer.audio.read(answer.start, answer.end):
        await answer.reply.chunk(block)
    await answer.reply.plain(b"0\r\n\r\n")


async def _xml(answer: Faulty) -> None:
    """Send one of S3's errors under status 200."""
    code = answer.fault.get("code", "AccessDenied")
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>No</Message></Error>'.encode()
    answer.status = 200
    answer.head(Content_Type="application/xml", Content_Length=str(len(body)), Content_Range=None)
    await answer.reply.send(body)


async def _drip_head(answer: Faulty) -> None:
    await answer.drip_head(answer.fault.get("count", 20), answer.fault.get("interval", 0.05))
    answer.head()
    await answer.body()


async def _zero_bytes(answer: Faulty) -> None:
    answer.head(Content_Length="0")


async def _header_only(answer: Faulty) -> None:
    count = max(0, min(len(answer.audio.header) - answer.start, answer.length))
    answer.status = 200
    answer.head(Content_Length=str(count), Content_Range=None)
    await answer.body(0, count)


async def _gzip(answer: Faulty) -> None:
    """Compress although identity was asked for; ``at`` less than ``end`` cuts the stream, the length fits."""
    body = gzip.compress(answer.audio.slice(answer.start, answer.end), 1)
    body = body[: len(body) // 2] if answer.at("end") < answer.length else body
    answer.head(Content_Length=str(len(body)), Content_Encoding="gzip")
    await answer.reply.send(body)


async def _flip_bit(answer: Faulty) -> None:
    answer.head()
    place = min(answer.at(), answer.length - 1)
    await answer.body(0, place)
    position = answer.start + place
    # Nothing on the wire shows it: neither captures nor the media host names a checksum.
    await answer.reply.send(bytes([answer.audio.slice(position, position + 1)[0] ^ 1]))
    await answer.body(place + 1)


async def _stall_body(answer: Faulty) -> None:
    answer.head()
    place = answer.at()
    await answer.body(0, place)
    await hold(answer.call.request, answer.fault.get("seconds", 3600.0))
    await answer.body(place)


async def _drip(answer: Faulty) -> None:
    answer.head()
    place = answer.at()
    await answer.body(0, place)
    for _ in range(answer.fault.get("count", 20)):
        if place >= answer.length:
            break
        await answer.body(place, place + 1)
        place += 1
        await hold(answer.call.request, answer.fault.get("interval", 0.05))
    await answer.body(place)


BODY_FAULTS: dict[str, Callable[[Faulty], Awaitable[None]]] = {
    "short_body": _short_body,
    "excess": _excess,
    "unframed": _unframed,
    "chunked": _chunked,
    "bad_chunk": _bad_chunk,
    "two_lengths": _two_lengths,
    "length_and_chunked": _length_and_chunked,
    "wrong_range": _wrong_range,
    "other_total": _other_total,
    "byteranges": _byteranges,
    "xml": _xml,
    "drip_head": _drip_head,
    "zero_bytes": _zero_bytes,
    "header_only": _header_only,
    "gzip": _gzip,
    "flip_bit": _flip_bit,
    "stall_body": _stall_body,
    "drip": _drip,
}


async def write_faulty(call: Call, status: int, headers: Headers, audio: Audio, start: int, end: int) -> web.Response:
    """Answer a GET as the call's fault has it, and close the connection."""
    fault = call.fault or Fault("short_body")
    answer = Faulty(call, fault, RawReply(call.request), status, headers, audio, start, end)
    try:
        await BODY_FAULTS[fault.kind](answer)
        return await answer.done()
    finally:
        # aiohttp does not know what was written past it.
        call.entry.status, call.entry.sent = answer.status, answer.reply.sent
