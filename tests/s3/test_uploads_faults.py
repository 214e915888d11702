"""Uploads to an S3 that misbehaves, over real sockets."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import quote

import anyio
import pytest

from tests.s3.benches import Retries, open_store
from tests.s3.fake_s3 import (
    XML,
    Behaviour,
    FakeS3,
    crc32_text,
    does_then_says,
    error,
    loses_reply,
    reply,
    says,
)
from wxrec_async.config import S3Settings
from wxrec_async.errors import ConnectionLost, HTTPStatusError, InvalidResponse, ObjectExists, RunStopped, TimedOut
from wxrec_async.model import ObjectTarget, Part, PartReceipt, StoredObject
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import MAX_ATTEMPTS, GiveUp
from wxrec_async.s3.api import Deadlines
from wxrec_async.s3.uploads import S3Store

pytestmark = pytest.mark.anyio

DATA = b"RIFF" * 5000
TARGET = ObjectTarget("call-detail/t1/recording.wav", "audio/wav", {"wx-task-id": "t1"})
PART = Part(1, [memoryview(DATA)[:7000], memoryview(DATA)[7000:]], len(DATA), zlib.crc32(DATA))
QUICK = Deadlines(request_s=3.0, complete_s=3.0, bytes_per_s=1 << 20, recheck_s=1.5)
SLOW_DOWN = error(503, "SlowDown", "Please reduce your request rate.")
INTERNAL = error(500, "InternalError", "We encountered an internal error.")
ERROR_IN_200 = reply(200, XML + b"<Error><Code>InternalError</Code><Message>again</Message></Error>")


@dataclass
class Scene:
    """A store on a fake S3."""

    s3: FakeS3
    store: S3Store
    retries: Retries = field(default_factory=list)

    async def put(self, *, overwrite: bool = False) -> StoredObject:
        return await self.store.put(TARGET, PART, overwrite=overwrite)

    async def complete(self) -> StoredObject:
        upload_id = await self.store.create(TARGET)
        receipt = await self.store.upload_part(TARGET.key, upload_id, PART)
        return await self.complete_only(upload_id, receipt)

    async def complete_only(self, upload_id: str, receipt: PartReceipt) -> StoredObject:
        return await self.store.complete(TARGET, upload_id, [receipt], size=PART.size, crc32=PART.crc32)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")


@pytest.fixture
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    settings: dict[str, object] = getattr(request, "param", {})
    s3 = FakeS3()
    async with s3.serving() as endpoint:
        config = S3Settings.model_validate(
            {"bucket": "b-1", "region": "us-east-1", "endpoint_url": endpoint, **settings}
        )
        async with open_store(config, deadlines=QUICK) as (store, retries):
            yield Scene(s3, store, retries)


# -- the plain way -----------------------------------------------------------


@pytest.mark.fault("R08")
async def test_one_call_is_one_request(scene: Scene) -> None:
    """A put is one PUT and nothing else: no HEAD before or after, when the answer carries the checksum."""
    stored = await scene.put()
    assert scene.s3.operations == ["put"]
    assert (stored.crc32, stored.size, stored.metadata) == (PART.crc32, PART.size, TARGET.metadata)


@pytest.mark.fault("R08")
async def test_a_multipart_upload_is_three_requests(scene: Scene) -> None:
    """Create, part and complete are one request each."""
    await scene.complete()
    assert scene.s3.operations == ["create", "part", "complete"]


@pytest.mark.fault("A10")
async def test_a_put_carries_what_s3_shall_check(scene: Scene) -> None:
    """Checksum, length, type, metadata and the condition are headers; nothing is chunked, nothing waits for 100."""
    await scene.put()
    seen = scene.s3.seen[0]
    assert seen.headers["x-amz-checksum-crc32"] == crc32_text(DATA)
    assert seen.headers["content-length"] == str(len(DATA))
    assert seen.headers["if-none-match"] == "*"
    assert seen.headers["content-type"] == "audio/wav"
    assert seen.headers["x-amz-meta-wx-task-id"] == "t1"
    assert not {"expect", "transfer-encoding", "content-encoding", "x-amz-trailer"} & set(seen.headers)
    assert "wxrec-async" in seen.headers["user-agent"]
    assert seen.body == DATA


@pytest.mark.fault("A10", "S10")
async def test_a_complete_carries_what_s3_shall_check(scene: Scene) -> None:
    """Full-object checksum, its type, the size, the condition, and the checksum of every part."""
    await scene.complete()
    create, part, complete = scene.s3.seen
    assert create.headers["x-amz-checksum-algorithm"] == "CRC32"
    assert create.headers["x-amz-checksum-type"] == complete.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert part.headers["x-amz-checksum-crc32"] == complete.headers["x-amz-checksum-crc32"] == crc32_text(DATA)
    assert complete.headers["x-amz-mp-object-size"] == str(len(DATA))
    assert complete.headers["if-none-match"] == "*"
    assert f"<ChecksumCRC32>{crc32_text(DATA)}</ChecksumCRC32>".encode() in complete.body
    assert not {"expect", "transfer-encoding"} & set(part.headers)


async def test_overwrite_sends_no_condition(scene: Scene) -> None:
    """Told to overwrite, the request has no If-None-Match."""
    scene.s3.objects[TARGET.key] = b"old"
    await scene.put(overwrite=True)
    assert "if-none-match" not in scene.s3.seen[0].headers
    assert scene.s3.objects[TARGET.key] == DATA


@pytest.mark.fault("S22", "X22")
@pytest.mark.parametrize(
    "scene",
    [
        {
            "storage_class": "STANDARD_IA",
            "tags": {"project": "back fill", "x": "1"},
            "object_lock_mode": "COMPLIANCE",
            "object_lock_days": 30,
            "expected_bucket_owner": "123456789012",
        }
    ],
    indirect=True,
)
async def test_what_is_configured_is_asked_for(scene: Scene) -> None:
    """Storage class, tags, lock and owner are sent with new objects, the owner with every call."""
    await scene.put()
    headers = scene.s3.seen[0].headers
    assert headers["x-amz-storage-class"] == "STANDARD_IA"
    assert headers["x-amz-tagging"] == "project=back+fill&x=1"
    assert headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert headers["x-amz-object-lock-retain-until-date"].endswith("Z")
    upload_id = await scene.store.create(TARGET)
    await scene.store.upload_part(TARGET.key, upload_id, PART)
    await scene.store.head(TARGET.key)
    await scene.store.read_crc32(TARGET.key)
    await scene.store.open_uploads("call-detail/")
    await scene.store.abort(TARGET.key, upload_id)
    await scene.store.check_bucket()
    assert {seen.headers.get("x-amz-expected-bucket-owner") for seen in scene.s3.seen} == {"123456789012"}


@pytest.mark.fault("X23")
@pytest.mark.parametrize("scene", [{"sse": "aws:kms"}], indirect=True)
async def test_a_store_that_does_not_encrypt_stops_the_run(scene: Scene) -> None:
    """Asked for encryption, an answer without it ends everything before another byte is sent."""
    with pytest.raises(RunStopped, match="sse"):
        await scene.store.create(TARGET)
    assert scene.s3.seen[0].headers["x-amz-server-side-encryption"] == "aws:kms"


# -- failures that are plainly failures ---------------------------------------


@pytest.mark.fault("S01", "S02", "S17")
@pytest.mark.parametrize("refusal", [SLOW_DOWN, INTERNAL, error(400, "RequestTimeout")])
async def test_a_passing_refusal_of_a_part_is_tried_again(scene: Scene, refusal: bytes) -> None:
    """The same part goes again from memory, byte for byte."""
    upload_id = await scene.store.create(TARGET)
    scene.s3.script["part"] = [says(refusal)]
    receipt = await scene.store.upload_part(TARGET.key, upload_id, PART)
    assert receipt == PartReceipt(1, '"p"', PART.crc32, PART.size)
    assert [seen.body for seen in scene.s3.seen if seen.operation == "part"] == [DATA, DATA]


@pytest.mark.fault("S01")
async def test_slow_down_holds_back_everybody(scene: Scene) -> None:
    """While S3 wants fewer requests, no other call goes out either."""
    scene.s3.script["put"] = [says(SLOW_DOWN)]
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(scene.put)
        while not scene.retries:
            await anyio.sleep(0.005)
        await scene.store.head("something/else.wav")
    assert anyio.current_time() - started >= 0.2
    assert scene.s3.operations[0] == "put"
    assert scene.s3.objects[TARGET.key] == DATA


@pytest.mark.fault("S09")
async def test_bad_digest_twice_is_a_corrupting_path(scene: Scene) -> None:
    """Bytes that are spoiled on the way twice are given up; nothing is stored."""
    scene.s3.script["put"] = [says(error(400, "BadDigest"))] * 2
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    assert "corrupting_path" in repr(given_up.value.decision)
    assert scene.s3.objects == {}
    assert scene.s3.operations == ["put", "put"]


@pytest.mark.fault("S09")
async def test_another_checksum_in_the_answer_is_never_stored(scene: Scene) -> None:
    """When S3 says 200 and names a checksum that is not ours, the object does not count as stored."""
    wrong = reply(etag='"e"', x_amz_checksum_crc32="AAAAAA==")
    scene.s3.script["put"] = [does_then_says(wrong)]
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    assert "corrupting_path" in repr(given_up.value.decision)


@pytest.mark.fault("S12")
async def test_access_denied_is_given_up_with_its_words(scene: Scene) -> None:
    """A refusal is not repeated; it says what S3 said."""
    scene.s3.script["put"] = [says(error(403, "AccessDenied", "User is not authorized to perform: s3:PutObject"))]
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    trouble = given_up.value.trouble
    assert isinstance(trouble, HTTPStatusError)
    assert (trouble.status, trouble.code, trouble.tracking_id) == (403, "AccessDenied", "REQ1")
    assert "s3:PutObject" in str(trouble)
    assert scene.s3.operations == ["put"]


@pytest.mark.fault("S06")
async def test_a_part_of_a_vanished_upload_is_given_up_for_a_new_one(scene: Scene) -> None:
    """NoSuchUpload on a part surfaces with its code after one request."""
    with pytest.raises(OperationFailed) as given_up:
        await scene.store.upload_part(TARGET.key, "gone", PART)
    assert isinstance(given_up.value.trouble, HTTPStatusError)
    assert given_up.value.trouble.code == "NoSuchUpload"
    assert scene.s3.operations == ["part"]


@pytest.mark.fault("S16")
@pytest.mark.parametrize("operation", ["put", "part"])
async def test_a_server_that_stops_reading_ends_by_our_deadline(scene: Scene, operation: str) -> None:
    """A body nobody takes is ended by our own deadline, which the SDK's timeout does not do."""
    big = bytes(32 << 20)  # more than the socket buffers of both sides hold
    part = Part(1, [memoryview(big)], len(big), zlib.crc32(big))
    wire = scene.store._wire
    params = wire.requests.put(TARGET, part, overwrite=False)
    call = wire.client.put_object
    if operation == "part":
        params, call = wire.requests.part(TARGET.key, "u", part), wire.client.upload_part  # type: ignore[assignment]
    scene.s3.stalls = {operation}
    with anyio.fail_after(30), pytest.raises(TimedOut):
        await wire.send(lambda: call(**params), 0.5)


@pytest.mark.fault("S16")
async def test_the_deadline_of_a_body_grows_with_its_size() -> None:
    """A part has a minute, or its size at 64 KiB a second when that is longer."""
    assert Deadlines().body(100_000) == 60
    assert Deadlines().body(64 << 20) == 1024


# -- answers that leave it open -----------------------------------------------


@pytest.mark.fault("S04")
async def test_a_lost_answer_to_put_is_settled_by_looking(scene: Scene) -> None:
    """Stored, then cut off: the object is found equal, and not sent again."""
    scene.s3.script["put"] = [loses_reply]
    stored = await scene.put()
    assert scene.s3.operations == ["put", "head"]
    assert (stored.crc32, stored.size) == (PART.crc32, PART.size)


@pytest.mark.fault("S04")
async def test_a_lost_answer_to_complete_is_settled_by_looking(scene: Scene) -> None:
    """The same for a multipart upload."""
    scene.s3.script["complete"] = [loses_reply]
    stored = await scene.complete()
    assert scene.s3.operations == ["create", "part", "complete", "head"]
    assert stored.crc32 == PART.crc32


@pytest.mark.fault("S04")
async def test_a_lost_request_is_sent_again(scene: Scene) -> None:
    """Cut off before it was stored: nothing is found, so it goes again."""
    scene.s3.script["put"] = [says(None)]
    await scene.put()
    assert scene.s3.operations == ["put", "head", "put"]
    assert scene.s3.objects == {TARGET.key: DATA}


@pytest.mark.fault("S04")
async def test_a_lost_answer_with_another_object_there_is_a_conflict(scene: Scene) -> None:
    """What lies there after a lost answer and is not ours is left alone."""

    def other_wins(_seen: object, _do: object) -> None:
        scene.s3.objects[TARGET.key] = b"other"

    scene.s3.script["put"] = [other_wins]
    with pytest.raises(ObjectExists):
        await scene.put()
    assert scene.s3.objects[TARGET.key] == b"other"


@pytest.mark.fault("S03")
@pytest.mark.parametrize(
    "answer",
    [
        ERROR_IN_200,
        reply(200, XML + b" " * 500 + b"<Error><Code>InternalError</Code><Message>x</Message></Error>"),
        reply(200, b" " * 500 + ERROR_IN_200.split(b"\r\n\r\n", 1)[1]),
        reply(200, b" " * 500),
        reply(200, b""),
        INTERNAL,
    ],
    ids=["error", "blanks inside", "blanks first", "only blanks", "empty", "500"],
)
@pytest.mark.parametrize("done", [True, False])
async def test_an_error_inside_success_is_settled_by_looking(scene: Scene, answer: bytes, done: bool) -> None:
    """A 200 with an error, with nothing, or a 500: found when it was done, sent again when it was not."""
    scene.s3.script["complete"] = [does_then_says(answer) if done else says(answer)]
    stored = await scene.complete()
    expected = ["create", "part", "complete", "head"] + ([] if done else ["complete"])
    assert scene.s3.operations == expected
    assert stored.crc32 == PART.crc32


async def test_blanks_before_a_success_do_no_harm(scene: Scene) -> None:
    """S3 keeps the connection alive with blanks after the XML declaration; the success after them counts."""
    ok = f"<CompleteMultipartUploadResult><ETag>&quot;e-1&quot;</ETag><ChecksumCRC32>{crc32_text(DATA)}</ChecksumCRC32>"
    ok += "<ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>"
    scene.s3.script["complete"] = [does_then_says(reply(200, XML + b" " * 900 + ok.encode()))]
    await scene.complete()
    assert scene.s3.operations == ["create", "part", "complete"]


@pytest.mark.fault("S05")
@pytest.mark.parametrize("later", ["NoSuchUpload", "PreconditionFailed"])
async def test_a_refusal_because_of_our_own_success_is_success(scene: Scene, later: str) -> None:
    """Done, answered 500, invisible for a moment, then refused because it is there: it is ours."""
    status = {"NoSuchUpload": 404, "PreconditionFailed": 412}[later]
    scene.s3.script["complete"] = [does_then_says(INTERNAL), says(error(status, later))]
    scene.s3.script["head"] = [says(reply(404))]
    stored = await scene.complete()
    assert scene.s3.operations[2:] == ["complete", "head", "complete", "head"]
    assert stored.crc32 == PART.crc32


@pytest.mark.fault("S14")
@pytest.mark.parametrize("there", [DATA, b"other"])
async def test_a_taken_key_on_the_first_try_is_for_the_caller_to_judge(scene: Scene, there: bytes) -> None:
    """412 at first raises ObjectExists with what lies there, whatever it is; one request looks for it."""
    scene.s3.objects[TARGET.key] = there
    with pytest.raises(ObjectExists) as taken:
        await scene.put()
    assert scene.s3.operations == ["put", "head"]
    assert taken.value.found is not None
    assert taken.value.found.size == len(there)


TAKEN = error(412, "PreconditionFailed")


@pytest.mark.fault("S05", "S14")
async def test_a_refusal_where_nothing_lies_is_tried_again(scene: Scene) -> None:
    """412 for no reason: looked into, and then it is stored."""
    scene.s3.script["put"] = [says(TAKEN)]
    await scene.put()
    assert scene.s3.operations == ["put", "head", "put"]
    assert scene.s3.objects == {TARGET.key: DATA}


@pytest.mark.fault("S05", "S14")
async def test_a_refusal_that_goes_on_where_nothing_lies_is_no_conflict(scene: Scene) -> None:
    """Nothing shows however often it is looked for: unverified, and never "taken"."""
    scene.s3.script["put"] = [says(TAKEN)] * 3
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    assert given_up.value.decision == GiveUp("unverified")
    assert scene.s3.count("put") == 2


@pytest.mark.fault("S05")
async def test_a_refusal_of_what_a_proxy_sent_twice_shows_what_lies_there(scene: Scene) -> None:
    """It was stored by the first of two requests that we did not see: the caller finds its own bytes."""
    scene.s3.script["put"] = [does_then_says(TAKEN)]
    with pytest.raises(ObjectExists) as taken:
        await scene.put()
    assert taken.value.found is not None
    assert taken.value.found.crc32 == PART.crc32


@pytest.mark.fault("S05")
@pytest.mark.parametrize(
    "refusal",
    [TAKEN, error(409, "ConditionalRequestConflict"), error(404, "NoSuchUpload"), error(404, "NoSuchKey")],
    ids=["412", "409", "no upload", "no key"],
)
async def test_a_refusal_after_our_own_write_is_waited_for(scene: Scene, refusal: bytes) -> None:
    """Done, the answer lost, and not to be seen for a while: it is looked for until it shows."""
    scene.s3.script["complete"] = [does_then_says(INTERNAL), says(refusal)]
    scene.s3.script["head"] = [says(reply(404))] * 3
    stored = await scene.complete()
    assert stored.crc32 == PART.crc32
    assert scene.s3.count("complete") == 2


@pytest.mark.fault("S26")
@pytest.mark.parametrize("operation", ["put", "complete"])
@pytest.mark.parametrize("header", ["<Header>If-None-Match</Header>", ""])
async def test_a_store_without_conditions_ends_the_run_with_the_way_out(
    scene: Scene, operation: str, header: str
) -> None:
    """501: said once, in words that name the condition and what can be done."""
    body = f"<Error><Code>NotImplemented</Code><Message>not implemented</Message>{header}</Error>"
    scene.s3.script[operation] = [says(reply(501, XML + body.encode()))]
    with pytest.raises(RunStopped, match=r"If-None-Match.*--overwrite.*another store"):
        await (scene.put() if operation == "put" else scene.complete())


@pytest.mark.fault("S26")
async def test_a_store_that_does_not_know_another_header_ends_the_run_by_its_name(scene: Scene) -> None:
    """Every other recording would fail alike."""
    body = b"<Error><Code>NotImplemented</Code><Message>no</Message><Header>x-amz-tagging</Header></Error>"
    scene.s3.script["put"] = [says(reply(501, XML + body))]
    with pytest.raises(RunStopped, match="does not know x-amz-tagging"):
        await scene.put()


@pytest.mark.fault("X03")
@pytest.mark.parametrize("writing", [str, lambda text: quote(quote(text)), lambda text: text.encode().hex()])
async def test_words_of_a_refusal_have_no_credential_in_them(scene: Scene, writing: Callable[[str], str]) -> None:
    """A gateway may name the key it was given, in whatever writing."""
    scene.s3.script["put"] = [says(error(400, "Odd", f"refused for {writing('AKIAPLANTED')}"))]
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    assert "***" in str(given_up.value.trouble)


@pytest.mark.fault("S05")
@pytest.mark.parametrize("written", ['W/"p-1"', "p-1", 'w/"p-1"', '"p-1"'])
async def test_parts_are_named_as_the_store_knows_them(scene: Scene, written: str) -> None:
    """A proxy before the store may weaken or bare every ETag; the store knows the tag without."""
    scene.s3.script["part"] = [does_then_says(reply(200, etag=written, x_amz_checksum_crc32=crc32_text(DATA)))]
    await scene.complete()
    completed = next(seen for seen in scene.s3.seen if seen.operation == "complete")
    assert b"<ETag>&quot;p-1&quot;</ETag>" in completed.body or b'<ETag>"p-1"</ETag>' in completed.body


async def test_an_upload_that_is_really_gone_is_given_up(scene: Scene) -> None:
    """NoSuchUpload with nothing under the key: the caller must begin again."""
    with pytest.raises(OperationFailed) as given_up:
        await scene.complete_only("gone", PartReceipt(1, '"p"', PART.crc32, PART.size))
    assert isinstance(given_up.value.trouble, HTTPStatusError)
    assert given_up.value.trouble.code == "NoSuchUpload"


@pytest.mark.fault("S03")
async def test_after_the_last_try_the_bucket_has_the_last_word(scene: Scene) -> None:
    """When every answer was an error, the object is looked for once more before it is given up."""
    scene.s3.script["complete"] = [says(ERROR_IN_200)] * (MAX_ATTEMPTS - 1) + [does_then_says(ERROR_IN_200)]
    stored = await scene.complete()
    assert scene.s3.count("complete") == MAX_ATTEMPTS
    assert stored.crc32 == PART.crc32


async def test_tries_are_limited(scene: Scene) -> None:
    """A put that always fails is given up after the attempts of the rules, and leaves nothing."""
    scene.s3.script["put"] = [says(None)] * 20
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    assert isinstance(given_up.value.trouble, ConnectionLost)
    assert scene.s3.count("put") == MAX_ATTEMPTS
    assert scene.s3.objects == {}


@pytest.mark.fault("S15")
async def test_a_put_that_raced_is_tried_again(scene: Scene) -> None:
    """409 ConditionalRequestConflict on a put is repeated."""
    scene.s3.script["put"] = [says(error(409, "ConditionalRequestConflict"))]
    await scene.put()
    assert scene.s3.operations == ["put", "put"]


@pytest.mark.fault("S15")
async def test_a_complete_that_raced_wants_a_new_upload(scene: Scene) -> None:
    """409 on a complete is given up with its code."""
    scene.s3.script["complete"] = [says(error(409, "ConditionalRequestConflict"))]
    with pytest.raises(OperationFailed) as given_up:
        await scene.complete()
    assert isinstance(given_up.value.trouble, HTTPStatusError)
    assert given_up.value.trouble.code == "ConditionalRequestConflict"
    assert scene.s3.count("complete") == 1


# -- stores that say little ---------------------------------------------------


@pytest.mark.fault("S23")
async def test_without_any_checksum_the_object_is_read_back(scene: Scene) -> None:
    """A store that names no checksum is believed only after reading the object back."""
    scene.s3.names_checksums = False
    stored = await scene.put()
    assert scene.s3.operations == ["put", "head", "get"]
    assert stored.crc32 == PART.crc32


@pytest.mark.fault("S23")
async def test_reading_back_finds_other_bytes(scene: Scene) -> None:
    """The same length with other bytes is not our object."""
    scene.s3.names_checksums = False

    def spoils(_seen: object, _do: object) -> bytes:
        scene.s3.objects[TARGET.key] = DATA[:-1] + b"?"
        return reply(etag='"e"')

    scene.s3.script["put"] = [spoils]
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    assert "corrupting_path" in repr(given_up.value.decision)


@pytest.mark.fault("S28")
async def test_an_object_may_take_a_moment_to_show(scene: Scene) -> None:
    """404 right after a success is looked at again for a while."""
    scene.s3.names_checksums = False
    scene.s3.script["head"] = [says(reply(404))]
    await scene.put()
    assert scene.s3.operations == ["put", "head", "head", "get"]


@pytest.mark.fault("S28")
async def test_an_object_that_never_shows_is_unverified(scene: Scene) -> None:
    """Acknowledged and never seen: not stored, and not sent again."""
    scene.s3.names_checksums = False
    scene.s3.script["head"] = [says(reply(404))] * 20
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    assert "unverified" in repr(given_up.value.decision)
    assert isinstance(given_up.value.trouble, InvalidResponse)
    assert scene.s3.count("put") == 1


@pytest.mark.fault("S05", "S28")
async def test_our_own_object_may_take_a_moment_to_show_when_the_key_is_taken(scene: Scene) -> None:
    """Lost reply, not to be seen, then 412: what S3 says is there is looked for again before it is given up."""
    scene.s3.script["put"] = [loses_reply]
    scene.s3.script["head"] = [says(reply(404))] * 3
    assert (await scene.put()).crc32 == PART.crc32
    assert scene.s3.operations == ["put", "head", "put", "head", "head", "head"]


@pytest.mark.fault("S21")
async def test_head_that_is_not_allowed_is_unknown_not_absent(scene: Scene) -> None:
    """403 to HEAD raises Rejected; it is neither None nor retried."""
    scene.s3.script["head"] = [says(reply(403))]
    with pytest.raises(HTTPStatusError) as refusal:
        await scene.store.head(TARGET.key)
    assert refusal.value.status == 403
    assert scene.s3.operations == ["head"]


@pytest.mark.fault("S21")
async def test_without_permission_to_look_a_lost_answer_is_sent_again(scene: Scene) -> None:
    """The condition keeps that safe: if it was stored, the second try says that the key is taken, and no more."""
    scene.s3.script["put"] = [loses_reply]
    scene.s3.script["head"] = [says(reply(403))] * 3
    with pytest.raises(OperationFailed) as given_up:
        await scene.put()
    assert "unverified" in repr(given_up.value.decision)
    assert scene.s3.operations == ["put", "head", "put", "head"]
    assert scene.s3.objects == {TARGET.key: DATA}


# -- memory -------------------------------------------------------------------


@pytest.mark.fault("A10")
async def test_a_part_is_never_joined(scene: Scene) -> None:
    """While a part of many chunks is sent, the process never holds a second copy of it."""
    chunks = [bytes([number]) * (256 << 10) for number in range(64)]
    size = sum(map(len, chunks))
    crc32 = 0
    for chunk in chunks:
        crc32 = zlib.crc32(chunk, crc32)
    scene.s3.swallows = True
    tracemalloc.start()
    try:
        await scene.store.put(TARGET, Part(1, chunks, size, crc32))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size // 2


# -- abort and lists ----------------------------------------------------------


@pytest.mark.fault("S19")
async def test_a_part_that_lands_after_the_abort_is_aborted_too(scene: Scene) -> None:
    """The upload is aborted again until S3 does not know it any more."""
    upload_id = await scene.store.create(TARGET)

    def late_part(seen: object, do: object) -> bytes:
        return b"HTTP/1.1 204 X\r\n\r\n"  # said to be gone, but the parts are there

    scene.s3.script["abort"] = [late_part]
    assert await scene.store.abort(TARGET.key, upload_id)
    assert scene.s3.operations == ["create", "abort", "list_parts", "abort", "list_parts"]
    assert scene.s3.uploads == {}


@pytest.mark.fault("S19")
@pytest.mark.parametrize("refusal", [error(403, "AccessDenied"), INTERNAL])
async def test_an_upload_that_cannot_be_aborted_is_admitted(scene: Scene, refusal: bytes) -> None:
    """False, not an exception: the caller reports what is left."""
    upload_id = await scene.store.create(TARGET)
    scene.s3.script["abort"] = [says(refusal)] * 20
    assert not await scene.store.abort(TARGET.key, upload_id)


async def test_without_permission_to_list_a_second_abort_shows_it(scene: Scene) -> None:
    """Who may not list parts learns from the next abort's NoSuchUpload that nothing is left."""
    upload_id = await scene.store.create(TARGET)
    scene.s3.script["list_parts"] = [says(error(403, "AccessDenied"))] * 9
    assert await scene.store.abort(TARGET.key, upload_id)
    assert scene.s3.operations == ["create", "abort", "list_parts", "abort"]


async def test_a_create_whose_answer_was_lost_is_remembered(scene: Scene) -> None:
    """Another upload is begun; the key is noted, because one may be left over there."""
    scene.s3.script["create"] = [loses_reply]
    assert await scene.store.create(TARGET) == "u2"
    assert scene.store.uncertain_keys == {TARGET.key}


async def test_open_uploads_are_read_to_the_last_page(scene: Scene) -> None:
    """The second page is asked for with the markers of the first."""

    def page(name: str, more: str) -> Behaviour:
        text = f"<ListMultipartUploadsResult>{more}<Upload><Key>{name}</Key><UploadId>u-{name}</UploadId>"
        text += "<Initiated>2026-01-31T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"
        return says(reply(200, XML + text.encode()))

    more = "<IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>u-a</NextUploadIdMarker>"
    scene.s3.script["list_uploads"] = [page("a", more), page("b", "<IsTruncated>false</IsTruncated>")]
    found = await scene.store.open_uploads("p/")
    assert [(upload.key, upload.upload_id) for upload in found] == [("a", "u-a"), ("b", "u-b")]
    assert found[0].started_ms == 1_769_817_600_000
    assert scene.s3.seen[1].query["key-marker"] == "a"
    assert scene.s3.seen[1].query["upload-id-marker"] == "u-a"


async def test_a_list_that_turns_in_a_circle_is_given_up(scene: Scene) -> None:
    """A page that points to itself is an error, not an endless loop."""
    text = b"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>"
    scene.s3.script["list_uploads"] = [says(reply(200, XML + text))] * 50
    with pytest.raises(OperationFailed):
        await scene.store.open_uploads("p/")
