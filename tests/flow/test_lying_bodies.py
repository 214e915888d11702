"""Bytes that lie, from a real socket to the bucket: what is stored is the recording, or nothing is.

A media server writes its answers byte by byte, the real source and the real
transfer stand in between, and the bucket is one that checks every size and
checksum it is told.  The world-side tests show what a stream says of a body;
here it is what becomes of it that counts.
"""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio
import pytest

from tests.webex.kit import Connection, Request, Script, head, media, ranged, raw, s3_error, serving, transport, whole
from tests.webex.kit import cut as promise
from wxrec_async.errors import InvalidResponse, RunStopped
from wxrec_async.flow.transfer import Transfer, TransferLimits
from wxrec_async.model import Failed, Gone, Outcome, Recording, Secret, Stored, TransferSpec
from wxrec_async.plumbing.pool import MemoryPool
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp

from .kit import PART, FakeStore, Log, order, wav

pytestmark = pytest.mark.anyio

KEY = "c/t1/recording.wav"
SMALL, LARGE = wav(700), wav(9 * PART + 5)
OTHER = wav(9 * PART + 5, seed=9)
MIDDLE = 4 * PART + 100
NOT_WAV = b"ID3\x04\x00\x00\x00\x00\x00\x00" + random.Random(3).randbytes(9 * PART)
ETAG = 'ETag: "abc"'
BOTH = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "multipart"])


@dataclass
class Told:
    """What became of one recording, and what it cost."""

    outcome: Outcome
    store: FakeStore
    requests: Sequence[Request]
    log: Log = field(default_factory=Log)

    @property
    def reason(self) -> str:
        return self.outcome.reason if isinstance(self.outcome, Failed) else type(self.outcome).__name__

    def stored(self, data: bytes) -> bool:
        return isinstance(self.outcome, Stored) and self.store.contents() == {KEY: data}

    def nothing_is_left(self) -> bool:
        return self.store.contents() == {} and not self.store.uploads and not self.log.open


async def carried(*scripts: Script, max_bytes: int = 8 << 30, stop_ms: int | None = None, named: bool = True) -> Told:
    """Carry one recording whose n-th GET is answered by the n-th script; captures goes on to name it, or not."""
    store, log, pool = FakeStore(), Log(), MemoryPool(64 * PART)
    async with serving(*scripts) as server, transport() as made:

        async def renew(old: Recording) -> Recording:
            return replace(old, url=Secret(server.url()), leased_at=anyio.current_time(), lease_s=3600.0)

        async def missing(_: Recording) -> Recording:
            raise OperationFailed(GiveUp("missing"), InvalidResponse("no longer named"))

        work = Transfer(
            media(made, renew if named else missing, max_bytes=max_bytes),
            store,
            log,
            pool,
            TransferLimits(PART, parts_in_flight=2, pipe=2048),
        )
        asked = order()
        asked = replace(asked, recording=replace(asked.recording, start_ms=0, stop_ms=stop_ms))
        asked = TransferSpec(await renew(asked.recording), asked.target, asked.fallback)
        with anyio.fail_after(120):
            outcome = await work.carry(asked)
        assert pool.free == pool.total
        assert not made._session.connector._acquired  # type: ignore[union-attr]
        return Told(outcome, store, server.requests, log)


def chunked(body: bytes, *, ends: bool, end: str = "fin") -> Script:
    """Send a body in chunks of 700 bytes, with the final chunk or without it."""
    pieces = [body[at : at + 700] for at in range(0, len(body), 700)]
    data = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return raw(head("200 OK", "Transfer-Encoding: chunked", ETAG) + data + (b"0\r\n\r\n" if ends else b""), end)


@pytest.mark.fault("D05", "D19", "C3")
@BOTH
@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_body_that_is_always_cut_is_never_an_object(data: bytes, end: str) -> None:
    """However often it breaks off at the same byte: failed by name, nothing in the bucket, nothing open."""
    told = await carried(promise(data, len(data) // 2, ETAG, end=end))
    assert told.reason == "retries_exhausted"
    assert told.nothing_is_left()


@pytest.mark.fault("D02", "D05", "D16")
@pytest.mark.parametrize("end", ["fin", "rst", "stall"])
async def test_expired_url_in_mid_stream_goes_on_in_the_same_upload(end: str) -> None:
    """Cut, then refused as expired, then renewed: the rest goes into the upload that was begun, byte for byte."""
    expired = s3_error("403 Forbidden", "AccessDenied", "Request has expired")
    told = await carried(ranged(LARGE, ETAG, upto=MIDDLE, end=end), expired, ranged(LARGE, ETAG))
    assert told.stored(LARGE)
    assert told.store.count("create") == 1
    assert [request.headers.get("range") for request in told.requests[1:]] == [f"bytes={MIDDLE}-"] * 2
    assert told.requests[-1].headers["if-match"] == '"abc"'


@pytest.mark.fault("D06", "D23")
@pytest.mark.parametrize("same", [True, False], ids=["same each time", "other each time"])
async def test_length_that_is_too_small_is_noticed_by_the_riff_size(same: bool) -> None:
    """Cut at a Content-Length that lies: flagged when two fetches agree (refusing would lose it), else refused."""

    def lying(body: bytes, etag: str) -> Script:
        async def script(connection: Connection, request: Request) -> None:
            await connection.send(head("200 OK", etag, length=MIDDLE) + body[:MIDDLE])
            await asyncio.sleep(0.05)
            await connection.send(body[MIDDLE:])
            await connection.fin()

        return script

    if same:
        told = await carried(lying(LARGE, ETAG))
        assert told.stored(LARGE[:MIDDLE])
        assert isinstance(told.outcome, Stored)
        assert told.outcome.flags == ("riff_size",)
        assert len(told.requests) == 2
    else:
        told = await carried(*(lying(LARGE, f'ETag: "{number}"') for number in range(3)))
        assert told.reason == "media_mismatch"
        assert told.nothing_is_left()


@pytest.mark.fault("D06", "A6")
async def test_excess_in_the_same_segment_never_reaches_the_bucket() -> None:
    """More bytes than promised, all at once: a framing error each time, and nothing of it is stored."""
    told = await carried(raw(head("200 OK", length=700) + SMALL + b"and more", "fin"))
    assert told.nothing_is_left()
    assert told.reason == "bad_head"


@pytest.mark.fault("D08", "A2", "D20")
@BOTH
@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_end_of_the_connection_proves_nothing(data: bytes, end: str) -> None:
    """Without a length, half a recording is refused however the connection ends; nothing is stored."""
    told = await carried(raw(head("200 OK", ETAG) + data[: len(data) // 2], end))
    assert told.reason == "unprovable"
    assert told.nothing_is_left()
    assert len(told.requests) == 3


@pytest.mark.fault("D08")
@BOTH
async def test_without_a_length_the_riff_size_is_proof_enough(data: bytes) -> None:
    """The whole of a WAV is stored; the whole of what states no size is not, for nobody can know."""
    assert (await carried(raw(head("200 OK", ETAG) + data, "fin"))).stored(data)
    told = await carried(raw(head("200 OK", ETAG) + NOT_WAV, "fin"))
    assert told.reason == "unprovable"
    assert told.nothing_is_left()


@pytest.mark.fault("D09")
@pytest.mark.parametrize("data", [SMALL, LARGE, NOT_WAV], ids=["small", "multipart", "no riff"])
async def test_final_chunk_is_proof_and_its_absence_is_a_cut(data: bytes) -> None:
    """Whole by its final chunk: stored.  Without it: resumed where it broke off, or nothing."""
    assert (await carried(chunked(data, ends=True))).stored(data)
    assert (await carried(chunked(data, ends=False), ranged(data, ETAG))).stored(data)
    told = await carried(chunked(data[: len(data) // 2], ends=False))
    assert told.nothing_is_left()


@pytest.mark.fault("A1", "D09")
@pytest.mark.parametrize(
    "damage", [b"ZZ\r\nhello\r\n", b"5\r\n" + LARGE[1024:1029] + b"XX5\r\nworld\r\n"], ids=["size", "crlf"]
)
async def test_damaged_chunk_neither_hangs_nor_ends_a_recording(damage: bytes) -> None:
    """Nobody is told of the damage, so the read deadline ends it, and the rest is asked for; never stored short."""

    async def begun(connection: Connection, request: Request) -> None:
        await connection.send(head("200 OK", "Transfer-Encoding: chunked", ETAG) + b"400\r\n" + LARGE[:1024] + b"\r\n")
        await asyncio.sleep(0.05)  # in one segment with the head it would be noticed by itself
        await connection.send(damage)
        await connection.until_gone()

    told = await carried(begun, ranged(LARGE, ETAG))
    assert told.stored(LARGE)
    assert len(told.requests) == 2


@pytest.mark.fault("D10")
@pytest.mark.parametrize("kept", [1.0, 0.5], ids=["whole", "truncated"])
async def test_encoded_body_is_refused(kept: float) -> None:
    """gzip that nobody asked for, whole or cut with a length that fits: neither decoded nor stored as it came."""
    packed = gzip.compress(LARGE)
    told = await carried(whole(packed[: int(len(packed) * kept)], ETAG, "Content-Encoding: gzip"))
    assert told.reason == "encoded"
    assert told.nothing_is_left()
    assert {request.headers["accept-encoding"] for request in told.requests} == {"identity"}


@pytest.mark.fault("D11", "D22")
@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"", "audio/wav", "empty"),
        (wav(44), "audio/wav", "no_audio"),
        (b"<html>Sign in</html>", "text/html", "not_media"),
        (b"<html>Sign in</html>", "audio/wav", "not_media"),
        (b'{"trackingId": "x"}', "application/octet-stream", "not_media"),
        (b"<?xml version='1.0'?><Error><Code>Odd</Code></Error>", "audio/wav", "not_media"),
    ],
    ids=["empty", "header only", "html", "html as wav", "json", "xml"],
)
async def test_what_is_no_recording_is_fetched_thrice_and_never_stored(body: bytes, kind: str, reason: str) -> None:
    """A success status does not make a page, an error or nothing at all a recording."""
    told = await carried(whole(body, f"Content-Type: {kind}"))
    assert told.reason == reason
    assert told.nothing_is_left()
    assert len(told.requests) == 3


@pytest.mark.fault("D12")
async def test_ignored_range_with_the_same_bytes_goes_on_in_the_same_upload() -> None:
    """200 for a range: what is known is compared and skipped, the rest appended, and no byte twice."""
    told = await carried(ranged(LARGE, ETAG, upto=MIDDLE, end="fin"), whole(LARGE, ETAG))
    assert told.stored(LARGE)
    assert told.store.count("create") == 1


SPAN = f"Content-Range: bytes {MIDDLE}-{len(LARGE) - 1}/{len(LARGE)}"


@pytest.mark.fault("D12", "D13", "D14", "D15")
@pytest.mark.parametrize(
    "second",
    [
        whole(OTHER, ETAG),
        whole(OTHER, 'ETag: "new"'),
        whole(LARGE[MIDDLE + 1 :], SPAN.replace(str(MIDDLE), str(MIDDLE + 1)), status="206 Partial Content"),
        whole(OTHER[MIDDLE:], SPAN, 'ETag: "new"', status="206 Partial Content"),
        whole(OTHER[MIDDLE:], "Content-Type: multipart/byteranges; boundary=x", status="206 Partial Content"),
        s3_error("412 Precondition Failed", "PreconditionFailed"),
        raw(head("416 Range Not Satisfiable", "Content-Range: bytes */99", length=0)),
    ],
    ids=["200 other bytes", "200 other etag", "206 shifted", "206 other etag", "multipart", "412", "416"],
)
async def test_bytes_of_two_versions_never_meet_in_one_object(second: Script) -> None:
    """Whatever shows that the source is another one now: the upload is aborted, a new one takes all of it anew."""
    told = await carried(ranged(LARGE, ETAG, upto=MIDDLE, end="fin"), second, whole(OTHER, 'ETag: "new"'))
    assert told.stored(OTHER)
    assert told.store.count("abort") == told.store.count("create") - 1 == 1
    assert "range" not in told.requests[-1].headers


@pytest.mark.fault("D14")
async def test_416_behind_the_last_byte_proves_no_end() -> None:
    """It is what a shorter recording answers as well: everything is fetched again, and then it is whole or is not."""
    assert (await carried(chunked(LARGE, ends=False), ranged(LARGE, ETAG))).stored(LARGE)
    short = LARGE[:MIDDLE]
    told = await carried(*(chunked(short, ends=False), ranged(short, ETAG)) * 2)
    assert isinstance(told.outcome, Failed)
    assert told.nothing_is_left()


@pytest.mark.fault("D04")
@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "RequestTimeTooSkewed"])
async def test_url_whose_signature_is_refused_again_and_again_ends_the_run(code: str) -> None:
    """Our re-quoting or somebody's clock: three fresh URLs are refused alike, so every other one would be, too."""
    with pytest.raises(RunStopped, match=code):
        await carried(s3_error("403 Forbidden", code))


@pytest.mark.fault("D23")
@pytest.mark.parametrize("minutes", [0.001, 600])
async def test_neither_duration_nor_channels_are_a_reason_to_refuse(minutes: float) -> None:
    """A WAV that is whole is stored, however long Webex says the call was, and whatever its fmt chunk says.

    Codecs are not promised, and a recording that is refused for good is lost to the purge.  One that is far shorter
    or longer than Webex says is fetched once more, and flagged when it is the same.
    """
    odd = SMALL[:22] + b"\x07\x00" + SMALL[24:]  # seven channels
    told = await carried(whole(odd, ETAG), stop_ms=round(minutes * 60_000))
    assert told.stored(odd)
    assert isinstance(told.outcome, Stored)
    assert told.outcome.flags == (("length_doubtful",) if minutes > 1 else ())
    assert len(told.requests) == (2 if minutes > 1 else 1)


@pytest.mark.fault("D23")
async def test_half_a_call_is_fetched_again_until_all_of_it_comes() -> None:
    """A sound WAV of half a second where Webex says 30: the next answer has the call, and that is what is stored."""
    half, call = wav(8_000), wav(480_044)
    told = await carried(whole(half, 'ETag: "half"'), whole(call, ETAG), stop_ms=30_000)
    assert told.stored(call)
    assert isinstance(told.outcome, Stored)
    assert told.outcome.flags == ()


@pytest.mark.fault("D23")
async def test_a_length_that_is_far_off_and_another_each_time_is_a_failure() -> None:
    """Nobody knows which one is the call."""
    told = await carried(*(whole(wav(8_000 + 2 * size), ETAG) for size in range(3)), stop_ms=30_000)
    assert told.reason == "length_doubtful"
    assert told.nothing_is_left()


@pytest.mark.fault("D03")
@pytest.mark.parametrize("at", [0, MIDDLE])
@pytest.mark.parametrize("named", [True, False])
async def test_recording_deleted_while_it_is_read_leaves_nothing(at: int, named: bool) -> None:
    """404 before the first byte and in the middle: gone if captures no longer names it; what was begun is aborted."""
    first = [ranged(LARGE, ETAG, upto=at, end="fin")] if at else []
    told = await carried(*first, s3_error("404 Not Found", "NoSuchKey"), named=named)
    if named:
        assert isinstance(told.outcome, Failed)
        assert (told.outcome.reason, told.outcome.evidence) == ("not_found", "no_such_key")
    else:
        assert told.outcome == Gone("no_such_key")
    assert told.nothing_is_left()


@pytest.mark.fault("D21", "X14")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_gone_to(status: int) -> None:
    """No kind of redirect is followed, not even to a server that has the recording."""
    async with serving(whole(LARGE)) as elsewhere:
        told = await carried(whole(b"", f"Location: {elsewhere.url()}", status=f"{status} Moved"))
        assert elsewhere.connections == 0
    assert told.reason == "redirected"
    assert told.nothing_is_left()
    assert len(told.requests) == 1


@pytest.mark.fault("D27")
async def test_endless_body_is_cut_off_and_its_upload_aborted() -> None:
    """At the cap it ends, after parts were sent: the upload goes, no object stays, and it is not fetched again."""

    async def endless(connection: Connection, request: Request) -> None:
        await connection.send(head("200 OK", "Transfer-Encoding: chunked") + b"400\r\n" + LARGE[:1024] + b"\r\n")
        while True:
            await connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await asyncio.sleep(0.001)

    told = await carried(endless, max_bytes=60 * PART)
    assert told.reason == "too_large"
    assert told.nothing_is_left()
    assert told.store.count("abort") == 1
    assert len(told.requests) == 1
