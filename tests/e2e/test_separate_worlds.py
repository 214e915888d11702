"""Token, API and media as a run opens them: apart from each other, and none of them led astray."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import trustme

from tests.auth.auth_kit import CREDENTIALS, ORG, MemoryStore, access, pair
from tests.webex.kit import PLAIN, Connection, Request, Server, chain_text, cut, recording, serving, whole
from wxrec_async.auth.token_values import Tokens
from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, WxrecError
from wxrec_async.events import ignore
from wxrec_async.model import Secret, Window
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.wiring import clients
from wxrec_async.wiring.account import WebexAccount

pytestmark = pytest.mark.anyio

WINDOW = Window(1_700_000_000_000, 1_700_086_400_000)
EMPTY = json.dumps({"meta": {"orgId": ORG}, "data": []}).encode()
AUDIO = b"RIFF" + bytes(range(256)) * 400
GRANT = json.dumps({"access_token": access(2), "refresh_token": "CANARY-RT-0002", "expires_in": 3600}).encode()
COOKIE = "Set-Cookie: session=CANARY-AT-cookie; Path=/"


@asynccontextmanager
async def opened(
    base_url: str, auth_url: str = "https://idp.test/v1", *, tokens: Tokens | None = None, **webex: object
) -> AsyncIterator[clients.WebexClients]:
    """Open Webex as a run does, with two workers and a token that lives for another hour."""
    settings = Settings.model_validate(
        {
            "webex": {"base_url": base_url, "auth_url": auth_url, "requests_per_minute": 60_000, **webex},
            "s3": {"bucket": "b"},
            "backfill": {"concurrency": 2},
        }
    )
    store = MemoryStore(tokens or pair(1, time.time() + 3600))
    secrets = WebexAccount(CREDENTIALS, store, ORG)
    async with clients.open_webex(settings, secrets, PLAIN, ignore, NetworkMonitor(), time.time) as world:
        yield world


async def media_of(world: clients.WebexClients, url: str) -> bytes:
    got = b""
    async with world.media.open(recording(url)) as stream:
        async for chunk in stream:
            got += chunk
    return got


@pytest.mark.fault("D30")
async def test_downloads_that_hold_every_connection_do_not_starve_the_api_and_the_token() -> None:
    """All workers hang in stalled bodies, more stand in line: a page, captures and a refresh are answered at once."""
    async with (
        serving(cut(AUDIO, 1000, end="stall")) as media,
        serving(whole(EMPTY)) as api,
        serving(whole(GRANT)) as idp,
        opened(api.url("/v1"), idp.url("/v1")) as world,
        anyio.create_task_group() as group,
    ):
        for _ in range(6):
            group.start_soon(media_of, world, media.url())
        with anyio.fail_after(25):
            while media.connections < 2:
                await anyio.sleep(0.005)
            await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)
            await world.client.captures(["a", "b"])
            await world.refresher.refresh(world.refresher.generation)
            await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)
        assert media.connections == 2, "the media's own limit, and nobody else's"
        assert len(idp.requests) == 1
        group.cancel_scope.cancel()


@pytest.mark.fault("D30")
async def test_api_that_hangs_does_not_starve_the_downloads() -> None:
    """The other way round: every connection to the API waits for an answer, and a recording arrives."""

    async def mute(connection: Connection, request: Request) -> None:
        await connection.until_gone()

    async with (
        serving(whole(AUDIO)) as media,
        serving(mute) as api,
        opened(api.url("/v1")) as world,
        anyio.create_task_group() as group,
    ):
        for number in range(clients.API_CONNECTIONS + 4):
            group.start_soon(world.client.captures, [f"t{number}"])
        with anyio.fail_after(25):
            while api.connections < clients.API_CONNECTIONS:
                await anyio.sleep(0.005)
            assert await media_of(world, media.url()) == AUDIO
        group.cancel_scope.cancel()


@pytest.mark.fault("X13")
async def test_media_get_three_headers_and_nothing_of_the_other_worlds() -> None:
    """The API has a token, a tracking id and cookies to spare: none of it reaches the media host, nor comes back."""
    async with (
        serving(whole(AUDIO, COOKIE)) as media,
        serving(whole(EMPTY, COOKIE, "trackingid: CANARY-AT-track")) as api,
        opened(api.url("/v1")) as world,
    ):
        for _ in range(2):
            await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)
            await world.client.captures(["a"])
            assert await media_of(world, media.url()) == AUDIO
        assert {name for request in media.requests for name in request.headers} == {
            "host",
            "accept-encoding",
            "user-agent",
        }
        assert not [request for request in media.requests if b"CANARY-AT" in request.head]
        assert all(request.headers["authorization"] == f"Bearer {access(1)}" for request in api.requests)
        assert not [request for request in api.requests if "cookie" in request.headers]


@pytest.mark.fault("X14", "W33")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("client", ["tasks", "captures", "token", "media"])
async def test_no_client_goes_where_a_redirect_points(client: str, status: int) -> None:
    """Not even to the same machine: whoever is redirected fails, and nothing is sent to the other server."""
    async with serving(whole(b"trap")) as trap:
        away = whole(b"", f"Location: {trap.url('/v1/trap')}", status=f"{status} Elsewhere")
        async with serving(away) as server:
            expired = pair(1, time.time() - 1) if client == "token" else None
            async with opened(server.url("/v1"), server.url("/v1"), tokens=expired) as world:
                with pytest.raises((WxrecError, OperationFailed)) as refused:
                    await _use(world, client, server)
            assert len(server.requests) == 1
        assert trap.connections == 0
    assert "CANARY" not in chain_text(refused.value)


async def _use(world: clients.WebexClients, client: str, server: Server) -> None:
    match client:
        case "captures":
            failed = (await world.client.captures(["a"])).failed
            raise OperationFailed(GiveUp(failed["a"]), WxrecError())  # type: ignore[arg-type]
        case "media":
            await media_of(world, server.url())
        case _:
            await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)


@pytest.mark.fault("D24", "W01")
@pytest.mark.parametrize("named", [True, False], ids=["named wait", "slow down"])
async def test_slow_down_of_the_media_host_holds_back_every_worker(named: bool) -> None:
    """One recording is told to slow down: no other is asked for until the wait is over, and all of them arrive."""
    arrived, refused_at = list[float](), list[float]()
    xml = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    wait = 0.8 if named else 0.4

    async def answer(connection: Connection, request: Request) -> None:
        arrived.append(time.monotonic())
        if refused_at:
            await whole(AUDIO)(connection, request)
            return
        headers = ["Retry-After: 0.8"] if named else []
        await whole(xml, *headers, status="503 Slow Down")(connection, request)
        refused_at.append(time.monotonic())

    async with serving(answer) as media, serving(whole(EMPTY)) as api, opened(api.url("/v1")) as world:
        got: list[bytes] = []

        async def fetch(number: int) -> None:
            got.append(await media_of(world, media.url(f"/{number}?X-Amz-Signature=CANARY-SIG-1")))

        async with anyio.create_task_group() as group:
            group.start_soon(fetch, 0)
            while not refused_at:
                await anyio.sleep(0.002)
            await anyio.sleep(0.1)  # the refusal has been read and judged
            for number in range(1, 4):
                group.start_soon(fetch, number)
    assert got == [AUDIO] * 4
    assert len(arrived) == 5
    assert min(arrived[1:]) >= refused_at[0] + wait


@pytest.mark.fault("X12", "D29")
@pytest.mark.parametrize("url", ["https://localhost/rec?s=CANARY-SIG-1", "https://localhost:443/rec?s=CANARY-SIG-1"])
async def test_name_on_the_list_that_leads_into_this_machine_is_refused(url: str) -> None:
    """The wiring of a run against the real Webex: an allowed name is not enough, its address must be a public one."""
    async with opened("https://api.example.com/v1", media_hosts=["localhost"]) as world:
        with pytest.raises(OperationFailed) as refused:
            await media_of(world, url)
    assert refused.value.decision == GiveUp("bad_url")
    assert "localhost resolves to an address that is not allowed" in str(refused.value)
    assert "CANARY" not in chain_text(refused.value)


@pytest.mark.fault("X11", "X12", "X29")
async def test_loopback_media_are_for_a_simulated_organisation_only() -> None:
    """The same server, asked for by a run whose API is elsewhere: not even a connection."""
    async with serving(whole(AUDIO)) as media:
        async with opened("https://api.example.com/v1", media_hosts=["*.amazonaws.com", "127.0.0.1"]) as world:
            for url in (media.url(), media.url().replace("http:", "https:")):
                with pytest.raises(OperationFailed) as refused:
                    await media_of(world, url)
                assert refused.value.decision == GiveUp("bad_url")
        assert media.connections == 0


@pytest.mark.fault("W05", "W07", "W06", "T07")
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "Unauthorized"),
        (403, "Access token is expired or does not have the required scope"),
        (400, "Invalid access token"),
    ],
)
@pytest.mark.parametrize("mends", [True, False], ids=["refresh helps", "refresh does not help"])
async def test_refused_token_is_renewed_once_for_everybody(status: int, words: str, mends: bool) -> None:
    """Over sockets: a hundred calls refused in any of the three shapes make one refresh; if that is refused, an end."""

    async def answer(connection: Connection, request: Request) -> None:
        if mends and request.headers["authorization"] == f"Bearer {access(2)}":
            await whole(EMPTY)(connection, request)
            return
        body = json.dumps({"trackingId": "ROUTER_1", "error": {"message": [{"description": words}]}}).encode()
        await whole(body, "trackingid: ROUTER_1", status=f"{status} Refused")(connection, request)

    failures: list[WxrecError | OperationFailed] = []
    async with serving(answer) as api, serving(whole(GRANT)) as idp, opened(api.url("/v1"), idp.url("/v1")) as world:

        async def ask() -> None:
            try:
                await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)
            except (AuthError, OperationFailed) as failure:
                failures.append(failure)

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(ask)
        assert len(idp.requests) == 1
        assert len(api.requests) <= 200
    assert len(failures) == (0 if mends else 100)
    assert all("ROUTER_1" in str(failure) for failure in failures)
    assert not [failure for failure in failures if "CANARY" in chain_text(failure)]


@pytest.mark.fault("X16", "D20")
@pytest.mark.parametrize("client", ["tasks", "token", "media"])
async def test_every_client_refuses_a_certificate_it_does_not_know(client: str) -> None:
    """No connection of a run is made without verifying who is at its other end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with serving(whole(EMPTY), tls=context, host="localhost") as server:
        expired = pair(1, time.time() - 1) if client == "token" else None
        async with opened(server.url("/v1"), server.url("/v1"), tokens=expired) as world:
            with pytest.raises((WxrecError, OperationFailed), match="certificate"):
                await _use(world, client, server)
        assert server.requests == []
        assert server.connections <= 1, "trying again mends nothing"


@pytest.mark.fault("X06", "X13")
async def test_bearer_is_the_token_and_nothing_prints_it() -> None:
    """What a request shows of itself has no token in it."""
    async with serving(whole(EMPTY)) as api, opened(api.url("/v1")) as world:
        await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)
        assert api.requests[0].headers["authorization"] == f"Bearer {access(1)}"
        assert "CANARY" not in f"{world!r} {world.refresher!r} {Secret(access(1))!r}"
