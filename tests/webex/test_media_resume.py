"""A download goes on at the same byte, or says why it cannot (faults.md section 3.3), on real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import struct
import time
import zlib
from urllib.parse import quote

import anyio
import pytest

from wxrec_async.errors import HTTPStatusError, InvalidMedia, InvalidResponse, SourceChanged, TimedOut
from wxrec_async.model import Recording, Secret
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import DeletedAtSource, GiveUp, Restart
from wxrec_async.webex.media import ResumingStream, WebexMedia

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


async def read(source: WebexMedia, recorded: Recording) -> tuple[bytes, ResumingStream]:
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
        with pytest.raises(OperationFailed) as caught:
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
        with pytest.raises(OperationFailed) as caught:
            await read(media(made, renew), recording(server.url()))
    assert caught.value.decision == GiveUp("url_keeps_expiring")
    assert renew.count == 5


async def test_renewal_without_a_url_fails_the_recording() -> None:
    """When Webex names no usable URL any more, its reason becomes the recording's."""

    async def renew(old: Recording) -> Recording:
        return dataclasses.replace(old, url=None, problem="no_url")

    async with serving(s3_error("403 Forbidden", "AccessDenied")) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            await read(media(made, renew), recording(server.url()))
    assert caught.value.decision == GiveUp("no_url")


@pytest.mark.fault("D04")
async def test_access_denied_costs_one_fresh_url() -> None:
    """A plain refusal may be the old URL's fault once, not twice."""
    async with serving(s3_error("403 Forbidden", "AccessDenied")) as server, transport() as made:
        renew = Renewals(server)
        with pytest.raises(OperationFailed) as caught:
            await read(media(made, renew), recording(server.url()))
    assert caught.value.decision == GiveUp("access_denied")
    assert isinstance(caught.value.trouble, HTTPStatusError)
    assert caught.value.trouble.code == "AccessDenied"
    assert renew.count == 1


NO_KEY = s3_error("404 Not Found", "NoSuchKey", "The specified key does not exist.")
GONE = raw(head("410 Gone", length=0))
PAGE = whole(b"<html><Code>NoSuchKey</Code> not here</html>", "Content-Type: text/html", status="404 Not Found")
NO_BUCKET = s3_error("404 Not Found", "NoSuchBucket")
BARE = raw(head("404 Not Found", length=0))


def answering(server: Server, *answers: str) -> Renewals:
    """Renew as long as an answer is "": another one is the reason why no URL can be had; the last goes on."""

    class Answering(Renewals):
        async def __call__(self, old: Recording) -> Recording:
            reason = answers[min(self.count, len(answers) - 1)]
            fresh = await super().__call__(old)
            if reason:
                raise OperationFailed(GiveUp(reason), InvalidResponse("no URL"))
            return fresh

    return Answering(server)


@pytest.mark.fault("D03")
@pytest.mark.parametrize("at", [0, HALF])
@pytest.mark.parametrize("missing", [NO_KEY, GONE, PAGE, NO_BUCKET, BARE], ids=["key", "410", "page", "bucket", "bare"])
@pytest.mark.parametrize("times", [1, 2])
async def test_what_is_missing_once_is_asked_for_again_with_a_fresh_url(times: int, missing: Script, at: int) -> None:
    """While captures names it, a 404 or 410 settles nothing, at the first byte and when a download goes on."""
    first = [ranged(DATA, ETAG, upto=at, end="fin")] if at else []
    async with serving(*first, *[missing] * times, ranged(DATA, ETAG)) as server, transport() as made:
        renew = answering(server, "")
        got, _ = await read(media(made, renew), recording(server.url()))
    assert got == DATA
    assert renew.count == times


@pytest.mark.fault("D03")
@pytest.mark.parametrize(
    ("missing", "evidence"),
    [(NO_KEY, "no_such_key"), (GONE, "http_410"), (PAGE, ""), (NO_BUCKET, ""), (BARE, "")],
    ids=["key", "410", "page", "bucket", "bare"],
)
@pytest.mark.parametrize(
    ("answers", "reason"),
    [(("",), "not_found"), (("missing",), ""), (("", "missing"), ""), (("captures_unsettled",), "captures_unsettled"),
     (("", "retries_exhausted"), "retries_exhausted"), (("no_url",), "no_url")],
)  # fmt: skip
async def test_gone_is_what_s3_and_captures_both_say(
    missing: Script, evidence: str, answers: tuple[str, ...], reason: str
) -> None:
    """S3's own word from a fresh URL, and captures, asked after it, names it no longer; all else is a failure."""
    async with serving(missing) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            await read(media(made, answering(server, *answers)), recording(server.url()))
    expected = GiveUp(reason, evidence) if reason else DeletedAtSource(evidence) if evidence else GiveUp("missing")
    assert caught.value.decision == expected
    assert len(server.requests) <= 3


@pytest.mark.fault("D03")
@pytest.mark.parametrize("answers", [("missing",), ("", "missing")])
async def test_a_refusal_is_no_evidence_of_a_deletion(answers: tuple[str, ...]) -> None:
    """403, and then captures names it no longer: that is missing, also when S3 had said otherwise before."""
    refused = s3_error("403 Forbidden", "AccessDenied", "Request has expired")
    first = [NO_KEY] if len(answers) > 1 else []
    async with serving(*first, refused) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            await read(media(made, answering(server, *answers)), recording(server.url()))
    assert caught.value.decision == GiveUp("missing")


@pytest.mark.fault("D03")
async def test_an_old_url_that_is_renewed_in_vain_is_no_evidence() -> None:
    """Nothing was asked of S3."""
    async with serving(NO_KEY) as server, transport() as made:
        old = recording(server.url(), lease_s=0.0)
        with pytest.raises(OperationFailed) as caught:
            await read(media(made, answering(server, "missing")), old)
    assert caught.value.decision == GiveUp("missing")
    assert server.requests == []


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
        with pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()
    assert isinstance(caught.value.trouble, SourceChanged)


def partial(content_range: str, body: bytes, *headers: str) -> Script:
    return whole(body, content_range, *headers, status="206 Partial Content")


LAST = len(DATA) - 1
WHOLE = f"Content-Range: bytes {HALF}-{LAST}/{len(DATA)}"


@pytest.mark.fault("D13", "D15")
@pytest.mark.parametrize(
    "second",
    [
        partial(f"Content-Range: bytes {HALF + 1}-{LAST}/{len(DATA)}", DATA[HALF + 1 :], ETAG),
        partial(f"Content-Range: bytes 0-{HALF - 1}/{len(DATA)}", DATA[:HALF], ETAG),
        partial(f"Content-Range: bytes {HALF}-{len(DATA)}/{len(DATA) + 1}", DATA[HALF:] + b"x", ETAG),
        partial(f"Content-Range: bytes {HALF}-{LAST - 1}/{LAST}", DATA[HALF:LAST], ETAG),
        partial(f"Content-Range: bytes {HALF}-{LAST + 1}/{len(DATA)}", DATA[HALF:] + b"x", ETAG),
        partial(WHOLE, DATA[HALF:] + b"x", ETAG),
        partial(WHOLE, DATA[HALF:], 'ETag: "other"'),
        partial("X-No: range", DATA[HALF:], ETAG),
        partial(WHOLE.replace("bytes ", "octets "), DATA[HALF:], ETAG),
        partial("Content-Type: multipart/byteranges; boundary=x", DATA[HALF:], ETAG),
        s3_error("412 Precondition Failed", "PreconditionFailed"),
        raw(head("416 Range Not Satisfiable", "Content-Range: bytes */1000", length=0)),
        raw(head("416 Range Not Satisfiable", f"Content-Range: bytes */{HALF}", ETAG, length=0)),
        raw(head("416 Range Not Satisfiable", length=0)),
    ],
    ids=["late", "before", "longer", "shorter", "beyond", "body", "etag", "none", "unit", "multipart", "412",
         "416-short", "416-here", "416-bare"],
)  # fmt: skip
async def test_range_that_does_not_fit_begins_again(second: Script) -> None:
    """Start, total, length and ETag of a range are compared each time; what does not fit is never put together."""
    async with serving(ranged(DATA, ETAG, upto=HALF, end="fin"), second) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()
    assert len(server.requests) == 2  # known by its head: no byte of it was taken


@pytest.mark.fault("D13", "D14")
@pytest.mark.parametrize("total", [len(DATA), None])
async def test_416_does_not_shrink_a_recording(total: int | None) -> None:
    """Whatever end it names, also where no head has named one yet: the recording is begun again."""
    chunk = f"{HALF:x}\r\n".encode() + DATA[:HALF] + b"\r\n"
    chunked = raw(head("200 OK", "Transfer-Encoding: chunked", ETAG) + chunk, "fin")
    first = chunked if total is None else ranged(DATA, ETAG, upto=HALF, end="fin")
    ends = raw(head("416 Range Not Satisfiable", f"Content-Range: bytes */{HALF}", ETAG, length=0))
    async with serving(first, ends) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()


@pytest.mark.fault("D13")
@pytest.mark.parametrize("start", [0, 4096, HALF - HALF % 4096, HALF - 1, HALF])
@pytest.mark.parametrize("total", [str(len(DATA)), "*"])
async def test_range_that_begins_before_the_byte_asked_for_is_skipped_into(start: int, total: str) -> None:
    """A cache may send whole blocks: with the same strong ETag the bytes known already are read over."""
    second = partial(f"Content-Range: bytes {start}-{LAST}/{total}", DATA[start:], ETAG)
    async with serving(ranged(DATA, ETAG, upto=HALF, end="fin"), second) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert stream.proven
    assert server.requests[1].headers["range"] == f"bytes={HALF}-"


@pytest.mark.fault("D13")
async def test_overlap_of_other_bytes_is_another_recording() -> None:
    """Where all bytes known come again they are compared, whatever the ETag says."""
    second = partial(f"Content-Range: bytes 0-{LAST}/{len(DATA)}", OTHER, ETAG)
    async with serving(ranged(DATA, ETAG, upto=HALF, end="fin"), second) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()


@pytest.mark.fault("D13")
async def test_range_of_an_unknown_whole_does_not_prove_the_end() -> None:
    """A chunked body goes on with a range that names no total: what comes is taken, and the end is asked for."""
    chunk = f"{HALF:x}\r\n".encode() + DATA[:HALF] + b"\r\n"
    first = raw(head("200 OK", "Transfer-Encoding: chunked", ETAG) + chunk, "fin")
    second = partial(f"Content-Range: bytes {HALF}-{HALF + 999}/*", DATA[HALF : HALF + 1000], ETAG)
    async with serving(first, second, ranged(DATA, ETAG)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert (stream.length, stream.proven) == (len(DATA), True)
    assert server.requests[2].headers["range"] == f"bytes={HALF + 1000}-"


WEAK = 'ETag: W/"abc"'


@pytest.mark.fault("D12", "D15")
@pytest.mark.parametrize(
    "validator", [(), (WEAK,), ("ETag: abc",), ("Last-Modified: Mon, 01 Jan 2026 00:00:00 GMT",)],
    ids=["none", "weak", "unquoted", "date"],
)  # fmt: skip
@pytest.mark.parametrize("other", [False, True])
async def test_without_a_strong_etag_no_range_is_asked_for(validator: tuple[str, ...], other: bool) -> None:
    """The body is read again from its first byte: the same beginning is skipped, another is another recording."""
    second = whole(OTHER if other else DATA, *validator)
    async with serving(ranged(DATA, *validator, upto=HALF, end="fin"), second) as server, transport() as made:
        if other:
            with pytest.raises(OperationFailed) as caught:
                await read(media(made), recording(server.url()))
            assert caught.value.decision == Restart()
        else:
            got, _ = await read(media(made), recording(server.url()))
            assert got == DATA
    assert not {"range", "if-match"} & server.requests[1].headers.keys()


@pytest.mark.fault("D13")
async def test_range_without_a_request_for_one_is_refused() -> None:
    """Neither at the first byte nor when everything is asked for again."""
    part = partial(f"Content-Range: bytes 0-{LAST}/{len(DATA)}", DATA, ETAG)
    for scripts in ([part], [ranged(DATA, upto=HALF, end="fin"), part]):
        async with serving(*scripts) as server, transport() as made:
            with pytest.raises(OperationFailed) as caught:
                await read(media(made), recording(server.url()))
        assert caught.value.decision == Restart()


@pytest.mark.fault("D13", "D15")
@pytest.mark.parametrize("second", [(), (WEAK,), ("ETag: abc",)], ids=["none", "weak", "unquoted"])
async def test_range_that_names_no_strong_etag_is_not_put_behind_one(second: tuple[str, ...]) -> None:
    """The part is left where it is, and everything asked for again, without a range."""
    scripts = ranged(DATA, ETAG, upto=HALF, end="fin"), partial(WHOLE, DATA[HALF:], *second), whole(DATA, ETAG)
    async with serving(*scripts) as server, transport() as made:
        got, _ = await read(media(made), recording(server.url()))
    assert got == DATA
    assert server.requests[1].headers["if-match"] == '"abc"'
    assert "range" not in server.requests[2].headers


@pytest.mark.fault("D12", "D15")
async def test_the_body_that_was_compared_is_the_one_that_is_gone_on_with() -> None:
    """The later body has an ETag, the earlier one had none: the next range is one of the later body."""
    scripts = ranged(DATA, upto=1000, end="fin"), ranged(DATA, ETAG, upto=HALF, end="fin"), ranged(DATA, ETAG)
    async with serving(*scripts) as server, transport() as made:
        got, _ = await read(media(made), recording(server.url()))
    assert got == DATA
    assert server.requests[2].headers["if-match"] == '"abc"'


@pytest.mark.fault("D12", "D15")
async def test_a_body_that_was_not_compared_yet_lends_no_etag() -> None:
    """It broke off before the byte to go on at: nobody knows whether it begins as the earlier one did."""
    scripts = ranged(DATA, upto=HALF, end="fin"), ranged(OTHER, ETAG, upto=1000, end="fin"), whole(DATA)
    async with serving(*scripts) as server, transport() as made:
        got, _ = await read(media(made), recording(server.url()))
    assert got == DATA
    assert "if-match" not in server.requests[2].headers


async def test_changed_modification_time_is_a_change_when_there_is_no_etag() -> None:
    """Without ETags the modification time is the witness."""
    first = ranged(DATA, "Last-Modified: Mon, 01 Jan 2026 00:00:00 GMT", upto=HALF, end="fin")
    second = ranged(DATA, "Last-Modified: Mon, 01 Jan 2026 00:00:01 GMT")
    async with serving(first, second) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()


@pytest.mark.fault("D14")
async def test_chunked_body_cut_before_its_final_chunk_is_read_again() -> None:
    """Nothing else proves that it has ended there."""
    chunk = f"{len(DATA):x}\r\n".encode() + DATA + b"\r\n"
    first = raw(head("200 OK", "Transfer-Encoding: chunked") + chunk, "fin")
    async with serving(first, whole(DATA)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert (stream.length, stream.proven) == (len(DATA), True)


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
        with pytest.raises(OperationFailed) as caught:
            await read(media(made, told=told, min_progress=1000, progress_s=0.1), recording(server.url()))
    assert caught.value.decision == GiveUp("retries_exhausted")
    assert isinstance(caught.value.trouble, TimedOut)
    assert 0.7 < time.monotonic() - started < 9.0  # one answer alone would take 10 s


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
            with pytest.raises(OperationFailed) as caught:
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
        with pytest.raises(OperationFailed) as caught:
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
        with pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(server.url()))
    assert caught.value.decision == Restart()
    assert isinstance(caught.value.trouble, InvalidMedia)
    assert caught.value.trouble.reason == reason


SOUND = (
    b"RIFF"
    + struct.pack("<I", 4 + 24 + 8 + len(DATA))
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
)
SOUND += b"data" + struct.pack("<I", len(DATA)) + DATA
MP3 = (b"\xff\xfb\x90\x64" + bytes(413)) * 30


@pytest.mark.fault("D10", "D22")
@pytest.mark.parametrize("body", [SOUND, b"ID3\x03\x00" + DATA, MP3], ids=["wav", "id3", "mp3"])
@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Encoding: aws-chunked",), ("Content-Encoding: aws-chunked,identity",), ("Content-Encoding: none",),
        ("Content-Encoding: binary",), ("Content-Encoding: ",), ("Content-Encoding: utf-8", "Content-Encoding: 8bit"),
        ("Content-Encoding: gzip",), ("Content-Type: text/plain",), ("Content-Type: application/json; charset=utf-8",),
        ("Content-Type: text/html", "Content-Encoding: aws-chunked"), ("Content-Type: ",), ("Content-Type: image/png",),
    ],
)  # fmt: skip
async def test_a_sound_body_is_taken_whatever_its_head_calls_it(lines: tuple[str, ...], body: bytes) -> None:
    """What decides is its beginning, in one request; every byte of it is handed out, once."""
    async with serving(whole(body, ETAG, *lines)) as server, transport(read_buffer=4096) as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == body
    assert stream.proven
    assert len(server.requests) == 1


@pytest.mark.parametrize("lines", [("Content-Encoding: aws-chunked",), ("Content-Type: text/plain",)])
async def test_a_body_that_was_looked_at_goes_on_where_it_was_cut(lines: tuple[str, ...]) -> None:
    """Looking at its beginning takes nothing away from it."""
    scripts = ranged(SOUND, ETAG, *lines, upto=9000, end="fin"), ranged(SOUND, ETAG, *lines)
    async with serving(*scripts) as server, transport() as made:
        got, _ = await read(media(made), recording(server.url()))
    assert got == SOUND
    assert server.requests[1].headers["range"] == "bytes=9000-"


async def test_a_body_that_does_not_begin_is_asked_for_again() -> None:
    """A text, perhaps; nobody knows yet."""
    stalled = raw(head("200 OK", "Content-Type: text/plain", length=len(SOUND)), "stall")
    async with serving(stalled, whole(SOUND)) as server, transport() as made:
        got, _ = await read(media(made), recording(server.url()))
    assert got == SOUND


@pytest.mark.parametrize("status", ["200 OK", "203 Non-Authoritative Information"])
async def test_a_body_that_a_proxy_owns_up_to_is_a_body(status: str) -> None:
    """203 says of a success who has answered, no more."""
    async with serving(whole(DATA, ETAG, status=status)) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert (got, stream.length, stream.proven) == (DATA, len(DATA), True)


@pytest.mark.fault("X03", "X08")
async def test_words_of_a_refusal_have_nothing_of_the_url_in_them() -> None:
    """A proxy may name what it blocked, percent-encoded twice: the signature is masked by its value."""
    signature = "0123456789abcdef" * 4

    async def echo(connection: Connection, request: Request) -> None:
        blocked = quote(quote(f"https://media/?X-Amz-Signature={signature}", safe=""), safe="")
        await s3_error("403 Forbidden", "AccessDenied", f"Blocked by policy: {blocked}")(connection, request)

    async with serving(echo) as server, transport() as made:

        async def renew(old: Recording) -> Recording:
            return dataclasses.replace(old, leased_at=anyio.current_time())

        with pytest.raises(OperationFailed) as caught:
            await read(media(made, renew), recording(server.url(f"/rec?X-Amz-Signature={signature}")))
    assert caught.value.decision == GiveUp("access_denied")
    assert signature[:16] not in chain_text(caught.value)
    assert "***" in str(caught.value.trouble)


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
        with pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(url))
    assert caught.value.decision == GiveUp("bad_url")
    assert "CANARY" not in chain_text(caught.value)


@pytest.mark.fault("D29")
async def test_forbidden_address_fails_the_recording_at_once() -> None:
    """A name that leads to a forbidden address is a bad URL, not a server to be tried again."""
    told = Told()
    async with serving(whole(DATA)) as server, transport(address_check=lambda _: False) as made:
        with pytest.raises(OperationFailed) as caught:
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
    less = partial(f"Content-Range: bytes {HALF}-{HALF + 999}/{len(DATA)}", DATA[HALF : HALF + 1000], ETAG)
    async with (
        serving(ranged(DATA, ETAG, upto=HALF, end="fin"), less, ranged(DATA, ETAG)) as server,
        transport() as made,
    ):
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
    second = raw(head("206 Partial Content", span, ETAG, "Transfer-Encoding: chunked") + chunk, "fin")
    async with serving(ranged(DATA, ETAG, upto=HALF, end="fin"), second) as server, transport() as made:
        got, stream = await read(media(made), recording(server.url()))
    assert got == DATA
    assert stream.proven
    assert len(server.requests) == 2


@pytest.mark.fault("D12")
@pytest.mark.parametrize("cut_at", [len(DATA), len(DATA) - 100], ids=["at the known end", "before it"])
async def test_a_body_longer_than_the_first_answer_said_is_no_end_wherever_its_chunks_end(cut_at: int) -> None:
    """The first answer tells the length and breaks off; the second has no total, and goes on past it."""
    longer = DATA + b"x" * 24
    chunks = b"".join(f"{len(each):x}\r\n".encode() + each + b"\r\n" for each in (longer[:cut_at], longer[cut_at:]))

    async def second(connection: Connection, request: Request) -> None:
        await connection.send(head("200 OK", "Transfer-Encoding: chunked"))
        half = len(chunks) - len(longer[cut_at:]) - 8
        await connection.send(chunks[:half])
        await anyio.sleep(0.05)  # or both chunks may be read as one
        await connection.send(chunks[half:] + b"0\r\n\r\n")

    async with serving(ranged(DATA, upto=HALF, end="fin"), second) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(server.url()))
    assert isinstance(caught.value.decision, Restart)


@pytest.mark.fault("D27")
async def test_promise_beyond_the_cap_is_refused_before_a_byte() -> None:
    """A Content-Length above the cap fails the opening; nothing is read first."""
    async with serving(whole(DATA)) as server, transport() as made:
        with pytest.raises(OperationFailed) as caught:
            async with media(made, max_bytes=100_000).open(recording(server.url())):
                pytest.fail("the stream must not open")
    assert caught.value.decision == GiveUp("too_large")
