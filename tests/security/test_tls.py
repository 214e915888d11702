"""Five connections of a run, each with a wrong authority and a wrong name: none of them is made."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from tests.auth.auth_kit import CREDENTIALS, ORG, MemoryStore, access, pair
from tests.s3.benches import open_store
from tests.webex.kit import Server, recording, serving, whole
from wxrec_async.auth.secrets_manager import SecretsManagerTokenStore
from wxrec_async.auth.token_store import AwsOptions
from wxrec_async.config import S3Settings, Settings
from wxrec_async.errors import WxrecError
from wxrec_async.events import ignore
from wxrec_async.model import ObjectTarget, Part, Window
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.wiring import clients
from wxrec_async.wiring.account import WebexAccount

pytestmark = pytest.mark.anyio

WINDOW = Window(1_700_000_000_000, 1_700_086_400_000)
EMPTY = json.dumps({"meta": {"orgId": ORG}, "data": []}).encode()
GRANT = json.dumps({"access_token": access(2), "refresh_token": "CANARY-RT-2", "expires_in": 3600}).encode()
AUDIO = b"RIFF" + bytes(range(256)) * 40
SECRET = json.dumps(
    {"SecretString": json.dumps({"access_token": access(1), "refresh_token": "CANARY-RT-1"}), "VersionId": "v"}
).encode()

Connect = Callable[[str, Path | None], Awaitable[object]]


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY-SK-1")
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def webex(url: str, ca: Path | None, *, expired: bool = False) -> AsyncIterator[clients.WebexClients]:
    settings = Settings.model_validate(
        {
            "webex": {"base_url": f"{url}/v1", "auth_url": f"{url}/v1", "requests_per_minute": 60_000},
            "s3": {"bucket": "b"},
            "ca_bundle": ca,
        }
    )
    store = MemoryStore(pair(1, time.time() + (-1 if expired else 3600)))
    secrets = WebexAccount(CREDENTIALS, store, ORG)
    tls = clients.trusted_tls_context(settings)
    async with clients.open_webex(settings, secrets, tls, ignore, NetworkMonitor(), time.time) as world:
        yield world


async def api(url: str, ca: Path | None) -> None:
    async with webex(url, ca) as world:
        await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)


async def token(url: str, ca: Path | None) -> None:
    async with webex(url, ca, expired=True) as world:
        await world.refresher.current()


async def media(url: str, ca: Path | None) -> None:
    async with (
        webex(url, ca) as world,
        world.media.open(recording(url + "/a.wav?X-Amz-Signature=CANARY-SIG-1")) as body,
    ):
        async for _ in body:
            pass


async def s3(url: str, ca: Path | None) -> None:
    settings = S3Settings(bucket="b", region="us-east-1", endpoint_url=url)
    async with open_store(settings, ca_bundle=ca) as (store, _):
        await store.put(ObjectTarget("k", "audio/wav"), Part(1, [AUDIO], len(AUDIO), 0))


async def secrets_manager(url: str, ca: Path | None) -> None:
    await SecretsManagerTokenStore("n", AwsOptions("eu-central-1", endpoint_url=url, ca_bundle=str(ca or ""))).load()


CONNECTIONS: dict[str, tuple[Connect, bytes]] = {
    "api": (api, EMPTY),
    "token": (token, GRANT),
    "media": (media, AUDIO),
    "s3": (s3, b""),
    "secrets-manager": (secrets_manager, SECRET),
}


@asynccontextmanager
async def server(answer: bytes, name: str, ca: Path, *, known: bool) -> AsyncIterator[Server]:
    """Serve as ``name`` by an authority, whose certificate, or that of another one, is put into ``ca``."""
    authority = trustme.CA()
    (authority if known else trustme.CA()).cert_pem.write_to_path(ca)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    async with serving(whole(answer), tls=context, host="localhost") as made:
        yield made


@pytest.mark.fault("X16")
@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize(("name", "known"), [("localhost", False), ("elsewhere.test", True)], ids=["authority", "name"])
async def test_no_connection_is_made_to_somebody_else(connection: str, name: str, known: bool, tmp_path: Path) -> None:
    """A certificate of an authority that is not ours, or for another host: refused, and not a request was sent."""
    connect, answer = CONNECTIONS[connection]
    ca = tmp_path / "ca.pem"
    async with server(answer, name, ca, known=known) as other:
        with pytest.raises((WxrecError, OperationFailed)):
            await connect(f"https://localhost:{other.port}", ca)
        assert other.requests == []


@pytest.mark.fault("X16")
@pytest.mark.parametrize("connection", CONNECTIONS)
async def test_the_same_connections_are_made_to_whom_they_are_meant_for(connection: str, tmp_path: Path) -> None:
    """With the authority's certificate as the bundle each of the five arrives: it was the certificate that failed."""
    connect, answer = CONNECTIONS[connection]
    ca = tmp_path / "ca.pem"
    async with server(answer, "localhost", ca, known=True) as right:
        if connection == "s3":
            with pytest.raises((WxrecError, OperationFailed)):  # it is no S3, but it was asked
                await connect(f"https://localhost:{right.port}", ca)
        else:
            await connect(f"https://localhost:{right.port}", ca)
        assert right.requests


@pytest.mark.fault("X14")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_secrets_manager_is_not_followed_elsewhere(status: int) -> None:
    """Its requests are signed: a redirect is a refusal, and the other server hears nothing."""
    async with serving(whole(SECRET)) as trap:
        away = whole(b"", f"Location: {trap.url('/')}", status=f"{status} Elsewhere")
        async with serving(away) as first:
            with pytest.raises(WxrecError):
                await SecretsManagerTokenStore("n", AwsOptions("eu-central-1", endpoint_url=first.url(""))).load()
        assert trap.connections == 0
