"""A download goes on at the same byte, or says why it cannot (faults.md section 3.3), on real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
import zlib

import anyio
import pytest

from wxrec_async.errors import Rejected, SourceChanged, TimedOut, Unfit
from wxrec_async.model import Recording, Secret
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.rules.retry import GiveUp, Gone, Restart
from wxrec_async.webex.media import MediaSource, MediaStream

from .kit import (
    Connection,
    Request,
    Script,
    Server,
    Told,
    chain_text,
    cut,
    head,
    media,
    ranged,
    raw,
    recording,
    s3_error,
    serving,
    transport,
    whole,
)

pytestmark = pytest.mark.anyio

DATA = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
ETAG = 'ETag: "abc"'
WAV = "Content-Type: audio/wav"
HALF = 150_000


async def read(source: MediaSource, recorded: Recording) -> tuple[bytes, MediaStream]:
    got = bytearray()
    async with source.open(recorded) as stream:
        async for chunk in stream:
            got += chunk
            assert stream.chunk_crc32 == zlib.crc32(chunk)
    assert stream.crc32 == zlib.crc32(got)
    assert stream.offset == len(got)
    return bytes(got), stream


class Renewals:
    """Hands out the URL of the server with a new signature, and counts."""

    def __init__(self, server: Server) -> None:
        self.server, self.count = server, 0

    async def __call__(self, old: Recording) -> Recording:
        self.count += 1
        fresh = Secret(self.server.url(f"/rec?X-Amz-Signature=CANARY-SIG-{self.count + 1}"))
        return dataclasses.replace(old, url=fresh, leased_at=anyio.current_time())


@pytest.mark.fault("X13")
async def test_whole_body_is_one_request_with_three_headers() -> None:
    """An undisturbed download is one GET that carries nothing but what it needs (X13)."""
    async with serving(whole(DATA, ETAG, WAV)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert (stream.length, stream.etag, stream.content_type) == (len(DATA), '"abc"', "audio/wav")
    assert stream.proven
    assert len(server.requests) == 1
    assert set(server.requests[0].headers) == {"host", "accept-encoding", "user-agent"}
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert server.requests[0].target == "/rec?X-Amz-Signature=CANARY-SIG-1"


@pytest.mark.fault("D02", "D05", "D19")
@pytest.mark.parametrize("end", ["fin", "rst", "stall"])
@pytest.mark.parametrize("at", [1, HALF, len(DATA) - 1])
async def test_cut_body_goes_on_at_the_same_byte(at: int, end: str) -> None:
    """After a cut, a reset or a stall the rest is asked for under the same ETag, and every byte arrives once."""
    first = ranged(DATA, ETAG, upto=at, end=end)
    async with serving(first, ranged(DATA, ETAG)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert stream.proven
    assert len(server.requests) == 2
    wanted = server.requests[1].headers.get("range")
    assert wanted is None or server.requests[1].headers["if-match"] == '"abc"'


@pytest.mark.fault("D19")
async def test_reset_after_the_last_byte_is_the_end() -> None:
    """Every byte of the promised length came: what happens to the connection afterwards does not matter."""
    async with serving(ranged(DATA, end="rst")) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert stream.proven


@pytest.mark.fault("D05")
async def test_progress_resets_the_attempts() -> None:
    """Twenty cuts in a row do not fail a download that moves on each time."""
    scripts = [ranged(DATA, upto=10_000 * (n + 1), end="fin") for n in range(20)]
    async with serving(*scripts, ranged(DATA)) as server, transport() as made:
        got, _ = await read(media(made), recording(server.url()))
    assert got == DATA


async def test_failures_without_a_byte_between_them_are_limited() -> None:
    """A server that never gets past the head is given up after eight tries, and the failure has no URL in it."""
    told = Told()
    async with serving(cut(DATA, 0)) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made, told=told), recording(server.url()))
    assert caught.value.decision == GiveUp("retries_exhausted")
    assert len(server.requests) == 8
    assert "CANARY" not in chain_text(caught.value)
    assert "CANARY" not in str(told.retries)


@pytest.mark.fault("D01", "D02")
@pytest.mark.parametrize("at", [0, HALF])
async def test_expired_url_is_renewed_and_the_download_goes_on(at: int) -> None:
    """403 "Request has expired" costs a fresh URL and nothing else, before the first byte and in the middle."""
    expired = s3_error("403 Forbidden", "AccessDenied", "Request has expired")
    first = [ranged(DATA, ETAG, upto=at, end="fin")] if at else []
    async with serving(*first, expired, ranged(DATA, ETAG)) as server, transport() as made:
        renew = Renewals(server)
        got, _ = await read(media(made, renew), recording(server.url()))
    assert got == DATA
    assert renew.count == 1
    assert server.requests[-1].target.endswith("CANARY-SIG-2")


@pytest.mark.fault("D01")
async def test_url_near_its_end_is_not_sent() -> None:
    """A lease about to run out is renewed first, so the expired URL never reaches the server."""
    async with serving(whole(DATA)) as server, transport() as made:
        renew = Renewals(server)
        old = recording(server.url(), leased_at=anyio.current_time() - 3550, lease_s=3600.0)
        got, _ = await read(media(made, renew), old)
    assert got == DATA
    assert [request.target for request in server.requests] == ["/rec?X-Amz-Signature=CANARY-SIG-2"]


async def test_url_that_keeps_expiring_is_given_up() -> None:
    """Five fresh URLs in a row without a byte are enough."""
    expired = s3_error("403 Forbidden", "AccessDenied", "Request has expired")
    async with serving(expired) as server, transport() as made:
        renew = Renewals(server)
        with pytest.raises(GivenUp) as caught:
            await read(media(made, renew), recording(server.url()))
    assert caught.value.decision == GiveUp("url_keeps_expiring")
    assert renew.count == 5


async def test_renewal_without_a_url_fails_the_recording() -> None:
    """When Webex names no usable URL any more, its reason becomes the recording's."""

    async def renew(old: Recording) -> Recording:
        return dataclasses.replace(old, url=None, problem="no_url")

    async with serving(s3_error("403 Forbidden", "AccessDenied")) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made, renew), recording(server.url()))
    assert caught.value.decision == GiveUp("no_url")


@pytest.mark.fault("D04")
async def test_access_denied_costs_one_fresh_url() -> None:
    """A plain refusal may be the old URL's fault once, not twice."""
    async with serving(s3_error("403 Forbidden", "AccessDenied")) as server, transport() as made:
        renew = Renewals(server)
        with pytest.raises(GivenUp) as caught:
            await read(media(made, renew), recording(server.url()))
    assert caught.value.decision == GiveUp("access_denied")
    assert isinstance(caught.value.trouble, Rejected)
    assert caught.value.trouble.code == "AccessDenied"
    assert renew.count == 1


@pytest.mark.fault("D03")
@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
async def test_missing_object_is_gone(status: str) -> None:
    """What was deleted at its source is not tried again."""
    async with serving(s3_error(status, "NoSuchKey")) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Gone()
    assert len(server.requests) == 1


@pytest.mark.fault("D12")
@pytest.mark.parametrize("headers", [(ETAG,), ()], ids=["etag", "none"])
async def test_ignored_range_is_skipped_over_when_the_bytes_are_the_same(headers: tuple[str, ...]) -> None:
    """A 200 for a range is usable: the known bytes are compared by checksum and not handed out twice."""
    first = ranged(DATA, *headers, upto=HALF, end="fin")
    async with serving(first, whole(DATA, *headers)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert stream.proven


@pytest.mark.fault("D12")
@pytest.mark.parametrize(
    "second",
    [
        whole(OTHER),
        whole(DATA, 'ETag: "other"'),
        whole(DATA + b"x"),
        whole(DATA[:-1]),
        whole(DATA[:1000]),
    ],
    ids=["other-bytes", "other-etag", "longer", "shorter", "much-shorter"],
)
async def test_ignored_range_with_another_recording_begins_again(second: Script) -> None:
    """A 200 for a range with other bytes, length or ETag is another recording."""
    async with serving(ranged(DATA, ETAG, upto=HALF, end="fin"), second) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()
    assert isinstance(caught.value.trouble, SourceChanged)


def partial(content_range: str, body: bytes, *headers: str) -> Script:
    return whole(body, content_range, *headers, status="206 Partial Content")


@pytest.mark.fault("D13", "D15")
@pytest.mark.parametrize(
    "second",
    [
        partial(f"Content-Range: bytes {HALF + 1}-{len(DATA) - 1}/{len(DATA)}", DATA[HALF + 1 :]),
        partial(f"Content-Range: bytes 0-{len(DATA) - 1}/{len(DATA)}", DATA),
        partial(f"Content-Range: bytes {HALF}-{len(DATA)}/{len(DATA) + 1}", DATA[HALF:] + b"x"),
        partial(f"Content-Range: bytes {HALF}-{len(DATA) - 1}/*", DATA[HALF:]),
        partial(f"Content-Range: bytes {HALF}-{len(DATA) - 1}/{len(DATA)}", DATA[HALF:], 'ETag: "other"'),
        partial("X-No: range", DATA[HALF:]),
        partial("Content-Type: multipart/byteranges; boundary=x", DATA[HALF:]),
        s3_error("412 Precondition Failed", "PreconditionFailed"),
        raw(head("416 Range Not Satisfiable", "Content-Range: bytes */1000", length=0)),
        raw(head("416 Range Not Satisfiable", length=0)),
    ],
    ids=["late", "early", "total", "star", "etag", "none", "multipart", "412", "416-short", "416-bare"],
)
async def test_range_that_does_not_fit_begins_again(second: Script) -> None:
    """Start, total and ETag of a range are compared each time; what does not fit is never put together."""
    async with serving(ranged(DATA, ETAG, upto=HALF, end="fin"), second) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()
    assert len(server.requests) == 2  # known by its head: no byte of it was taken


async def test_changed_modification_time_is_a_change_when_there_is_no_etag() -> None:
    """Without ETags the modification time is the witness."""
    first = ranged(DATA, "Last-Modified: Mon, 01 Jan 2026 00:00:00 GMT", upto=HALF, end="fin")
    second = ranged(DATA, "Last-Modified: Mon, 01 Jan 2026 00:00:01 GMT")
    async with serving(first, second) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()


async def test_weak_etag_is_no_condition() -> None:
    """If-Match knows strong ETags only."""
    first = ranged(DATA, 'ETag: W/"abc"', upto=HALF, end="fin")
    async with serving(first, ranged(DATA, 'ETag: W/"abc"')) as server, transport() as made:
        got, _ = await read(media(made), recording(server.url()))
    assert got == DATA
    assert "if-match" not in server.requests[1].headers


@pytest.mark.fault("D14")
async def test_416_at_the_very_end_proves_the_end() -> None:
    """A chunked body cut just before its final chunk is whole when the server says it has no more."""
    chunk = f"{len(DATA):x}\r\n".encode() + DATA + b"\r\n"
    first = raw(head("200 OK", "Transfer-Encoding: chunked") + chunk, "fin")
    async with serving(first, ranged(DATA)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert stream.proven
    assert stream.length == len(DATA)


@pytest.mark.fault("D09")
async def test_cut_chunked_body_learns_its_length_on_resuming() -> None:
    """A chunked body goes on like any other; the range names the total the first answer did not."""
    chunk = f"{HALF:x}\r\n".encode() + DATA[:HALF] + b"\r\n"
    first = raw(head("200 OK", "Transfer-Encoding: chunked") + chunk, "fin")
    async with serving(first, ranged(DATA)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert (stream.length, stream.proven) == (len(DATA), True)


@pytest.mark.fault("D08", "A2")
@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_end_that_nothing_proves_is_not_proven(end: str) -> None:
    """A body framed by the end of its connection is delivered and marked; judging it is the reader's part."""
    async with serving(raw(head("200 OK", WAV) + DATA, end)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert DATA.startswith(got)
    assert stream.length is None
    assert not stream.proven


async def test_end_of_a_chunked_body_is_proven() -> None:
    """The final chunk proves the length nobody named."""
    body = head("200 OK", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n"
    async with serving(raw(body)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert (got, stream.length, stream.proven) == (b"hello", None, True)


@pytest.mark.fault("D11")
async def test_empty_body_is_an_empty_stream() -> None:
    """No bytes under a length of 0 is told as it is."""
    async with serving(whole(b"")) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert (got, stream.length, stream.proven) == (b"", 0, True)


@pytest.mark.fault("D17")
async def test_drip_is_not_progress() -> None:
    """Fewer bytes than the minimum in a stretch of reading end it, and such bytes do not renew the attempts."""

    async def drip(connection: Connection, request: Request) -> None:
        await ranged(DATA, upto=0)(connection, request)
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        for at in range(start, start + 1000):
            await connection.send(DATA[at : at + 1])
            await asyncio.sleep(0.01)

    told = Told()
    started = time.monotonic()
    async with serving(drip) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made, told=told, min_progress=1000, progress_s=0.1), recording(server.url()))
    assert caught.value.decision == GiveUp("retries_exhausted")
    assert isinstance(caught.value.trouble, TimedOut)
    assert 0.7 < time.monotonic() - started < 3.0


@pytest.mark.fault("D17")
async def test_slow_reader_is_not_taken_for_a_slow_server() -> None:
    """Only time spent inside reads counts: a reader that pauses meets no minimum."""
    async with serving(whole(DATA)) as server, transport(read_buffer=16 << 10) as made:
        source = media(made, min_progress=10_000_000, progress_s=0.4)
        got = bytearray()
        async with source.open(recording(server.url())) as stream:
            async for chunk in stream:
                got += chunk
                if len(got) < 100_000:
                    await anyio.sleep(0.25)
    assert bytes(got) == DATA
    assert len(server.requests) == 1


@pytest.mark.fault("D27", "X19")
async def test_recording_beyond_the_cap_is_refused() -> None:
    """Neither a promised nor an endless body gets beyond the cap, and it is not tried again."""
    endless = raw(head("200 OK", "Transfer-Encoding: chunked") + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 20)
    for script in (whole(DATA), endless):
        async with serving(script) as server, transport() as made:
            with pytest.raises(GivenUp) as caught:
                await read(media(made, max_bytes=100_000), recording(server.url()))
            assert caught.value.decision == GiveUp("too_large")
            assert len(server.requests) == 1


@pytest.mark.fault("D24")
async def test_slow_down_is_waited_for() -> None:
    """A 503 with a wait is heeded and tried again."""
    busy = raw(head("503 Slow Down", "Retry-After: 0.2", length=0))
    started = time.monotonic()
    async with serving(busy, whole(DATA)) as server, transport() as made:
        got, _ = await read(media(made), recording(server.url()))
    assert got == DATA
    assert time.monotonic() - started >= 0.2


@pytest.mark.fault("D21")
async def test_redirect_is_a_failure_of_its_own() -> None:
    """A redirect is not followed, and fails the recording under its own name."""
    away = whole(b"", "Location: http://169.254.169.254/", status="302 Found")
    async with serving(away) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == GiveUp("redirected")
    assert len(server.requests) == 1


@pytest.mark.fault("D10", "D22")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (whole(DATA, "Content-Encoding: gzip"), "encoded"),
        (whole(DATA, "Content-Encoding: br"), "encoded"),
        (whole(b"<html>sorry</html>", "Content-Type: text/html; charset=utf-8"), "not_media"),
        (whole(b"{}", "Content-Type: application/json"), "not_media"),
        (whole(b"<x/>", "Content-Type: application/xml"), "not_media"),
        (whole(b"<x/>", "Content-Type: application/problem+json"), "not_media"),
    ],
    ids=["gzip", "br", "html", "json", "xml", "problem"],
)
async def test_body_that_is_no_recording_is_unfit(script: Script, reason: str) -> None:
    """An encoded body and a text under status 200 are refused before a byte is handed out."""
    async with serving(script) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()
    assert isinstance(caught.value.trouble, Unfit)
    assert caught.value.trouble.reason == reason


@pytest.mark.fault("D22", "D04")
async def test_s3_error_under_status_200_is_read_as_the_error_it_is() -> None:
    """An expired URL is an expired URL, also when a proxy turned its status into 200."""
    xml = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    async with serving(whole(xml, "Content-Type: application/xml"), whole(DATA)) as server, transport() as made:
        renew = Renewals(server)
        got, _ = await read(media(made, renew), recording(server.url()))
    assert got == DATA
    assert renew.count == 1


@pytest.mark.fault("D29", "W15")
@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/x?s=CANARY", "https://evil.example/x?s=CANARY", "", "https://a.media.test/../x?s=CANARY",
     "https://a.media.test/x?"],
)  # fmt: skip
async def test_bad_url_is_never_sent(url: str) -> None:
    """A URL outside the rules, or one that would not arrive byte for byte, fails before anything is connected."""
    async with transport() as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made), recording(url))
    assert caught.value.decision == GiveUp("bad_url")
    assert "CANARY" not in chain_text(caught.value)


@pytest.mark.fault("D29")
async def test_forbidden_address_fails_the_recording_at_once() -> None:
    """A name that leads to a forbidden address is a bad URL, not a server to be tried again."""
    told = Told()
    async with serving(whole(DATA)) as server, transport(address_check=lambda _: False) as made:
        with pytest.raises(GivenUp) as caught:
            await read(media(made, told=told), recording(server.url()))
        assert server.connections == 0
    assert caught.value.decision == GiveUp("bad_url")
    assert told.retries == []


async def test_leaving_in_the_middle_closes_the_connection() -> None:
    """A reader that stops leaves no connection open and no left-over bytes to the next request."""
    async with serving(whole(DATA * 20), whole(b"next")) as server, transport(read_buffer=16 << 10) as made:
        async with media(made).open(recording(server.url())) as stream:
            async for _ in stream:
                break
        assert not made._session.connector._acquired  # type: ignore[union-attr]
        got, _ = await read(media(made), recording(server.url()))
    assert got == b"next"
    assert server.connections == 2


async def test_cancelling_in_the_middle_closes_the_connection() -> None:
    """A cancelled reader holds nothing."""
    async with serving(cut(DATA, HALF, end="stall")) as server, transport() as made:
        with anyio.move_on_after(0.1) as scope:
            await read(media(made), recording(server.url()))
        assert scope.cancelled_caught
        assert not made._session.connector._acquired  # type: ignore[union-attr]


@pytest.mark.fault("D13")
async def test_shorter_range_than_asked_for_is_not_the_end() -> None:
    """A server may send less than the rest; its range's end is not the recording's."""
    less = partial(f"Content-Range: bytes {HALF}-{HALF + 999}/{len(DATA)}", DATA[HALF : HALF + 1000])
    async with serving(ranged(DATA, upto=HALF, end="fin"), less, ranged(DATA)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert stream.proven
    assert len(server.requests) == 3


@pytest.mark.fault("D19")
async def test_break_after_the_last_byte_of_a_known_length_asks_for_nothing_more() -> None:
    """When every byte of the known total is there, a missing final chunk costs no further request."""
    rest = DATA[HALF:]
    span = f"Content-Range: bytes {HALF}-{len(DATA) - 1}/{len(DATA)}"
    chunk = f"{len(rest):x}\r\n".encode() + rest + b"\r\n"
    second = raw(head("206 Partial Content", span, "Transfer-Encoding: chunked") + chunk, "fin")
    async with serving(ranged(DATA, upto=HALF, end="fin"), second) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert stream.proven
    assert len(server.requests) == 2


@pytest.mark.fault("D27")
async def test_promise_beyond_the_cap_is_refused_before_a_byte() -> None:
    """A Content-Length above the cap fails the opening; nothing is read first."""
    async with serving(whole(DATA)) as server, transport() as made:
        with pytest.raises(GivenUp) as caught:
            async with media(made, max_bytes=100_000).open(recording(server.url())):
                pytest.fail("the stream must not open")
    assert caught.value.decision == GiveUp("too_large")
