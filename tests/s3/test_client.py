"""Opening the client, and what it puts on the wire."""

from __future__ import annotations

import contextlib
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme
from botocore.endpoint_provider import RuleSet

from tests.s3.benches import open_store
from tests.s3.fake_s3 import FakeS3, error, reply, says
from wxrec_async.config import S3Settings
from wxrec_async.errors import AuthError, ConfigError, ConnectError, HTTPStatusError, RunStopped, TLSError
from wxrec_async.model import ObjectTarget, Part
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.s3.client import open_client
from wxrec_async.s3.uploads import S3Store

pytestmark = pytest.mark.anyio

PLAIN = S3Settings(bucket="b-1", region="eu-west-1", endpoint_url="http://127.0.0.1:9")
DATA = b"0123456789" * 1000
PART = Part(1, [DATA], len(DATA), zlib.crc32(DATA))
TARGET = ObjectTarget("k/recording.wav", "audio/wav")


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Keep the AWS set-up of this machine out; give credentials in the environment."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    return monkeypatch


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def serving_as(name: str, authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def _open(settings: S3Settings, ca_bundle: Path | None = None) -> None:
    async with open_client(settings, connections=1, ca_bundle=ca_bundle):
        pass


async def test_missing_credentials_are_a_matter_of_configuration(aws: pytest.MonkeyPatch) -> None:
    """Without credentials the message names the ways to give them."""
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match=r"AWS_ACCESS_KEY_ID.*profile.*role"):
        await _open(PLAIN)


async def test_half_credentials_are_named_too(aws: pytest.MonkeyPatch) -> None:
    """A key id without its secret is told like none at all."""
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY"):
        await _open(PLAIN)


async def test_an_unknown_profile_is_named() -> None:
    """The message names the setting and the profile."""
    with pytest.raises(ConfigError, match=r"\[s3\] profile: there is no AWS profile 'nobody'"):
        await _open(PLAIN.model_copy(update={"profile": "nobody"}))


async def test_a_missing_ca_bundle_is_named(tmp_path: Path) -> None:
    """A CA bundle that is not there is found before anything is sent."""
    with pytest.raises(ConfigError, match="ca_bundle: there is no file"):
        await _open(PLAIN, tmp_path / "nothing.pem")


@pytest.mark.fault("X11", "X29")
async def test_plain_http_from_the_environment_is_refused(aws: pytest.MonkeyPatch) -> None:
    """AWS_ENDPOINT_URL cannot make recordings travel in the clear."""
    aws.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example.com")
    with pytest.raises(ConfigError, match="plain http"):
        await _open(PLAIN.model_copy(update={"endpoint_url": ""}))


@pytest.mark.fault("A10")
async def test_https_has_the_wire_format_of_http(authority: trustme.CA, tmp_path: Path) -> None:
    """On TLS the body goes plainly with its length and our checksum, no trailer, not hashed a second time."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    s3 = FakeS3()
    async with s3.serving(serving_as("localhost", authority)) as endpoint:
        settings = PLAIN.model_copy(update={"endpoint_url": endpoint})
        async with open_store(settings, ca_bundle=tmp_path / "ca.pem") as (store, _):
            await store.put(TARGET, PART)
    (seen,) = s3.seen
    assert seen.body == DATA
    assert seen.headers["content-length"] == str(len(DATA))
    assert seen.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert not {"expect", "transfer-encoding", "content-encoding", "x-amz-trailer"} & set(seen.headers)


@pytest.mark.fault("S26", "X16")
@pytest.mark.parametrize("name", ["localhost", "somebody-else.example"])
async def test_a_certificate_that_is_not_trusted_ends_it_at_once(
    authority: trustme.CA, name: str, tmp_path: Path
) -> None:
    """An unknown authority, or another name, is one attempt and no byte of the body."""
    s3 = FakeS3()
    known = trustme.CA() if name == "localhost" else authority
    known.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with s3.serving(serving_as(name, authority)) as endpoint:
        settings = PLAIN.model_copy(update={"endpoint_url": endpoint})
        async with open_store(settings, ca_bundle=tmp_path / "ca.pem") as (store, _):
            with pytest.raises(OperationFailed) as given_up:
                await store.put(TARGET, PART)
            with pytest.raises(ConfigError, match="not trusted; set ca_bundle"):
                await store.check_bucket()
    assert isinstance(given_up.value.trouble, TLSError)
    assert s3.seen == []


async def test_endpoint_rules_are_not_searched_for_every_key(
    fake: tuple[FakeS3, S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """New keys find the endpoint in botocore's cache, and still arrive as they are."""
    s3, store = fake
    searched, evaluate = [], RuleSet.evaluate

    def counting(rules: RuleSet, parameters: dict[str, object]) -> object:
        searched.append(parameters)
        return evaluate(rules, parameters)

    monkeypatch.setattr(RuleSet, "evaluate", counting)
    keys = [f"call-detail/{number}/recording.wav" for number in range(5)]
    for key in keys:
        await store.put(ObjectTarget(key, "audio/wav"), PART)
    assert sorted(s3.objects) == keys
    assert len(searched) == 1


@pytest.mark.fault("X15", "D26")
async def test_proxies_of_the_environment_are_not_used(aws: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY does not redirect recordings."""
    aws.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    aws.setenv("http_proxy", "http://127.0.0.1:9")
    s3 = FakeS3()
    async with s3.serving() as endpoint, open_store(PLAIN.model_copy(update={"endpoint_url": endpoint})) as (store, _):
        await store.put(TARGET, PART)
    assert s3.operations == ["put"]


@pytest.fixture
async def fake() -> AsyncIterator[tuple[FakeS3, S3Store]]:
    s3 = FakeS3()
    async with s3.serving() as endpoint, open_store(PLAIN.model_copy(update={"endpoint_url": endpoint})) as (store, _):
        yield s3, store


@pytest.mark.fault("S13", "R08")
@pytest.mark.parametrize("status", [301, 307, 400])
async def test_another_region_is_named_not_followed(fake: tuple[FakeS3, S3Store], status: int) -> None:
    """The SDK would ask the other region unseen; we send one request and name the region."""
    s3, store = fake
    s3.script["bucket"] = [says(reply(status, x_amz_bucket_region="ap-south-1"))]
    with pytest.raises(ConfigError, match='region = "ap-south-1"'):
        await store.check_bucket()
    assert s3.operations == ["bucket"]


@pytest.mark.fault("S13", "R08")
async def test_a_redirect_of_a_put_stops_the_run(fake: tuple[FakeS3, S3Store]) -> None:
    """PermanentRedirect is an answer, not a new address."""
    s3, store = fake
    s3.script["put"] = [says(error(301, "PermanentRedirect", x_amz_bucket_region="ap-south-1"))]
    with pytest.raises(RunStopped):
        await store.put(TARGET, PART)
    assert s3.operations == ["put"]


@pytest.mark.fault("R08", "X14")
@pytest.mark.parametrize("operation", ["put", "create", "head", "get", "abort", "list_uploads"])
async def test_a_location_is_not_followed(fake: tuple[FakeS3, S3Store], operation: str) -> None:
    """A redirect that names a place is not gone to, by any method: signed headers are for one host."""
    s3, store = fake
    elsewhere = FakeS3()
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: store.put(TARGET, PART),
        "create": lambda: store.create(TARGET),
        "head": lambda: store.head("k"),
        "get": lambda: store.read_crc32("k"),
        "abort": lambda: store.abort("k", "u1"),
        "list_uploads": lambda: store.open_uploads("k"),
    }
    s3.objects["k"] = DATA
    async with elsewhere.serving() as other:
        s3.script[operation] = [says(reply(307, location=f"{other}/b-1/k"))] * 9
        with contextlib.suppress(OperationFailed):
            assert await calls[operation]() is False  # abort's way to say it
    assert s3.count(operation) == 1
    assert elsewhere.seen == []


@pytest.mark.fault("S13")
async def test_a_missing_bucket_says_what_to_do(fake: tuple[FakeS3, S3Store]) -> None:
    """404 names the bucket."""
    s3, store = fake
    s3.script["bucket"] = [says(reply(404))]
    with pytest.raises(ConfigError, match=r"bucket b-1 is not there; create it or correct \[s3\] bucket"):
        await store.check_bucket()


@pytest.mark.fault("S21")
async def test_a_write_only_profile_passes(fake: tuple[FakeS3, S3Store]) -> None:
    """Who may neither look at the bucket nor list uploads may still be allowed to upload."""
    s3, store = fake
    s3.script["bucket"] = [says(reply(403))]
    s3.script["list_uploads"] = [says(error(403, "AccessDenied"))]
    await store.check_bucket()
    assert s3.operations == ["bucket", "list_uploads"]


@pytest.mark.fault("S11")
@pytest.mark.parametrize(
    ("status", "code"), [(403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (400, "ExpiredToken")]
)
async def test_refused_credentials_are_told(fake: tuple[FakeS3, S3Store], status: int, code: str) -> None:
    """HEAD has no body to say why, so a request that has one is asked."""
    s3, store = fake
    s3.script["bucket"] = [says(reply(status))]
    s3.script["list_uploads"] = [says(error(status, code))]
    with pytest.raises(AuthError, match=code):
        await store.check_bucket()


@pytest.mark.fault("S18")
async def test_a_wrong_clock_is_told(fake: tuple[FakeS3, S3Store]) -> None:
    """RequestTimeTooSkewed is named before anything is moved."""
    s3, store = fake
    s3.script["bucket"] = [says(reply(403))]
    s3.script["list_uploads"] = [says(error(403, "RequestTimeTooSkewed"))]
    with pytest.raises(RunStopped, match="clock"):
        await store.check_bucket()


@pytest.mark.fault("S26")
async def test_a_server_that_is_not_there_is_named() -> None:
    """Nobody listening: three quick tries, then the host and what to check."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        async with open_store(PLAIN.model_copy(update={"endpoint_url": endpoint})) as (store, retries):
            with pytest.raises(RunStopped, match=r"no answer from 127\.0\.0\.1.*endpoint_url") as stopped:
                await store.check_bucket()
            assert stopped.value.exit_code == 8
            with pytest.raises(OperationFailed) as given_up:
                await store.put(TARGET, PART)
    assert isinstance(given_up.value.trouble, ConnectError)
    assert retries


async def test_a_bucket_name_that_cannot_be_is_named(fake: tuple[FakeS3, S3Store]) -> None:
    """A name no bucket can have, or none, is found before anything is sent."""
    s3, _ = fake
    for name, words in (("", "bucket is not set"), ("no/bucket here", "'no/bucket here'")):
        settings = PLAIN.model_copy(update={"bucket": name, "endpoint_url": f"http://127.0.0.1:{s3.port}"})
        async with open_store(settings) as (store, _):
            with pytest.raises(ConfigError, match=words):
                await store.check_bucket()
    assert s3.seen == []


@pytest.mark.fault("X04")
@pytest.mark.parametrize("answer", [error(403, "SignatureDoesNotMatch", "https://b/k?X-Amz-Signature=abc"), None])
async def test_failures_name_no_secret(fake: tuple[FakeS3, S3Store], answer: bytes | None) -> None:
    """Neither signatures nor keys nor the URL are in what is raised, or in what it hangs on to."""
    s3, store = fake
    s3.script["put"] = [says(answer)] * 20
    s3.script["head"] = [says(None)] * 20
    with pytest.raises((OperationFailed, AuthError)) as raised:
        await store.put(TARGET, PART)
    told, error_ = "", raised.value
    chain: BaseException | None = error_
    while chain is not None:
        told += f"{chain!r} {chain} {vars(chain)}"
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    for secret in ("AKIAPLANTED", "planted-secret", "X-Amz-Signature=abc", "Credential=", "k/recording.wav"):
        assert secret not in told


async def test_a_denied_head_has_no_code(fake: tuple[FakeS3, S3Store]) -> None:
    """HEAD has no body; the status botocore gives for a code is not passed on as one."""
    s3, store = fake
    s3.script["head"] = [says(reply(403))]
    with pytest.raises(HTTPStatusError) as refusal:
        await store.head("k")
    assert (refusal.value.status, refusal.value.code, refusal.value.words) == (403, "", "")
