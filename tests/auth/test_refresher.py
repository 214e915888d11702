"""One refresh for everybody, and what happens when it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from anyio import lowlevel

from tests.auth.auth_kit import (
    API,
    CREDENTIALS,
    DAY,
    T0,
    TOKEN_URL,
    Bench,
    MemoryStore,
    TokenRules,
    access,
    bench,
    number,
    pair,
    renewal,
    shown,
    tree,
)
from wxrec_async.auth import refresher as refresher_module
from wxrec_async.auth.refresher import Refresher, RefreshingAuth
from wxrec_async.auth.token_store import StoreMoved
from wxrec_async.auth.token_values import Tokens
from wxrec_async.errors import AuthError, ConfigError, InvalidResponse
from wxrec_async.events import Retrying, TokenRefreshed, Warned
from wxrec_async.model import Secret

pytestmark = pytest.mark.anyio

ALIVE = T0 + 200  # near its end, still valid
DEAD = T0 - 1


async def everybody(bench_: Bench, workers: int = 100) -> list[Tokens]:
    got: list[Tokens] = []

    async def work() -> None:
        got.append(await bench_.refresher.current())

    async with anyio.create_task_group() as group:
        for _ in range(workers):
            group.start_soon(work)
    return got


async def test_a_fresh_token_is_used_as_it_is() -> None:
    """No request, no write, and the store is read once."""
    async with bench(pair(1, T0 + 301)) as b:
        assert {number(tokens) for tokens in await everybody(b)} == {1}
        assert (b.rules.posts, b.store.saves, b.store.loads, b.refresher.generation) == (0, [], 1, 1)


@pytest.mark.fault("T01")
@pytest.mark.parametrize("expires_at", [ALIVE, T0 + 300, DEAD, 0.0])
async def test_a_hundred_workers_at_expiry_make_one_refresh(expires_at: float) -> None:
    """All get the same new token, stored once."""
    async with bench(pair(1, expires_at)) as b:
        assert {number(tokens) for tokens in await everybody(b)} == {2}
        assert (b.rules.posts, len(b.store.saves), b.refresher.generation) == (1, 1, 2)
        assert b.events == [TokenRefreshed(T0 + 14 * DAY)]
        assert b.rules.seen[0] == {
            "grant_type": "refresh_token",
            "refresh_token": renewal(1),
            "client_id": CREDENTIALS.client_id,
            "client_secret": CREDENTIALS.client_secret.reveal(),
        }


@pytest.mark.fault("T04", "P7")
async def test_the_new_token_is_stored_before_anybody_gets_it() -> None:
    """While it is being written nobody can have it, also not who comes just then."""
    async with bench(pair(1, DEAD)) as b:
        seen: list[int] = []
        save = b.store.save

        async def slow(tokens: Tokens) -> None:
            with anyio.move_on_after(0.02):
                seen.append(number(await b.refresher.current()))
            seen.append(b.refresher.generation)
            await save(tokens)

        b.store.save = slow  # type: ignore[method-assign]
        assert number(await b.refresher.current()) == 2
        assert seen == [1]


async def test_a_short_lived_token_is_not_renewed_at_every_call() -> None:
    """A life shorter than the margin is used for its first half."""
    async with bench(pair(1, DEAD), TokenRules(expires_in=60)) as b:
        for _ in range(5):
            await b.refresher.current()
        assert b.rules.posts == 1
        b.clock.at += 31
        await b.refresher.current()
        assert b.rules.posts == 2


async def test_a_newer_token_of_another_process_is_taken_instead_of_refreshing() -> None:
    """The store is read again before anything is asked for."""
    async with bench(pair(1, T0 + 400)) as b:
        await b.refresher.current()
        b.clock.at += 200
        b.store.tokens = pair(7, T0 + DAY)
        assert number(await b.refresher.current()) == 7
        assert (b.rules.posts, b.refresher.generation) == (0, 2)


async def test_another_processes_stale_token_lends_its_refresh_token() -> None:
    """Under rotation ours would be dead."""
    async with bench(pair(1, T0 + 400), TokenRules(newest=7)) as b:
        await b.refresher.current()
        b.clock.at += 200
        b.store.tokens = pair(7, T0 + 210)
        assert number(await b.refresher.current()) == 8
        assert b.rules.posts == 1


@pytest.mark.fault("T02")
async def test_a_dead_refresh_token_is_looked_up_once_more_in_the_store() -> None:
    """Somebody may have rotated it between our look and our request."""
    async with bench(pair(1, DEAD), TokenRules(newest=2)) as b:
        answer = b.rules.answer

        def rotated_meanwhile(body: bytes) -> tuple[int, dict[str, object]]:
            b.store.tokens = pair(2, T0 + DAY)
            return answer(body)

        b.rules.answer = rotated_meanwhile  # type: ignore[method-assign]
        assert number(await b.refresher.current()) == 2
        assert b.rules.posts == 1


@pytest.mark.fault("T02")
async def test_a_refresh_token_that_stays_dead_asks_to_log_in_with_the_servers_words() -> None:
    """Redacted, with the tracking id, and nobody asks a second time."""
    async with bench(pair(1, DEAD), TokenRules(newest=5)) as b:
        failures: list[AuthError] = []

        async def work() -> None:
            try:
                await b.refresher.current()
            except AuthError as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(work)
        assert (len(failures), b.rules.posts) == (20, 1)
        said = str(failures[0])
        assert "wxrec-async login" in said
        assert "invalid_grant" in said
        assert "is dead" in said
        assert "ROUTER_0A1B" in said
        assert "CANARY" not in shown(*failures)
        assert b.store.saves == []


TROUBLES: list[httpx.Response | Exception] = [
    httpx.Response(500, text="oops"),
    httpx.Response(429, headers={"Retry-After": "0"}),
    httpx.Response(503),
    httpx.ReadTimeout("CANARY-AT-url"),
    httpx.ConnectError("CANARY-AT-url"),
    httpx.ReadError("CANARY-AT-url"),
    httpx.Response(200, text="<html>CANARY-AT-body</html>"),
    httpx.Response(200, json={"expires_in": 3600}),
    httpx.Response(200, json=[]),
    httpx.Response(200, content=b"{" * 100_000),
    httpx.Response(200, content=b"\xff\xfe\x00CANARY-AT-body"),
]


@pytest.mark.fault("T03", "T16")
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: repr(trouble)[:40])
async def test_a_failed_refresh_is_a_warning_while_the_old_token_lives(trouble: httpx.Response | Exception) -> None:
    """The old token goes on, and nobody asks again for a while."""
    async with bench(pair(1, ALIVE), TokenRules(script=[trouble])) as b:
        assert {number(tokens) for tokens in await everybody(b)} == {1}
        assert (b.rules.posts, b.warned()) == (1, ["token_not_renewed"])
        assert "CANARY" not in shown(*b.events)


@pytest.mark.fault("T03", "T16")
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: repr(trouble)[:40])
async def test_without_a_valid_token_a_failed_refresh_is_tried_again(trouble: httpx.Response | Exception) -> None:
    """Once the old one has ended there is nothing to go on with."""
    async with bench(pair(1, DEAD), TokenRules(script=[trouble, trouble])) as b:
        assert {number(tokens) for tokens in await everybody(b)} == {2}
        assert b.rules.posts == 3
        assert [event.operation for event in b.events if isinstance(event, Retrying)] == ["token", "token"]


@pytest.mark.fault("T03")
@pytest.mark.parametrize("trouble", TROUBLES[:6], ids=lambda trouble: repr(trouble)[:40])
async def test_after_five_tries_the_run_stops_and_everybody_hears_it(trouble: httpx.Response | Exception) -> None:
    """One worker tries for all; the others do not begin anew; no exception of the HTTP client gets out."""
    async with bench(pair(1, DEAD), TokenRules(script=[trouble] * 50)) as b:
        failures: list[BaseException] = []

        async def work() -> None:
            with pytest.raises(AuthError, match="no valid token is left") as failed:
                await b.refresher.current()
            failures.append(failed.value)

        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(work)
        assert (len(failures), b.rules.posts) == (30, 5)
        assert not [e for failure in failures for e in tree(failure) if isinstance(e, httpx.HTTPError)]
        assert "CANARY" not in shown(*failures)


@pytest.mark.fault("T03")
async def test_the_endpoints_wait_is_honoured_and_a_very_long_one_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps for hours in silence."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep)
    waits = [httpx.Response(429, headers={"Retry-After": seconds}) for seconds in ("7", "10800")]
    async with bench(pair(1, DEAD), TokenRules(script=list(waits))) as b:
        with pytest.raises(AuthError, match="asks to wait 10800 s"):
            await b.refresher.current()
        assert slept == [7.0]


async def test_after_a_quiet_time_the_refresh_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute later, not at every call."""
    monkeypatch.setattr(refresher_module, "QUIET_S", 0.05)
    async with bench(pair(1, ALIVE), TokenRules(script=[httpx.Response(500)])) as b:
        assert number(await b.refresher.current()) == 1
        await anyio.sleep(0.06)
        assert number(await b.refresher.current()) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
async def test_a_plain_refusal_of_the_endpoint_is_not_repeated(status: int) -> None:
    """Wrong client secret, wrong address: the run stops at once with the server's words."""
    refusal = httpx.Response(status, json={"message": "no such client", "errors": [{"description": "look it up"}]})
    async with bench(pair(1, DEAD), TokenRules(script=[refusal])) as b:
        with pytest.raises(AuthError, match=f"{status} no such client; look it up"):
            await b.refresher.current()
        assert b.rules.posts == 1


@pytest.mark.fault("T05")
@pytest.mark.parametrize(
    "failure", [AuthError("disk full"), OSError(28, "CANARY-AT-disk"), InvalidResponse("throttled")]
)
async def test_a_token_that_cannot_be_saved_is_used_all_the_same_and_said_loudly(failure: Exception) -> None:
    """The run goes on in memory, knows it, and saves as soon as that works."""
    async with bench(pair(1, DEAD)) as b:
        b.store.failures = [failure, failure]
        assert {number(tokens) for tokens in await everybody(b)} == {2}
        assert b.refresher.unsaved
        assert b.warned() == ["token_not_saved"]
        assert "CANARY" not in shown(*b.events)
        assert (b.rules.posts, b.store.saves) == (1, [])
        assert await b.refresher.save_pending()
        assert not b.refresher.unsaved
        assert b.store.tokens is not None
        assert number(b.store.tokens) == 2
        assert b.refresher.generation == 2


@pytest.mark.fault("T05")
async def test_an_unsaved_token_is_saved_by_a_later_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anybody asking for it."""
    monkeypatch.setattr(refresher_module, "QUIET_S", 0.0)
    async with bench(pair(1, DEAD)) as b:
        b.store.failures = [AuthError("full")] * 2
        for _ in range(4):
            await b.refresher.current()
        assert not b.refresher.unsaved
        assert (b.rules.posts, len(b.store.saves)) == (1, 1)


@pytest.mark.fault("T05")
async def test_an_unsaved_token_is_renewed_with_its_own_refresh_token() -> None:
    """The store's is older and, under rotation, dead."""
    async with bench(pair(1, DEAD), TokenRules(expires_in=3600)) as b:
        b.store.failures = [AuthError("full")] * 2
        await b.refresher.current()
        b.clock.at += 3601
        assert number(await b.refresher.current()) == 3
        assert [form["refresh_token"] for form in b.rules.seen] == [renewal(1), renewal(2)]
        assert not b.refresher.unsaved


@pytest.mark.fault("T05")
async def test_an_unsaved_token_gives_way_to_a_newer_one_in_the_store() -> None:
    """Somebody logged in again meanwhile."""
    async with bench(pair(1, DEAD)) as b:
        b.store.failures = [AuthError("full")]
        await b.refresher.current()
        b.store.tokens = pair(9, T0 + 20 * DAY)
        assert await b.refresher.save_pending()
        assert number(await b.refresher.current()) == 9


@pytest.mark.fault("T05")
async def test_an_unsaved_token_is_not_given_up_for_an_older_one_in_the_store() -> None:
    """Somebody put a backup back: its refresh token has been used long ago."""
    async with bench(pair(1, DEAD)) as b:
        b.store.failures = [AuthError("full")]
        await b.refresher.current()
        b.store.tokens = pair(0, T0 + 400)
        assert await b.refresher.save_pending()
        assert (number(b.store.tokens), b.rules.posts) == (2, 1)


@pytest.mark.fault("T09")
async def test_a_store_that_moved_while_saving_hands_its_token_to_us() -> None:
    """The loser of a race between processes takes the winner's token."""
    async with bench(pair(1, DEAD)) as b:
        b.store.failures = [StoreMoved(pair(5, T0 + DAY))]
        assert number(await b.refresher.current()) == 5
        assert not b.refresher.unsaved
        assert b.warned() == []


@pytest.mark.fault("T06")
async def test_without_a_new_refresh_token_the_old_one_is_kept() -> None:
    """And an unknown lifetime is fifteen minutes, with a warning."""
    reply = httpx.Response(200, json={"access_token": "AT-new", "expires_in": "0"})
    async with bench(pair(1, DEAD), TokenRules(script=[reply])) as b:
        tokens = await b.refresher.current()
        assert tokens.refresh_token == Secret(renewal(1))
        assert tokens.expires_at == T0 + 900
        assert b.warned() == ["token_lifetime_unknown"]


@pytest.mark.fault("T11")
@pytest.mark.parametrize("jump", [DAY * 20, -DAY * 20])
async def test_a_jump_of_the_wall_clock_ends_no_run(jump: float) -> None:
    """Forward: a refresh that fails is still only a warning, the token lives. Backward: nothing happens."""
    async with bench(pair(1, DEAD), TokenRules()) as b:
        await b.refresher.current()
        b.rules.script = [httpx.Response(503)]
        b.clock.at += jump
        assert number(await b.refresher.current()) == 2
        assert b.rules.posts == (2 if jump > 0 else 1)
        assert await b.refresher.refresh(b.refresher.generation) is not None


async def test_a_store_that_is_unusable_from_the_start_is_a_matter_of_configuration() -> None:
    """It reaches the caller as it is, nothing is sent."""

    class Unreadable(MemoryStore):
        async def load(self) -> Tokens:
            raise ConfigError("tokens.json is open to other users")

    async with bench(None, store=Unreadable(None)) as b:
        with pytest.raises(ConfigError):
            await b.refresher.current()
        assert b.rules.posts == 0
    async with bench(None) as b:
        with pytest.raises(AuthError, match="login"):
            await b.refresher.current()
        assert b.rules.posts == 0


# --- RefreshingAuth -------------------------------------------------------------------------------


class Api:
    """An API that accepts the newest token only, and can be told what to answer."""

    def __init__(self, rules: TokenRules) -> None:
        self.rules = rules
        self.refusal = (401, "Unauthorized")
        self.hopeless = False
        self.revoked: set[str] = set()
        self.requests: list[httpx.Request] = []

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        await lowlevel.checkpoint()
        sent = request.headers["Authorization"]
        good = sent == f"Bearer {access(self.rules.newest)}" and sent not in self.revoked
        if good and not self.hopeless:
            return httpx.Response(200, json={"body": (await request.aread()).decode()})
        return httpx.Response(self.refusal[0], text=self.refusal[1])


def api_client(b: Bench, api: Api) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(api.handle), auth=RefreshingAuth(b.refresher, API))


REFUSALS = [
    (401, "anything"),
    (403, '{"error":{"message":[{"description":"The access token expired"}]}}'),
    (400, '{"error":{"message":[{"description":"Invalid access token"}]}}'),
]


@pytest.mark.fault("W05", "W07")
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_hundred_refused_requests_make_one_refresh_and_are_all_replayed(refusal: tuple[int, str]) -> None:
    """The token was revoked early, the clock knows nothing of it."""
    async with bench(pair(1, T0 + DAY)) as b:
        api = Api(b.rules)
        api.refusal, api.revoked = refusal, {f"Bearer {access(1)}"}
        codes: list[int] = []
        async with api_client(b, api) as client:

            async def ask(n: int) -> None:
                response = await client.post(f"{API}/captures/query", json={"n": n})
                codes.append(response.status_code)
                assert response.json() == {"body": f'{{"n":{n}}}'}

            async with anyio.create_task_group() as group:
                for n in range(100):
                    group.start_soon(ask, n)
        assert codes == [200] * 100
        assert (b.rules.posts, len(api.requests)) == (1, 200)


@pytest.mark.fault("T07", "W06")
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refused_fresh_token_is_handed_back_after_one_refresh(refusal: tuple[int, str]) -> None:
    """No loop, neither within a request nor from request to request."""
    async with bench(pair(1, T0 + DAY)) as b:
        api = Api(b.rules)
        api.refusal, api.hopeless = refusal, True
        async with api_client(b, api) as client:
            for _ in range(5):
                response = await client.get(f"{API}/tasks")
                assert (response.status_code, response.text) == refusal
        assert (b.rules.posts, len(api.requests)) == (1, 6)


@pytest.mark.fault("T07", "W06")
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_fresh_token_that_another_process_outdated_is_no_refusal(refusal: tuple[int, str]) -> None:
    """It renewed just behind us and stored what it got; that one is tried before the refusal is believed."""
    async with bench(pair(1, T0 + DAY)) as b:
        sent: list[str] = []

        async def handle(request: httpx.Request) -> httpx.Response:
            sent.append(request.headers["Authorization"])
            if sent[-1] == f"Bearer {access(2)}":
                b.store.tokens = pair(7, T0 + DAY)
            good = sent[-1] == f"Bearer {access(7)}"
            return httpx.Response(200) if good else httpx.Response(refusal[0], text=refusal[1])

        auth = RefreshingAuth(b.refresher, API)
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle), auth=auth) as client:
            assert (await client.get(f"{API}/tasks")).status_code == 200
        assert sent == [f"Bearer {access(number)}" for number in (1, 2, 7)]
        assert b.rules.posts == 1


@pytest.mark.fault("W07")
@pytest.mark.parametrize("refusal", [(403, "Insufficient scope: cjp:config"), (400, "Invalid taskIds"), (500, "")])
async def test_a_refusal_that_is_not_the_tokens_is_handed_back_at_once(refusal: tuple[int, str]) -> None:
    """A missing permission is no reason to renew anything."""
    async with bench(pair(1, T0 + DAY)) as b:
        api = Api(b.rules)
        api.refusal, api.hopeless = refusal, True
        async with api_client(b, api) as client:
            response = await client.get(f"{API}/tasks")
        assert (response.status_code, response.text) == refusal
        assert (b.rules.posts, len(api.requests)) == (0, 1)


@pytest.mark.fault("T13")
async def test_a_late_refusal_of_the_previous_token_refreshes_nothing() -> None:
    """Its request is replayed with the current one."""
    async with bench(pair(1, T0 + DAY)) as b:
        held, release = anyio.Event(), anyio.Event()
        sent: list[str] = []

        async def handle(request: httpx.Request) -> httpx.Response:
            sent.append(request.headers["Authorization"])
            if sent[-1] != f"Bearer {access(1)}":
                return httpx.Response(200)
            if request.url.path.endswith("slow"):
                held.set()
                await release.wait()
            return httpx.Response(401)

        codes: list[int] = []
        auth = RefreshingAuth(b.refresher, API)
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle), auth=auth) as client:

            async def slow() -> None:
                codes.append((await client.get(f"{API}/slow")).status_code)

            async with anyio.create_task_group() as group:
                group.start_soon(slow)
                await held.wait()
                assert (await client.get(f"{API}/quick")).status_code == 200
                release.set()
        assert codes == [200]
        assert b.rules.posts == 1
        assert sent == [f"Bearer {access(n)}" for n in (1, 1, 2, 2)]


@pytest.mark.fault("T11")
async def test_a_401_is_believed_although_the_clock_says_the_token_lives() -> None:
    """And a refused token is not gone on with when it cannot be renewed."""
    async with bench(pair(1, T0 + DAY), TokenRules(script=[httpx.Response(503)] * 5)) as b:
        api = Api(b.rules)
        api.revoked = {f"Bearer {access(1)}"}
        async with api_client(b, api) as client:
            with pytest.raises(AuthError, match="no valid token is left"):
                await client.get(f"{API}/tasks")
        assert b.rules.posts == 5


@pytest.mark.fault("X13")
async def test_the_token_goes_to_the_api_and_nowhere_else() -> None:
    """Another host, scheme or port raises before anything is sent."""
    async with bench(pair(1, T0 + DAY)) as b:
        api = Api(b.rules)
        async with api_client(b, api) as client:
            for url in (
                "https://media.test/v1",
                "http://api.test/v1",
                "https://api.test:8443/v1",
                "https://api.test.x/",
            ):
                with pytest.raises(AuthError, match=r"belongs to api\.test") as refused:
                    await client.get(url, params={"sig": "CANARY-SIG"})
                assert "CANARY" not in shown(refused.value)
            assert api.requests == []
            await client.get(f"{API}/tasks")
        assert api.requests[0].headers["Accept"] == "application/json"


@pytest.mark.fault("X19")
async def test_only_the_beginning_of_an_endless_refusal_is_read() -> None:
    """An error body is looked into, not collected."""
    sent = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1024
                yield b"x" * 1024

    async def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, stream=Endless())

    async with bench(pair(1, T0 + DAY)) as b:
        transport = httpx.MockTransport(handle)
        async with httpx.AsyncClient(transport=transport, auth=RefreshingAuth(b.refresher, API)) as client:
            with anyio.fail_after(30):
                response = await client.get(f"{API}/tasks")
        assert (response.status_code, len(response.content), sent) == (403, 64 << 10, 64 << 10)


def test_a_synchronous_client_is_refused() -> None:
    """It could not wait for anybody."""
    store = MemoryStore(pair(1, T0))
    refresher = Refresher(store, CREDENTIALS, httpx.AsyncClient(), TOKEN_URL)
    with httpx.Client(auth=RefreshingAuth(refresher, API)) as client, pytest.raises(RuntimeError, match="AsyncClient"):
        client.get(API)


async def test_a_client_that_signs_with_these_tokens_can_fetch_them_too() -> None:
    """The token endpoint is asked without them; anything else would wait for itself."""
    rules, store = TokenRules(), MemoryStore(pair(1, DEAD))
    sent: list[httpx.Request] = []

    async def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return await rules.handle(request) if request.url.host == "idp.test" else httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        refresher = Refresher(store, CREDENTIALS, client, TOKEN_URL, now=lambda: T0)
        client.auth = RefreshingAuth(refresher, API)
        with anyio.fail_after(30):
            assert (await client.get(f"{API}/tasks")).status_code == 200
    assert "Authorization" not in sent[0].headers


@pytest.mark.fault("X06")
async def test_nothing_shows_a_secret() -> None:
    """Not by printing, formatting or describing any object of this room, nor through an event."""
    async with bench(pair(1, DEAD)) as b:
        b.store.failures = [AuthError("full")]
        tokens = await b.refresher.current()
        auth = RefreshingAuth(b.refresher, API)
        assert "CANARY" not in shown(tokens, CREDENTIALS, b.refresher, auth, *b.events)
        assert any(isinstance(event, Warned) for event in b.events)
