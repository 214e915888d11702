"""Tokens in Secrets Manager: against moto, and against an endpoint that refuses as AWS does."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aioboto3
import pytest
import trustme
from aiobotocore.config import AioConfig
from aiohttp import web
from moto.server import ThreadedMotoServer

from tests.auth.auth_kit import CLIENT_SECRET, T0, access, as_json, pair, renewal, shown
from wxrec_async.auth.open_store import load_credentials, open_token_store
from wxrec_async.auth.secrets_manager import SecretsManagerTokenStore
from wxrec_async.auth.token_store import AwsOptions, StoreMoved
from wxrec_async.errors import AuthError, ConfigError, ConnectError, HTTPStatusError, TimedOut, WxrecError
from wxrec_async.model import Secret

pytestmark = pytest.mark.anyio

NAME = "wx/tokens"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def options(endpoint: str) -> AwsOptions:
    return AwsOptions(region="eu-central-1", endpoint_url=endpoint)


@asynccontextmanager
async def sdk(endpoint: str) -> AsyncIterator[Any]:
    config = AioConfig(proxies={})
    session = aioboto3.Session(region_name="eu-central-1")
    async with session.client("secretsmanager", endpoint_url=endpoint, config=config) as client:
        yield client


@pytest.fixture
async def secret(endpoint: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    name = f"{NAME}/{abs(hash(request.node.name))}"
    async with sdk(endpoint) as client:
        await client.create_secret(Name=name, SecretString=as_json(1, T0 + 9, note="mine"))
        yield name
        await client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


async def versions(endpoint: str, name: str) -> int:
    async with sdk(endpoint) as client:
        found = await client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)
    return len(found["Versions"])


@pytest.mark.fault("T15")
async def test_tokens_are_read_and_written_and_foreign_keys_kept(endpoint: str, secret: str) -> None:
    """As with the file."""
    store = SecretsManagerTokenStore(secret, options(endpoint))
    assert (await store.load()).same(pair(1, T0))
    async with store.lock():
        await store.save(pair(2, T0 + 99))
    assert (await store.load()).same(pair(2, T0))
    async with sdk(endpoint) as client:
        data = json.loads((await client.get_secret_value(SecretId=secret))["SecretString"])
    assert data["note"] == "mine"


@pytest.mark.fault("T15")
async def test_only_a_change_is_written(endpoint: str, secret: str) -> None:
    """Secrets Manager keeps a hundred versions and counts writes."""
    store = SecretsManagerTokenStore(secret, options(endpoint))
    for _ in range(3):
        await store.save(pair(1, T0 + 50))
    assert await versions(endpoint, secret) == 1
    for _ in range(3):
        await store.save(pair(2, T0 + 50))
    assert await versions(endpoint, secret) == 2


@pytest.mark.fault("T15")
async def test_an_unreadable_current_version_falls_back_to_the_previous_one(endpoint: str, secret: str) -> None:
    """Once; when that is no JSON either, the secret is named and left alone."""
    store = SecretsManagerTokenStore(secret, options(endpoint))
    async with sdk(endpoint) as client:
        await client.put_secret_value(SecretId=secret, SecretString="CANARY-not json")
        assert (await store.load()).same(pair(1, T0))
        await client.put_secret_value(SecretId=secret, SecretString="CANARY-{")
    with pytest.raises(ConfigError, match=secret) as refused:
        await store.load()
    with pytest.raises(ConfigError, match=secret):
        await store.save(pair(2, T0))
    assert "CANARY" not in shown(refused.value)


@pytest.mark.fault("T09", "T15")
async def test_a_stage_moved_by_another_process_is_not_overwritten(endpoint: str, secret: str) -> None:
    """The loser gets the winner's token instead; an older one gives way."""
    ours, theirs = (SecretsManagerTokenStore(secret, options(endpoint)) for _ in range(2))
    await ours.load()
    await theirs.load()
    await theirs.save(pair(2, T0 + 1000))
    with pytest.raises(StoreMoved) as moved:
        await ours.save(pair(3, T0 + 1001))
    assert moved.value.tokens.same(pair(2, T0))
    assert "CANARY" not in shown(moved.value)
    assert (await theirs.load()).same(pair(2, T0))
    await ours.save(pair(4, T0 + 5000))
    assert (await theirs.load()).same(pair(4, T0))


async def test_credentials_come_from_a_secret_too(endpoint: str, secret: str) -> None:
    """By name or by ARN after the prefix; a missing key is named with the secret."""
    with pytest.raises(ConfigError, match=f"{secret}.*client_id"):
        await load_credentials(f"aws-secretsmanager:{secret}", options(endpoint))
    async with sdk(endpoint) as client:
        await client.put_secret_value(
            SecretId=secret, SecretString=json.dumps({"client_id": "c", "client_secret": CLIENT_SECRET})
        )
        arn = (await client.describe_secret(SecretId=secret))["ARN"]
    for source in (secret, arn):
        credentials = await load_credentials(f"aws-secretsmanager:{source}", options(endpoint))
        assert credentials.client_secret == Secret(CLIENT_SECRET)


@pytest.mark.fault("X15")
async def test_a_proxy_of_the_environment_is_used_only_when_asked_for(
    endpoint: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK would take it by itself."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert (await SecretsManagerTokenStore(secret, options(endpoint)).load()).same(pair(1, T0))
    with pytest.raises((ConnectError, TimedOut)):
        await SecretsManagerTokenStore(secret, replace(options(endpoint), env_proxies=True)).load()


async def test_the_source_chooses_the_store(endpoint: str, secret: str) -> None:
    """And a prefix without a name is a mistake that is said before anything is sent."""
    store = open_token_store(f"aws-secretsmanager:{secret}", options(endpoint))
    assert (await store.load()).same(pair(1, T0))
    with pytest.raises(ConfigError, match="name or ARN"):
        open_token_store("aws-secretsmanager: ")


@pytest.mark.fault("T15")
async def test_a_missing_secret_is_named(endpoint: str) -> None:
    """It is a matter of configuration."""
    with pytest.raises(ConfigError, match="wx/none does not exist"):
        await SecretsManagerTokenStore("wx/none", options(endpoint)).load()


async def test_a_missing_profile_or_region_is_a_matter_of_configuration(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before anything is sent."""
    with pytest.raises(ConfigError, match="ProfileNotFound"):
        await SecretsManagerTokenStore(NAME, AwsOptions(region="eu-central-1", profile="nobody")).load()
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConfigError, match="NoRegion"):
        await SecretsManagerTokenStore(NAME, AwsOptions(endpoint_url=endpoint)).load()


@asynccontextmanager
async def refusing(status: int, code: str, message: str) -> AsyncIterator[tuple[str, list[str]]]:
    """An endpoint that answers every call with one of Secrets Manager's own errors."""
    calls: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(request.headers["X-Amz-Target"])
        return web.json_response({"__type": code, "message": message}, status=status)

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", calls
    finally:
        await runner.cleanup()


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("AccessDeniedException", AuthError, "secretsmanager:GetSecretValue"),
        ("DecryptionFailure", AuthError, "kms:Decrypt"),
        ("ResourceNotFoundException", ConfigError, "does not exist"),
        ("InvalidRequestException", ConfigError, "GetSecretValue"),
        ("UnrecognizedClientException", AuthError, "AWS refuses the credentials"),
        ("ExpiredTokenException", AuthError, "AWS refuses the credentials"),
        ("SomethingNew", HTTPStatusError, "SomethingNew"),
    ],
)
async def test_refusals_are_named_with_the_secret_and_what_is_missing(
    code: str, kind: type[WxrecError], said: str
) -> None:
    """So that the reader knows which permission to ask for; nothing is repeated."""
    async with refusing(400, code, "not today") as (url, calls):
        with pytest.raises(kind, match=said) as refused:
            await SecretsManagerTokenStore(NAME, options(url)).load()
    if kind is not HTTPStatusError:
        assert NAME in str(refused.value)
    assert calls == ["secretsmanager.GetSecretValue"]


@pytest.mark.fault("T05", "T15")
async def test_throttling_is_tried_three_times_and_then_trouble() -> None:
    """The SDK's own attempts are counted."""
    async with refusing(400, "ThrottlingException", "slow down") as (url, calls):
        with pytest.raises(HTTPStatusError, match="ThrottlingException"):
            await SecretsManagerTokenStore(NAME, options(url)).load()
    assert len(calls) == 3


async def test_an_unreachable_service_is_trouble() -> None:
    """And may pass."""
    with pytest.raises((ConnectError, TimedOut)):
        await SecretsManagerTokenStore(NAME, options("http://127.0.0.1:9")).load()


@pytest.mark.fault("X02")
async def test_nothing_here_turns_the_sdks_loggers_on(endpoint: str, secret: str) -> None:
    """At DEBUG they print the secret; with logging as it comes they say nothing."""
    said: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler = Collect(level=logging.NOTSET)
    logging.getLogger().addHandler(handler)
    try:
        store = SecretsManagerTokenStore(secret, options(endpoint))
        await store.load()
        await store.save(pair(2, T0 + 99))
    finally:
        logging.getLogger().removeHandler(handler)
    assert access(1) not in "\n".join(said)
    assert renewal(2) not in "\n".join(said)
    assert logging.getLogger("botocore").getEffectiveLevel() >= logging.WARNING


@pytest.mark.fault("X16")
@pytest.mark.parametrize("name", ["localhost", "elsewhere.test"])
async def test_only_the_endpoints_own_certificate_is_taken(name: str, tmp_path: Path) -> None:
    """A certificate of a trusted authority for another host does not pass: aiobotocore alone would take it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.headers["X-Amz-Target"])
        return web.json_response({"SecretString": as_json(1, T0), "VersionId": "v"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        url = f"https://localhost:{runner.addresses[0][1]}"
        store = SecretsManagerTokenStore(
            NAME, AwsOptions("eu-central-1", endpoint_url=url, ca_bundle=str(tmp_path / "ca.pem"))
        )
        if name == "localhost":
            await store.load()
        else:
            with pytest.raises(WxrecError):
                await store.load()
    finally:
        await runner.cleanup()
    assert bool(asked) == (name == "localhost")
