"""A recording on its way into an S3 that misbehaves: the real transfer on the real store, over real sockets.

The tests of the store show what one request makes of an answer; here it is what
the whole upload makes of it, and what is left in the bucket.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import anyio
import pytest

from tests.flow.kit import PART, Body, FakeSource, Log, cut, order, wav
from tests.s3.benches import Retries, open_store
from tests.s3.fake_s3 import Behaviour, FakeS3, Seen, does_then_says, error, says
from wxrec_async.config import S3Settings
from wxrec_async.errors import AuthError, HTTPStatusError, RunStopped
from wxrec_async.events import Event, UploadLeftOpen
from wxrec_async.flow.transfer import Transfer, TransferLimits
from wxrec_async.model import Failed, Outcome, Stored
from wxrec_async.plumbing.pool import MemoryPool
from wxrec_async.rules import parts
from wxrec_async.rules.retry import MAX_ATTEMPTS, MAX_FRESH_TRIES
from wxrec_async.s3.api import Deadlines
from wxrec_async.s3.uploads import S3Store

pytestmark = pytest.mark.anyio

KEY = "c/t1/recording.wav"
SMALL, LARGE = wav(700), wav(4 * PART + 5)
QUICK = Deadlines(request_s=2.0, complete_s=2.0, bytes_per_s=1 << 20, recheck_s=0.4)
INTERNAL = error(500, "InternalError", "We encountered an internal error.")
SIZE_DIFFERS = "The provided 'x-amz-mp-object-size' header does not match what was computed."


@dataclass
class Bench:
    """One recording, a store on a fake S3, and what was told."""

    s3: FakeS3
    store: S3Store
    retries: Retries
    told: list[Event] = field(default_factory=list)
    log: Log = field(default_factory=Log)
    source: FakeSource = field(default_factory=lambda: FakeSource({}))

    async def carry(self, data: bytes) -> Outcome:
        self.source = FakeSource({"r1": [Body(cut(data, 300))]})
        pool = MemoryPool(16 * PART)
        transfer = Transfer(self.source, self.store, self.log, pool, TransferLimits(PART, 2, 2048), self.told.append)
        with anyio.fail_after(20):
            outcome = await transfer.carry(order())
        assert pool.free == pool.total
        return outcome

    def nothing_is_left(self) -> bool:
        return self.s3.objects == {} and self.s3.uploads == {} and not self.log.open


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setattr(parts, "MIN_PART", PART)
    s3 = FakeS3()
    async with s3.serving() as endpoint:
        config = S3Settings(bucket="b-1", region="us-east-1", endpoint_url=endpoint)
        async with open_store(config, deadlines=QUICK) as (store, retries):
            yield Bench(s3, store, retries)


def reason(outcome: Outcome) -> str:
    return outcome.reason if isinstance(outcome, Failed) else type(outcome).__name__


def flipped(seen: Seen, do: Callable[[], bytes]) -> bytes:
    """Store what arrived with one bit flipped on the way, as an S3 that checks does not: refuse it."""
    spoiled = bytes([seen.body[0] ^ 1]) + seen.body[1:]
    assert zlib.crc32(spoiled) != zlib.crc32(seen.body)
    return error(400, "BadDigest", "The CRC32 you specified did not match the calculated checksum.")


@pytest.mark.fault("S01", "S02", "S17", "S27")
@pytest.mark.parametrize(
    ("operation", "refusal"),
    [
        *((each, error(503, "SlowDown")) for each in ("put", "create", "part", "complete")),
        *((each, INTERNAL) for each in ("create", "part", "complete")),
        ("part", error(400, "RequestTimeout")),
        *((each, error(400, "KMS.ThrottlingException")) for each in ("part", "complete")),
    ],
)
async def test_passing_refusal_of_any_request_costs_one_more_of_it(
    bench: Bench, operation: str, refusal: bytes
) -> None:
    """Whichever request meets it, that one is repeated, and the object is whole."""
    data = SMALL if operation == "put" else LARGE
    before = {"put": 1, "create": 1, "part": 5, "complete": 1}[operation]
    bench.s3.script[operation] = [says(refusal)]
    assert isinstance(await bench.carry(data), Stored)
    assert bench.s3.objects == {KEY: data}
    assert bench.s3.count(operation) == before + 1
    assert bench.s3.uploads == {}
    assert bench.source.gets == {"r1": 1}


@pytest.mark.fault("S07", "C3")
@pytest.mark.parametrize("code", ["EntityTooSmall", "InvalidPart", "InvalidPartOrder"])
async def test_parts_that_s3_finds_wrong_fail_the_recording_and_leave_nothing(bench: Bench, code: str) -> None:
    """Our mistake, so it is not repeated: failed under S3's own code, the upload aborted, no object."""
    bench.s3.script["complete"] = [says(error(400, code))] * 9
    outcome = await bench.carry(LARGE)
    assert reason(outcome) == f"s3_{code}"
    assert isinstance(outcome, Failed)
    assert code in outcome.detail
    assert bench.s3.count("complete") == 1
    assert bench.nothing_is_left()


@pytest.mark.fault("S07")
async def test_parts_are_listed_as_s3_wants_them(bench: Bench) -> None:
    """Numbers from 1 without a gap, in order, each with the ETag of its own answer; only the last part is short."""

    def numbered(seen: Seen, do: Callable[[], bytes]) -> bytes:
        return do().replace(b'etag: "p"', f'etag: "p{seen.query["partNumber"]}"'.encode())

    bench.s3.script["part"] = [numbered] * 9
    assert isinstance(await bench.carry(LARGE), Stored)
    listed = next(seen.body for seen in bench.s3.seen if seen.operation == "complete").decode()
    for number in range(1, 6):
        assert f"<PartNumber>{number}</PartNumber>" in listed.replace("\n", "")
        assert f'"p{number}"' in listed.replace("&quot;", '"')
    places = [listed.index(f"<PartNumber>{number}<") for number in range(1, 6)]
    assert places == sorted(places)
    sizes = {int(seen.query["partNumber"]): len(seen.body) for seen in bench.s3.seen if seen.operation == "part"}
    assert [sizes[each] for each in range(1, 6)] == [PART] * 4 + [5]


@pytest.mark.fault("S09", "C3")
@pytest.mark.parametrize("operation", ["put", "part"])
@pytest.mark.parametrize("times", [1, 2])
async def test_bytes_spoiled_on_the_way_are_never_an_object(bench: Bench, operation: str, times: int) -> None:
    """Refused by their checksum: once is an accident, sent again from memory; twice is a corrupting path."""
    data = SMALL if operation == "put" else LARGE
    bench.s3.script[operation] = [flipped] * times if operation == "put" else _same_part_twice(times)
    outcome = await bench.carry(data)
    if times == 1:
        assert bench.s3.objects == {KEY: data}
    else:
        assert reason(outcome) == "corrupting_path"
        assert bench.nothing_is_left()
    assert bench.source.gets == {"r1": 1}


def _same_part_twice(times: int) -> list[Behaviour]:
    left = times

    def behave(seen: Seen, do: Callable[[], bytes]) -> bytes:
        nonlocal left
        if seen.query["partNumber"] != "1" or not left:
            return do()
        left -= 1
        return flipped(seen, do)

    return [behave] * 20


@pytest.mark.fault("S10", "C3")
@pytest.mark.parametrize(
    ("code", "words"),
    [("BadDigest", "The CRC32 you specified did not match the calculated checksum."), ("InvalidRequest", SIZE_DIFFERS)],
    ids=["checksum", "size"],
)
@pytest.mark.parametrize("times", [1, 9])
async def test_whole_that_is_not_what_was_sent_is_begun_again_and_never_stored(
    bench: Bench, code: str, words: str, times: int
) -> None:
    """S3 joins other bytes than ours: that upload is beyond mending, so it goes and a new one takes everything anew."""
    bench.s3.script["complete"] = [says(error(400, code, words))] * times
    outcome = await bench.carry(LARGE)
    if times == 1:
        assert isinstance(outcome, Stored)
        assert outcome.upload_id == "u2"
        assert bench.s3.objects == {KEY: LARGE}
        assert bench.source.gets == {"r1": 2}
    else:
        assert reason(outcome) == f"s3_{code}"
        assert bench.s3.objects == {}
        assert bench.source.gets == {"r1": MAX_FRESH_TRIES}
    assert bench.s3.uploads == {}
    assert bench.s3.count("complete") == min(times + 1, MAX_FRESH_TRIES)


@pytest.mark.fault("S10", "S09")
@pytest.mark.parametrize("operation", ["put", "complete"])
async def test_success_that_names_another_checksum_is_a_failure(bench: Bench, operation: str) -> None:
    """200, and S3 says that what it has is something else: not stored, and not sent over it either."""
    body = b'<CompleteMultipartUploadResult><ETag>"e-1"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>'
    body += b"<ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>"
    headers = f'content-length: {len(body)}\r\netag: "e"\r\nx-amz-checksum-crc32: AAAAAA==\r\n'
    answer = f"HTTP/1.1 200 X\r\n{headers}x-amz-checksum-type: FULL_OBJECT\r\n\r\n".encode() + body
    bench.s3.script[operation] = [does_then_says(answer)]
    assert reason(await bench.carry(SMALL if operation == "put" else LARGE)) == "corrupting_path"
    assert bench.s3.count(operation) == 1


@pytest.mark.fault("S11")
async def test_credentials_that_expire_in_mid_upload_end_the_run_and_are_told(bench: Bench) -> None:
    """A static key cannot be renewed: one request hears it, the run stops, and the open upload is named."""
    bench.s3.script["part"] = [says(error(400, "ExpiredToken"))] * 9
    bench.s3.script["abort"] = [says(error(400, "ExpiredToken"))] * 9
    with pytest.raises(AuthError, match="expired"):
        await bench.carry(LARGE)
    assert bench.s3.count("part") <= 3  # as many as were on their way
    assert bench.told == [UploadLeftOpen(KEY, "u1")]
    assert bench.log.open == {"u1"}, "the next run finds it in the ledger"
    assert bench.s3.objects == {}


@pytest.mark.fault("S13", "S18")
@pytest.mark.parametrize(
    ("refusal", "words", "asked"),
    # What was signed before this machine slept is refused once: the second refusal is about the clock.
    [(error(404, "NoSuchBucket"), "NoSuchBucket", 1), (error(403, "RequestTimeTooSkewed"), "clock", 2)],
    ids=["bucket gone", "clock"],
)
async def test_what_is_wrong_for_everybody_ends_the_run_in_mid_upload(
    bench: Bench, refusal: bytes, words: str, asked: int
) -> None:
    """A bucket that is gone or a clock that is off will not be mended by the next recording."""
    bench.s3.script["create"] = [says(refusal)] * 9
    with pytest.raises(RunStopped, match=words):
        await bench.carry(LARGE)
    assert bench.s3.count("create") == asked


@pytest.mark.fault("S12", "S22")
@pytest.mark.parametrize("operation", ["put", "create", "part", "complete"])
async def test_permission_that_is_missing_is_told_by_whichever_request_meets_it(bench: Bench, operation: str) -> None:
    """A key policy may show only at a part or at Complete: one request, S3's own words, nothing left."""
    said = "User is not authorized to perform: kms:GenerateDataKey"
    bench.s3.script[operation] = [says(error(403, "AccessDenied", said))] * 9
    outcome = await bench.carry(SMALL if operation == "put" else LARGE)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "s3_AccessDenied"
    assert "kms:GenerateDataKey" in outcome.detail
    assert bench.nothing_is_left()


class Cutting(FakeS3):
    """Breaks a body off after so many bytes: by a reset, a normal end, or by reading no further."""

    def __init__(self, operation: str, times: int, *, reset: bool) -> None:
        super().__init__()
        self.operation, self.times, self.reset, self.cuts = operation, times, reset, 0

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0]
        wanted = (b"partNumber=2" in line) if self.operation == "part" else line.startswith(b"PUT")
        if wanted and self.times:
            self.times -= 1
            self.cuts += 1
            await reader.readexactly(100)
            if self.reset:
                writer.transport.abort()  # unread bytes in the buffer turn the close into a reset
            return False
        again = asyncio.StreamReader(limit=1 << 20)
        again.feed_data(head)
        length = next((int(row.split(b":")[1]) for row in head.lower().split(b"\r\n") if b"content-length:" in row), 0)
        again.feed_data(await reader.readexactly(length))
        return await super()._exchange(again, writer)


@pytest.mark.fault("S16", "A4", "R08")
@pytest.mark.parametrize("operation", ["put", "part"])
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "close"])
@pytest.mark.parametrize("times", [1, 20])
async def test_connection_cut_in_mid_body_is_one_attempt_each(
    monkeypatch: pytest.MonkeyPatch, operation: str, reset: bool, times: int
) -> None:
    """After 100 bytes the connection goes: what was cut is sent whole again, as often as we say and no oftener."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setattr(parts, "MIN_PART", PART)
    s3 = Cutting(operation, times, reset=reset)
    async with s3.serving() as endpoint:
        config = S3Settings(bucket="b-1", region="us-east-1", endpoint_url=endpoint)
        async with open_store(config, deadlines=QUICK) as (store, retries):
            bench = Bench(s3, store, retries)
            data = SMALL if operation == "put" else LARGE
            outcome = await bench.carry(data)
    assert s3.cuts == min(times, MAX_ATTEMPTS)
    if times == 1:
        assert s3.objects == {KEY: data}
    else:
        assert reason(outcome) == "retries_exhausted"
        assert bench.nothing_is_left()


@pytest.mark.fault("A4", "R08")
async def test_kept_connection_that_closes_is_one_attempt_of_ours(bench: Bench) -> None:
    """aiohttp would repeat a PUT on a connection that was idle, unseen: every request S3 sees is one we count."""
    assert isinstance(await bench.carry(SMALL), Stored)
    bench.s3.objects.clear()
    bench.s3.seen.clear()
    bench.s3.script["put"] = [says(None)]
    assert isinstance(await bench.carry(SMALL), Stored)
    assert bench.s3.operations == ["put", "head", "put"]
    assert [operation for operation, _ in bench.retries] == ["put_object"]


class Silent(FakeS3):
    """Never says 100 Continue: who asks for it waits for ever, who does not is served."""

    asked = 0

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked += b"\r\nexpect:" in head.lower()
        again = asyncio.StreamReader(limit=1 << 20)
        again.feed_data(head)
        length = next((int(row.split(b":")[1]) for row in head.lower().split(b"\r\n") if b"content-length:" in row), 0)
        again.feed_data(await reader.readexactly(length))
        return await super()._exchange(again, writer)


@pytest.mark.fault("A9", "S16")
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["put", "parts"])
@pytest.mark.parametrize("asking", [False, True], ids=["as we send", "as the SDK sends"])
async def test_server_that_never_says_continue_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, data: bytes, asking: bool
) -> None:
    """Nothing is sent that waits for 100 Continue; and what the SDK would send does hang, until our own deadline."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setattr(parts, "MIN_PART", PART)
    s3 = Silent()
    hurried = Deadlines(request_s=0.25, complete_s=1.0, bytes_per_s=1 << 20, recheck_s=0.1) if asking else QUICK
    async with s3.serving() as endpoint:
        config = S3Settings(bucket="b-1", region="us-east-1", endpoint_url=endpoint)
        async with open_store(config, deadlines=hurried) as (store, retries):
            bench = Bench(s3, store, retries)
            if asking:
                store._client.meta.events.unregister("before-call.s3", unique_id="wxrec-send-once")
                store._carrier = store._client  # the long way, every time
            outcome = await bench.carry(data)
    if asking:
        assert s3.asked
        assert reason(outcome) == "retries_exhausted"
        assert bench.nothing_is_left()
    else:
        assert s3.asked == 0
        assert s3.objects == {KEY: data}
        assert retries == []


BOMB = b"".join(
    (
        b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a0 "',
        b"lol" * 100,
        b'">',
        *(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">'.encode() for n in range(1, 10)),
        b"]><Error><Code>&a9;</Code><Message>&a9;</Message></Error>",
    )
)


@pytest.mark.fault("X20", "X19")
@pytest.mark.parametrize("operation", ["put", "create", "part", "complete"])
async def test_xml_that_blows_up_is_an_answer_that_makes_no_sense(bench: Bench, operation: str) -> None:
    """Entities within entities are not unfolded: tried again as nonsense, in no time and no memory, then given up."""
    answer = b"HTTP/1.1 400 X\r\ncontent-length: %d\r\n\r\n" % len(BOMB) + BOMB
    bench.s3.script[operation] = [says(answer)] * 20
    outcome = await bench.carry(SMALL if operation == "put" else LARGE)
    assert isinstance(outcome, Failed)
    assert len(outcome.detail) < 500
    assert "lollol" not in outcome.detail
    assert bench.nothing_is_left()
    assert all(isinstance(trouble, HTTPStatusError) or len(str(trouble)) < 500 for _, trouble in bench.retries)
