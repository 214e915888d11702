"""The shorter way to S3: what goes out and what comes back is what the SDK's own way has."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions as aws
from botocore.auth import S3SigV4Auth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from tests.s3.fake_s3 import FakeS3, Seen, error
from wxrec_async.config import S3Settings
from wxrec_async.model import ObjectTarget, Part
from wxrec_async.s3.client import OpenedClient, open_access
from wxrec_async.s3.requests import Requests

pytestmark = pytest.mark.anyio

DATA = b"0123456789" * 1000
PART = Part(3, (DATA[:4000], DATA[4000:]), len(DATA), zlib.crc32(DATA))
WHOLE = S3Settings(
    bucket="b-1",
    region="eu-west-1",
    sse="aws:kms",
    kms_key_id="arn:aws:kms:eu-west-1:111122223333:key/k-1",
    storage_class="STANDARD_IA",
    tags={"team": "quality & care"},
    expected_bucket_owner="111122223333",
    object_lock_mode="COMPLIANCE",
    object_lock_days=30,
)
TARGET = ObjectTarget("call-detail/a b+c~%41/recording.wav", "audio/wav", {"wx-task-id": "a b"})
OF_THE_SDK_ALONE = {"amz-sdk-invocation-id", "amz-sdk-request"}
DIFFERENT_EACH_TIME = {"authorization", "x-amz-date", "x-amz-object-lock-retain-until-date"}


@pytest.fixture(autouse=True)
def aws_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-session")


@asynccontextmanager
async def on(s3: FakeS3, settings: S3Settings = WHOLE) -> AsyncIterator[tuple[OpenedClient, Requests]]:
    async with s3.serving() as endpoint:
        given = settings.model_copy(update={"endpoint_url": endpoint})
        async with open_access(given, connections=2) as access:
            yield access, Requests(given)


def told(seen: Seen) -> dict[str, str]:
    """Return the headers that say something of the object."""
    return {name: value for name, value in seen.headers.items() if name not in OF_THE_SDK_ALONE | DIFFERENT_EACH_TIME}


async def test_a_put_is_the_one_the_sdk_would_send() -> None:
    """Target, headers and body are the same, with every setting there is; one header set is signed in both."""
    s3 = FakeS3()
    async with on(s3) as (access, requests):
        for _ in range(2):
            await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True))
    long, short = s3.seen
    assert long.headers.keys() >= OF_THE_SDK_ALONE
    assert not OF_THE_SDK_ALONE & short.headers.keys()
    assert told(short) == told(long)
    assert short.headers.keys() >= DIFFERENT_EACH_TIME
    assert (short.key, short.query, short.body) == (long.key, long.query, long.body) == (TARGET.key, {}, DATA)


async def test_a_part_is_the_one_the_sdk_would_send() -> None:
    """As for a put; each operation is learned by itself."""
    s3 = FakeS3(uploads={"u 1/=": {}})
    async with on(s3) as (access, requests):
        await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True))
        for _ in range(2):
            await access.short_way.upload_part(**requests.part(TARGET.key, "u 1/=", PART))
    _, long, short = s3.seen
    assert long.headers.keys() >= OF_THE_SDK_ALONE
    assert not OF_THE_SDK_ALONE & short.headers.keys()
    assert told(short) == told(long)
    assert (short.key, short.query, short.body) == (long.key, long.query, long.body)
    assert short.query == {"uploadId": "u 1/=", "partNumber": "3"}


async def test_what_is_signed_is_what_is_sent() -> None:
    """The signature holds over the request as it arrived, every header of ours under it."""
    s3 = FakeS3()
    async with on(s3) as (access, requests):
        for _ in range(2):
            await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True))
    sent = s3.seen[1].headers
    signed = sent["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {name for name in sent if name.startswith("x-amz-")} <= set(signed)

    url = f"http://{sent['host']}/b-1/call-detail/a%20b%2Bc~%2541/recording.wav"
    headers = {name: sent[name] for name in signed}
    headers["X-Amz-Content-SHA256"] = headers.pop("x-amz-content-sha256")  # the signer looks for it so
    again: Any = SimpleNamespace(method="PUT", url=url, params={}, body=b"", headers=headers)
    again.context = {"timestamp": sent["x-amz-date"]}
    signer: Any = S3SigV4Auth(Credentials("AKIAPLANTED", "planted-secret", "planted-session"), "s3", "eu-west-1")
    text = signer.string_to_sign(again, signer.canonical_request(again))
    assert sent["authorization"].endswith(f"Signature={signer.signature(text, again)}")


class _Replacing:
    """Signs as awscrt's signer does: the request has new headers afterwards, of the class that botocore gives them."""

    def __init__(self, signer: Any) -> None:
        self._signer = signer

    def add_auth(self, request: Any) -> None:
        copy = SimpleNamespace(**{name: getattr(request, name) for name in ("method", "url", "params", "body")})
        copy.headers, copy.context = dict(request.headers), request.context
        self._signer.add_auth(copy)
        request.headers = HTTPHeaders.from_pairs([*copy.headers.items(), ("host", request.url.split("/")[2])])


async def test_a_signer_may_put_new_headers_in_the_place_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where awscrt can be imported botocore signs so, and every request is signed all the same."""
    s3 = FakeS3()
    async with on(s3) as (access, requests):
        await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True))
        (known,) = access.short_way._known.values()
        ask: Any = known.signer.get_auth_instance

        async def replacing(*given: Any, **named: Any) -> _Replacing:
            return _Replacing(await ask(*given, **named))

        monkeypatch.setattr(known.signer, "get_auth_instance", replacing)
        await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True))
    long, short = s3.seen
    assert told(short) == told(long)
    assert short.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAPLANTED/")
    assert short.headers["content-length"] == str(len(DATA))


@pytest.mark.parametrize("code", ["NoSuchBucket", "SlowDown", "Unheard"])
async def test_a_refusal_is_the_sdk_s_exception(code: str) -> None:
    """The same class, code, words and status, whichever way the request went."""
    s3 = FakeS3()
    found: list[aws.ClientError] = []
    async with on(s3) as (access, requests):
        for _ in range(2):
            s3.script["put"].append(lambda _seen, _do: error(503, code))
            with pytest.raises(aws.ClientError) as caught:
                await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True))
            found.append(caught.value)
    long, short = found
    assert type(short) is type(long)
    assert short.response["Error"] == long.response["Error"]
    assert short.response["Error"]["Code"] == code
    assert short.response["ResponseMetadata"]["HTTPStatusCode"] == 503


async def test_an_answer_reads_the_same() -> None:
    """ETag, checksum and metadata of the answer are there under the SDK's names."""
    s3 = FakeS3()
    async with on(s3) as (access, requests):
        answers: list[Any] = [
            await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True)) for _ in range(2)
        ]
    long, short = ({name: value for name, value in each.items() if name != "ResponseMetadata"} for each in answers)
    assert short == long
    assert short["ETag"] == '"e"'


async def test_every_bucket_is_learned_by_itself() -> None:
    """What was found out of one bucket is not taken for another's."""
    s3 = FakeS3()
    async with on(s3) as (access, requests):
        params = requests.put(TARGET, PART, overwrite=True)
        await access.short_way.put_object(**params)
        await access.short_way.put_object(**{**requests.put(TARGET, PART, overwrite=True), "Bucket": "b-2"})
    assert all(seen.headers.keys() >= OF_THE_SDK_ALONE for seen in s3.seen)


async def test_new_credentials_are_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role's keys change in the middle of a run: the next request is signed with the new ones."""
    s3 = FakeS3()
    async with on(s3) as (access, requests):
        await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True))
        (known,) = access.short_way._known.values()
        signer: Any = known.signer
        monkeypatch.setattr(signer._credentials, "access_key", "AKIAROTATED")
        await access.short_way.put_object(**requests.put(TARGET, PART, overwrite=True))
    assert "AKIAPLANTED" in s3.seen[0].headers["authorization"]
    assert "AKIAROTATED" in s3.seen[1].headers["authorization"]


@pytest.mark.parametrize("bucket", ["b--use1-az4--x-s3", "arn:aws:s3::111122223333:accesspoint/m.mrap"])
async def test_what_is_not_signed_plainly_keeps_the_long_way(bucket: str) -> None:
    """Directory buckets and multi-region access points have signatures of their own; nothing is learned of them."""
    settings = S3Settings(bucket=bucket, region="us-east-1")
    asked: list[str] = []

    def stop(params: Any, **_: object) -> Any:
        asked.append(params["url"])
        return type("Answer", (), {"status_code": 200})(), {}

    async with open_access(settings, connections=1) as access:
        events: Any = access.client.meta.events
        events.register_last("before-call.s3.PutObject", stop)
        for _ in range(2):
            try:
                await access.short_way.put_object(Bucket=bucket, Key="k", Body=b"")
            except aws.MissingDependencyException:
                asked.append("awscrt")  # botocore signs such with it alone
        assert access.short_way._known == {}
    assert len(asked) == 2


async def test_an_access_point_goes_the_short_way_to_its_own_host() -> None:
    """The URL is the one the endpoint rules gave, not one made of the bucket's name."""
    name = "arn:aws:s3:us-east-1:111122223333:accesspoint/ap"

    def stop(**_: object) -> Any:
        return type("Answer", (), {"status_code": 200})(), {}

    async with open_access(S3Settings(bucket=name, region="us-east-1"), connections=1) as access:
        events: Any = access.client.meta.events
        events.register_last("before-call.s3.PutObject", stop)
        await access.short_way.put_object(Bucket=name, Key="k", Body=b"")
        (known,) = access.short_way._known.values()
    assert known.url == "https://ap-111122223333.s3-accesspoint.us-east-1.amazonaws.com"
    assert known.region == "us-east-1"
