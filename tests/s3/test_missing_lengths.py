"""Stores and proxies that name no length, no checksum, or send the whole where a range was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from isal.isal_zlib import crc32

from tests.s3.fake_s3 import FakeS3, Seen, reply
from wxrec_async.config import S3Settings
from wxrec_async.model import ObjectTarget, Part
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import Retrier
from wxrec_async.rules.parts import strong_etag
from wxrec_async.rules.retry import for_s3
from wxrec_async.s3.client import open_access
from wxrec_async.s3.reader import BLOCK, S3ReadStore

pytestmark = pytest.mark.anyio

DATA = bytes(range(256)) * 6000
TARGET = ObjectTarget("k", "audio/wav")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")


@asynccontextmanager
async def inspecting(s3: FakeS3) -> AsyncIterator[S3ReadStore]:
    async with s3.serving() as endpoint:
        settings = S3Settings(bucket="b-1", region="us-east-1", endpoint_url=endpoint)
        gate = CircuitBreaker()
        retrier = Retrier(for_s3, gate=gate, reach=NetworkMonitor(), on_retry=lambda *_: None, chance=lambda: 0.0)
        async with open_access(settings, connections=2) as access:
            yield S3ReadStore(access.client, settings, retrier, gate)


def chunked(body: bytes, status: str = "200 OK", *lines: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", "Transfer-Encoding: chunked", 'ETag: W/"e"', *lines])
    pieces = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
    framed = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return head.encode() + b"\r\n\r\n" + framed + b"0\r\n\r\n"


def without_lengths(*, ranges: bool, data: bytes = DATA) -> Callable[[Seen, Callable[[], bytes]], bytes]:
    """Answer HEAD without a length, and GET in chunks; a range as it was asked for, or with the whole."""

    def answer(seen: Seen, _do: Callable[[], bytes]) -> bytes:
        if seen.operation == "head":
            return b'HTTP/1.1 200 OK\r\nETag: W/"e"\r\nTransfer-Encoding: chunked\r\n\r\n'
        span = seen.headers.get("range", "")
        if not (span and ranges):
            return chunked(data)
        first, _, last = span.removeprefix("bytes=").partition("-")
        if int(first) >= len(data):
            return reply(416, b"", content_range=f"bytes */{len(data)}")
        end = min(int(last) + 1, len(data))
        return chunked(data[int(first) : end], "206 P", f"Content-Range: bytes {first}-{end - 1}/{len(data)}")

    return answer


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("data", [DATA, b"", b"x"], ids=["large", "empty", "one"])
async def test_everything_is_read_without_a_length(ranges: bool, data: bytes) -> None:
    """Size, checksum, digest, blocks and a small object: whichever headers HTTP makes optional are missing."""
    s3 = FakeS3()
    for operation in ("head", "get"):
        s3.script[operation] = [without_lengths(ranges=ranges, data=data)] * 20
    async with inspecting(s3) as bucket:
        found = await bucket.head("k")
        assert found is not None
        assert (found.size, found.crc32, found.etag) == (len(data), None, '"e"')
        assert await bucket.read_crc32("k") == (len(data), crc32(data))
        assert (await bucket.digest("k", len(data))).size == len(data)
        assert await bucket.read_small("k", len(data)) == data
        assert b"".join([block async for block in bucket.blocks("k", len(data))]) == data
    assert len(DATA) > BLOCK


async def test_a_put_is_read_back_without_a_length() -> None:
    """The store names no checksum either, so what lies there is read: in chunks, and found equal."""
    s3 = FakeS3(names_checksums=False)
    s3.script["head"] = [without_lengths(ranges=True)]
    s3.script["get"] = [without_lengths(ranges=True)] * 2
    async with inspecting(s3) as bucket:
        stored = await bucket.put(TARGET, Part(1, (DATA,), len(DATA), crc32(DATA)))
    assert (stored.size, stored.crc32) == (len(DATA), crc32(DATA))


@pytest.mark.parametrize(
    ("written", "known"), [('"e"', '"e"'), ('W/"e"', '"e"'), ('w/ "e"', '"e"'), ("e", '"e"'), ("", ""), ('""', "")]
)
def test_an_etag_is_read_as_the_store_knows_it(written: str, known: str) -> None:
    """Twice changes nothing."""
    assert strong_etag(written) == strong_etag(strong_etag(written)) == known
