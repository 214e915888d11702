"""Bodies that are not what they were said to be, on real sockets (faults.md section 7.2 and 7.3)."""

from __future__ import annotations

import asyncio
import gzip
import time

import anyio
import httpx
import pytest

from wxrec_async.webex.transport import Timeouts

from .kit import Connection, Request, Script, chain_text, cut, drained, fetch, head, raw, serving, transport, whole

pytestmark = pytest.mark.anyio

BODY = bytes(range(256)) * 1024
CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
WHOLE_CHUNKS = b"5\r\nhello\r\n5\r\nworld\r\n"


@pytest.mark.fault("D05", "D19")
@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize("at", [0, 1, len(BODY) // 2, len(BODY) - 1])
async def test_body_shorter_than_its_length_is_an_error(at: int, end: str) -> None:
    """However the connection ends, and after whichever byte, a short body never looks whole."""
    got = bytearray()
    async with serving(cut(BODY, at, end=end)) as server, transport() as made:
        response = await made.handle_async_request(httpx.Request("GET", server.url()))
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
            await drained(response, got)
    assert BODY.startswith(bytes(got))
    assert len(got) <= at
    assert "CANARY" not in chain_text(caught.value)


@pytest.mark.fault("D09")
@pytest.mark.parametrize(
    ("data", "end"),
    [
        (CHUNKED + WHOLE_CHUNKS, "fin"),
        (CHUNKED + WHOLE_CHUNKS, "rst"),
        (CHUNKED + WHOLE_CHUNKS + b"5\r\nhe", "fin"),
        (CHUNKED + WHOLE_CHUNKS + b"0\r\n", "fin"),
    ],
    ids=["between-fin", "between-rst", "inside", "last-crlf"],
)
async def test_chunked_body_without_its_final_chunk_is_an_error(data: bytes, end: str) -> None:
    """A chunked body is whole only when the final chunk came."""
    async with serving(raw(data, end)) as server, transport() as made:
        response = await made.handle_async_request(httpx.Request("GET", server.url()))
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await drained(response)


@pytest.mark.fault("A1", "D09")
@pytest.mark.parametrize("damage", [b"ZZ\r\nhello\r\n", b"5\r\nhelloXX5\r\nworld\r\n"], ids=["size", "crlf"])
@pytest.mark.parametrize("pause_s", [0.0, 0.05], ids=["at once", "in a later segment"])
async def test_damaged_chunk_ends_within_the_read_deadline(damage: bytes, pause_s: float) -> None:
    """aiohttp never tells the reader of damage that comes after the head's own segment; our own deadline does."""

    async def damaged(connection: Connection, request: Request) -> None:
        await connection.send(CHUNKED + WHOLE_CHUNKS + (b"" if pause_s else damage))
        if pause_s:
            await asyncio.sleep(pause_s)
            await connection.send(damage)
        await connection.until_gone()

    started = time.monotonic()
    async with serving(damaged) as server, transport() as made:
        with pytest.raises(httpx.TransportError):
            await fetch(made, server.url())
        assert time.monotonic() - started < 9.0
        server.scripts = [whole(b"fine")]
        assert (await fetch(made, server.url()))[1] == b"fine"


@pytest.mark.fault("D16")
async def test_stall_in_the_body_is_a_read_timeout() -> None:
    """No byte for the time allowed ends the read, and the bytes before it were handed out."""
    got = bytearray()
    async with serving(cut(BODY, 1000, end="stall")) as server, transport() as made:
        started = time.monotonic()
        response = await made.handle_async_request(httpx.Request("GET", server.url()))
        with pytest.raises(httpx.ReadTimeout):
            await drained(response, got)
    assert bytes(got) == BODY[:1000]
    assert 0.25 < time.monotonic() - started < 9.0


@pytest.mark.fault("D16")
async def test_time_in_which_nobody_reads_is_no_read_timeout() -> None:
    """Back-pressure is ours, not the server's: a reader that pauses longer than the deadline loses nothing."""
    async with serving(whole(BODY)) as server, transport(read_buffer=16 << 10) as made:
        response = await made.handle_async_request(httpx.Request("GET", server.url()))
        got = b""
        async for chunk in response.aiter_raw():
            if not got:
                await anyio.sleep(0.7)
            got += chunk
        await response.aclose()
    assert got == BODY


@pytest.mark.fault("D18")
async def test_dripping_head_meets_its_deadline() -> None:
    """A head that comes byte by byte does not restart the clock."""

    async def drip(connection: Connection, request: Request) -> None:
        for byte in head("200 OK", "X-Slow: " + "y" * 200, length=0):
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.05)

    async with serving(drip) as server, transport(timeouts=Timeouts(2.0, 0.4, 0.3)) as made:
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            await fetch(made, server.url())
    assert time.monotonic() - started < 9.0  # the whole head would take 12 s


@pytest.mark.fault("D08", "A2")
async def test_body_without_length_is_told_apart() -> None:
    """A body that only the end of the connection ends is delivered, and marked as proved by nothing (A2)."""
    async with serving(raw(head() + b"half of it", "fin")) as server, transport() as made:
        response, body = await fetch(made, server.url())
    assert (body, response.extensions["framing"]) == (b"half of it", "none")


@pytest.mark.parametrize(
    ("script", "framing"),
    [(whole(b"abc"), "length"), (raw(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"), "chunked")],
    ids=["length", "chunked"],
)
async def test_framing_that_proves_the_end_is_named(script: Script, framing: str) -> None:
    """Content-Length and chunked framing are named as what they prove."""
    async with serving(script) as server, transport() as made:
        response, body = await fetch(made, server.url())
    assert (body, response.extensions["framing"]) == (b"abc", framing)


@pytest.mark.fault("D06", "D07", "A6")
@pytest.mark.parametrize(
    "data",
    [
        head("200 OK", "Content-Length: 5", "Content-Length: 6") + b"hello!",
        head("200 OK", "Transfer-Encoding: chunked", length=5) + b"5\r\nhello\r\n0\r\n\r\n",
        head("200 OK", "Content-Length: +5") + b"hello",
        head("200 OK", "Content-Length: -1") + b"hello",
        head(length=5) + b"hello and more",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Nul: a\x00b\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
    ids=["two-lengths", "length-and-chunked", "plus", "minus", "excess", "garbage", "nul", "nothing", "half-a-head"],
)
async def test_contradicting_or_broken_head_is_an_error(data: bytes) -> None:
    """What cannot be framed without a doubt is refused before a byte is handed out."""
    async with serving(raw(data, "fin")) as server, transport() as made:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
            await fetch(made, server.url())
        assert len(server.requests) == 1
    assert "CANARY" not in chain_text(caught.value)


@pytest.mark.fault("A3", "D06")
async def test_excess_bytes_in_a_later_segment_do_not_reach_the_next_request() -> None:
    """Bytes beyond the length are dropped together with their connection."""

    async def excess(connection: Connection, request: Request) -> None:
        await connection.send(head(length=5) + b"hello")
        await asyncio.sleep(0.05)
        await connection.send(b"excess")

    async with serving(excess, whole(b"right")) as server, transport() as made:
        assert (await fetch(made, server.url()))[1] == b"hello"
        await asyncio.sleep(0.15)
        assert (await fetch(made, server.url()))[1] == b"right"
        assert server.connections == 2


@pytest.mark.fault("A3")
async def test_stray_answer_on_an_idle_connection_is_not_handed_to_the_next_request() -> None:
    """A response nobody asked for makes the pool drop the connection it came on (A3)."""

    async def stray(connection: Connection, request: Request) -> None:
        await connection.send(head(length=5) + b"hello")
        await asyncio.sleep(0.05)
        await connection.send(head(length=4) + b"EVIL")

    async with serving(stray, whole(b"right")) as server, transport() as made:
        assert (await fetch(made, server.url()))[1] == b"hello"
        await asyncio.sleep(0.15)
        assert (await fetch(made, server.url()))[1] == b"right"
        assert server.connections == 2


@pytest.mark.fault("A4", "W10")
@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_connection_that_ends_before_the_status_line_is_one_request(end: str) -> None:
    """aiohttp's own repeat is off: one call is one request, also on a reused connection (A4)."""
    async with serving(whole(b"first"), raw(b"", end)) as server, transport() as made:
        await fetch(made, server.url())
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await fetch(made, server.url())
        assert len(server.requests) == 2


@pytest.mark.fault("D10")
async def test_compressed_body_is_handed_out_as_it_came() -> None:
    """Nothing below the media stream decodes: a truncated gzip cannot turn into a short recording."""
    packed = gzip.compress(BODY)
    async with serving(whole(packed, "Content-Encoding: gzip")) as server, transport() as made:
        assert (await fetch(made, server.url()))[1] == packed


@pytest.mark.fault("A8")
async def test_long_heads_are_accepted() -> None:
    """A header line of 32 KiB passes (A8)."""
    async with serving(whole(b"ok", "X-Long: " + "y" * 32_768)) as server, transport() as made:
        response, body = await fetch(made, server.url())
    assert body == b"ok"
    assert len(response.headers["X-Long"]) == 32_768
