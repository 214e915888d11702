"""Single objects: signatures, checksums and conditions are checked as S3 checks them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from wxrec_async.sandbox import Options, Sandbox

from .kit import http_client, s3_client

pytestmark = pytest.mark.anyio
BODY = b"recording " * 30_000


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def crc_of(body: bytes) -> str:
    return b64(zlib.crc32(body).to_bytes(4, "big"))


def refusal(raised: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    answer: Any = raised.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


async def test_an_object_keeps_what_was_said_with_it(sandbox: Sandbox, s3: Any) -> None:
    """Bytes, type, metadata, encryption, class, tags and lock come back, checksums when asked for."""
    key = "call-detail/a b+c/\u00e9 (1)/recording.wav"
    await s3.put_object(
        Bucket=sandbox.bucket,
        Key=key,
        Body=BODY,
        ContentType="audio/wav",
        Metadata={"wx-task-id": "t"},
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="arn:key",
        StorageClass="STANDARD_IA",
        Tagging="a=1&b=2",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=time.time() + 86_400,
    )
    head = await s3.head_object(Bucket=sandbox.bucket, Key=key, ChecksumMode="ENABLED")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (
        len(BODY),
        "audio/wav",
        {"wx-task-id": "t"},
    )
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "arn:key")
    assert (head["StorageClass"], head["ObjectLockMode"]) == ("STANDARD_IA", "GOVERNANCE")
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (crc_of(BODY), "FULL_OBJECT")
    assert "ChecksumCRC32" not in await s3.head_object(Bucket=sandbox.bucket, Key=key)
    got = await s3.get_object(Bucket=sandbox.bucket, Key=key)
    assert await got["Body"].read() == BODY
    tags = await s3.get_object_tagging(Bucket=sandbox.bucket, Key=key)
    assert tags["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    part = await s3.get_object(Bucket=sandbox.bucket, Key=key, Range="bytes=10-19")
    assert (await part["Body"].read(), part["ContentRange"]) == (BODY[10:20], f"bytes 10-19/{len(BODY)}")


@pytest.mark.parametrize("keys", [{"aws_secret_access_key": "wrong"}, {"aws_access_key_id": "nobody"}])
async def test_wrong_keys_are_refused(sandbox: Sandbox, keys: dict[str, str]) -> None:
    """A signature by another secret and an unknown key are told apart."""
    async with s3_client(sandbox, **keys) as client:
        with pytest.raises(ClientError) as raised:
            await client.put_object(Bucket=sandbox.bucket, Key="a", Body=b"x")
    expected = "InvalidAccessKeyId" if "aws_access_key_id" in keys else "SignatureDoesNotMatch"
    assert refusal(raised) == (403, expected)
    assert not sandbox.store.objects


async def test_the_wrong_region_is_named(sandbox: Sandbox) -> None:
    """A scope of another region is malformed, and the right one is in the message."""
    async with s3_client(sandbox, region_name="eu-west-1") as client:
        with pytest.raises(ClientError, match=r"expecting 'us-east-1'") as raised:
            await client.list_objects_v2(Bucket=sandbox.bucket)
    assert refusal(raised) == (400, "AuthorizationHeaderMalformed")


class Signer(S3SigV4Auth):
    """botocore's own signer, with the payload hash the test wants to claim."""

    def payload(self, request: AWSRequest) -> str:
        claimed = request.context.get("claimed")
        return str(claimed or super().payload(request))


def signed(sandbox: Sandbox, method: str, path: str, body: bytes, **headers: str) -> dict[str, str]:
    """Sign a request, whatever its headers say."""
    request = AWSRequest(method, f"{sandbox.s3_url}/{sandbox.bucket}/{path}", headers=headers, data=body)
    request.context |= {"client_config": None, "claimed": headers.get("x-amz-content-sha256")}
    Signer(Credentials(sandbox.access_key, sandbox.secret_key), "s3", sandbox.region).add_auth(request)
    return dict(request.headers.items())


async def put(sandbox: Sandbox, body: bytes, sent: bytes = b"", /, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    head = signed(sandbox, "PUT", "k", body, **names)
    async with http_client() as http:
        return await http.put(f"{sandbox.s3_url}/{sandbox.bucket}/k", content=sent or body, headers=head)


async def test_a_signed_payload_must_be_the_one_that_arrives(sandbox: Sandbox) -> None:
    """The SHA-256 of the signature is compared with the bytes."""
    assert (await put(sandbox, BODY)).status_code == 200
    answer = await put(sandbox, BODY, BODY[:-1] + b"X")
    assert answer.status_code == 400
    assert "<Code>XAmzContentSHA256Mismatch</Code>" in answer.text
    assert not sandbox.store.replaced


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "BadDigest"),
        ({"x_amz_checksum_crc32": "AA=="}, "InvalidRequest"),
        ({"x_amz_checksum_sha256": b64(hashlib.sha256(b"other").digest())}, "BadDigest"),
        ({"x_amz_checksum_sha1": b64(hashlib.sha1(b"other", usedforsecurity=False).digest())}, "BadDigest"),
        ({"x_amz_checksum_crc32": crc_of(BODY), "x_amz_checksum_crc32c": "AAAAAA=="}, "InvalidRequest"),
        ({"x_amz_sdk_checksum_algorithm": "CRC32"}, "InvalidRequest"),
        ({"Content_MD5": b64(hashlib.md5(b"other", usedforsecurity=False).digest())}, "BadDigest"),
        ({"x_amz_content_sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, "NotImplemented"),
    ],
)
async def test_a_wrong_checksum_stores_nothing(sandbox: Sandbox, headers: dict[str, str], code: str) -> None:
    """Every kind of checksum is verified, and the refusal names what is wrong."""
    answer = await put(sandbox, BODY, **headers)
    assert f"<Code>{code}</Code>" in answer.text
    assert answer.status_code in (400, 501)
    assert not sandbox.store.objects


async def test_right_checksums_pass_and_are_kept(sandbox: Sandbox) -> None:
    """CRC32, SHA-1, SHA-256 and MD5 are accepted when they are right."""
    for headers in (
        {"x_amz_checksum_crc32": crc_of(BODY)},
        {"x_amz_checksum_sha256": b64(hashlib.sha256(BODY).digest())},
        {"x_amz_checksum_sha1": b64(hashlib.sha1(BODY, usedforsecurity=False).digest())},
        {"Content_MD5": b64(hashlib.md5(BODY, usedforsecurity=False).digest())},
    ):
        assert (await put(sandbox, BODY, **headers)).status_code == 200


async def test_crc32c_and_crc64nvme_are_verified_where_they_can_be(sandbox: Sandbox, s3: Any) -> None:
    """The SDK's own values of the newer algorithms are right."""
    pytest.importorskip("awscrt")
    for algorithm in ("CRC32C", "CRC64NVME"):
        answer = await s3.put_object(Bucket=sandbox.bucket, Key=algorithm, Body=BODY, ChecksumAlgorithm=algorithm)
        assert answer[f"Checksum{algorithm}"]


def trailer(body: bytes, checksum: str, *, size: int = 65_536) -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (body[n : n + size] for n in range(0, len(body), size)))
    return framed + f"0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()


@pytest.mark.parametrize("size", [65_536, 1, 299_999])
async def test_trailers_are_decoded_and_checked(sandbox: Sandbox, size: int) -> None:
    """aws-chunked is taken apart in any cut; the checksum behind it must be right."""
    body = BODY[:500] if size == 1 else BODY
    headers = {
        "x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x_amz_decoded_content_length": str(len(body)),
        "x_amz_trailer": "x-amz-checksum-crc32",
        "content_encoding": "aws-chunked",
    }
    good = await put(sandbox, b"", trailer(body, crc_of(body), size=size), **headers)
    assert good.status_code == 200, good.text
    assert [c async for c in sandbox.store.objects["k"].blob.read(0, len(body))]
    assert sandbox.store.objects["k"].size == len(body)
    assert sandbox.store.objects["k"].checksums == {"crc32": crc_of(body)}
    for wrong, code in (
        (trailer(body, crc_of(b"other"), size=size), "BadDigest"),
        (trailer(body[:-1], "", size=size), "Inc"),
    ):
        assert f"<Code>{code}" in (await put(sandbox, b"", wrong, **headers)).text


async def test_a_header_that_is_not_signed_is_refused(sandbox: Sandbox) -> None:
    """Nobody can add an x-amz- header under way."""
    head = signed(sandbox, "PUT", "k", b"x") | {"x-amz-storage-class": "GLACIER"}
    async with http_client() as http:
        url = f"{sandbox.s3_url}/{sandbox.bucket}/k"
        assert "not signed" in (await http.put(url, content=b"x", headers=head)).text
        assert "<Code>AccessDenied</Code>" in (await http.get(url)).text


async def test_a_clock_that_is_wrong_is_told_so() -> None:
    """Twenty minutes apart is too much."""
    async with Sandbox(Options(tasks=1, clock=lambda: time.time() + 1200)) as sandbox, s3_client(sandbox) as client:
        with pytest.raises(ClientError) as raised:
            await client.list_objects_v2(Bucket=sandbox.bucket)
    assert refusal(raised) == (403, "RequestTimeTooSkewed")


async def test_only_new_objects_may_be_asked_for(sandbox: Sandbox, s3: Any) -> None:
    """If-None-Match refuses a taken key; of eight at once exactly one wins, the others get 409 or 412."""

    async def attempt(number: int) -> tuple[int, str]:
        try:
            await s3.put_object(Bucket=sandbox.bucket, Key="race", Body=b"%d" % number * 200_000, IfNoneMatch="*")
        except ClientError as error:
            answer: Any = error.response
            return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]
        return 200, ""

    answers = await asyncio.gather(*(attempt(n) for n in range(8)))
    assert answers.count((200, "")) == 1
    assert set(answers) - {(200, "")} <= {(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")}
    assert (await attempt(9)) == (412, "PreconditionFailed")
    assert not sandbox.store.replaced


@pytest.mark.fault("X22")
async def test_bucket_owner_and_permissions(sandbox: Sandbox, s3: Any) -> None:
    """The wrong owner, a denied action and a bucket that is not there are refused in S3's words."""
    owner = {"Bucket": sandbox.bucket, "ExpectedBucketOwner": "999999999999"}
    with pytest.raises(ClientError) as raised:
        await s3.put_object(**owner, Key="a", Body=b"x")
    assert refusal(raised) == (403, "AccessDenied")
    await s3.put_object(**owner | {"ExpectedBucketOwner": sandbox.options.bucket_owner}, Key="a", Body=b"x")
    with pytest.raises(ClientError) as raised:
        await s3.head_object(Bucket=sandbox.bucket, Key="missing")
    assert refusal(raised)[0] == 404
    sandbox.s3.denied = frozenset({"s3:ListBucket"})
    with pytest.raises(ClientError) as raised:
        await s3.head_object(Bucket=sandbox.bucket, Key="missing")
    assert refusal(raised)[0] == 403
    with pytest.raises(ClientError) as raised:
        await s3.put_object(Bucket="another", Key="a", Body=b"x")
    assert refusal(raised) == (404, "NoSuchBucket")


async def test_listing_pages_folds_and_encodes(sandbox: Sandbox, s3: Any) -> None:
    """Keys come in byte order, page by page, odd characters survive, folders fold."""
    keys = ["a/1", "a/2 +\u00e9&<", "a/b/3", "c"]
    for key in keys:
        await s3.put_object(Bucket=sandbox.bucket, Key=key, Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=sandbox.bucket, PaginationConfig={"PageSize": 1})
    assert [row["Key"] async for page in pages for row in page["Contents"]] == keys
    folded = await s3.list_objects_v2(Bucket=sandbox.bucket, Delimiter="/")
    assert [row["Key"] for row in folded["Contents"]] == ["c"]
    assert folded["CommonPrefixes"] == [{"Prefix": "a/"}]
    only = await s3.list_objects_v2(Bucket=sandbox.bucket, Prefix="a/b")
    assert [row["Key"] for row in only["Contents"]] == ["a/b/3"]


async def test_the_bucket_describes_itself(sandbox: Sandbox, s3: Any) -> None:
    """Head, location, lifecycle and versioning answer what a doctor asks."""
    assert (await s3.head_bucket(Bucket=sandbox.bucket))["BucketRegion"] == sandbox.region
    assert (await s3.get_bucket_location(Bucket=sandbox.bucket))["LocationConstraint"] is None
    rules = (await s3.get_bucket_lifecycle_configuration(Bucket=sandbox.bucket))["Rules"]
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    sandbox.s3.lifecycle_days = 0
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        await s3.get_bucket_lifecycle_configuration(Bucket=sandbox.bucket)
    assert "Status" not in await s3.get_bucket_versioning(Bucket=sandbox.bucket)
    with pytest.raises(ClientError, match="MethodNotAllowed"):
        await s3.delete_object(Bucket=sandbox.bucket, Key="a")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("slow_down", "SlowDown"),
        ("internal_error", "InternalError"),
        ("conflict", "ConditionalRequestConflict"),
        ("precondition_failed", "PreconditionFailed"),
        ("request_timeout", "RequestTimeout"),
        ("flip_bit", "XAmzContentSHA256Mismatch"),
    ],
)
async def test_refusals_on_purpose(sandbox: Sandbox, s3: Any, kind: str, code: str) -> None:
    """S3's own troubles can be played, and the next attempt is served."""
    sandbox.faults.add("s3.PutObject", kind)
    with pytest.raises(ClientError) as raised:
        await s3.put_object(Bucket=sandbox.bucket, Key="a", Body=BODY)
    assert refusal(raised)[1] == code
    assert not sandbox.store.objects
    await s3.put_object(Bucket=sandbox.bucket, Key="a", Body=BODY)
    assert sandbox.log.of("s3.PutObject")[0].fault == kind


async def test_a_lost_reply_leaves_the_object(sandbox: Sandbox) -> None:
    """The put was done, nobody was told."""
    sandbox.faults.add("s3.PutObject", "reset_after")
    with pytest.raises(httpx.TransportError):
        await put(sandbox, BODY)
    assert sandbox.store.objects["k"].size == len(BODY)


@pytest.mark.parametrize("kind", ["stall_reading", "no_continue"])
async def test_a_stalled_reader_holds_a_large_body(sandbox: Sandbox, s3: Any, kind: str) -> None:
    """Nobody reads, or nobody says 100 Continue: the client has only its own deadline."""
    sandbox.faults.add("s3.PutObject", kind)
    putting = asyncio.ensure_future(s3.put_object(Bucket=sandbox.bucket, Key="a", Body=bytes(16 << 20)))
    await sandbox.log.wait_for("s3.PutObject")
    await asyncio.sleep(0.1)
    assert not putting.done()
    putting.cancel()
    await asyncio.wait([putting])
    assert not sandbox.store.objects


def files_below(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_objects_are_files_that_outlive_the_process_and_stay_in_their_folder(tmp_path: Path) -> None:
    """A restarted sandbox still has object and metadata, and no key leads out of the folder."""
    keys = ["call-detail/t/recording.wav", "../../outside", "/abs", "a//b", "a", "a/b", "x" * 300, "nul\0"[:3]]
    options = Options(tasks=1, folder=tmp_path / "bucket")
    async with Sandbox(options) as sandbox, s3_client(sandbox) as client:
        for key in keys:
            await client.put_object(Bucket=sandbox.bucket, Key=key, Body=key.encode(), Metadata={"m": "1"})
    assert files_below(tmp_path)[f"bucket/{sandbox.bucket}/{keys[0]}"] == keys[0].encode()
    assert {name.partition("/")[0] for name in files_below(tmp_path)} == {"bucket"}
    async with Sandbox(options) as again, s3_client(again) as client:
        for key in keys:
            got = await client.get_object(Bucket=again.bucket, Key=key, ChecksumMode="ENABLED")
            assert await got["Body"].read() == key.encode()
            assert (got["Metadata"], got["ChecksumCRC32"]) == ({"m": "1"}, crc_of(key.encode()))
    assert not any("/parts/" in name for name in files_below(tmp_path))
