"""A login from the URL to the stored token, over real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from wxrec_async.auth.file_store import FileTokenStore
from wxrec_async.auth.loopback import Loopback
from wxrec_async.auth.token_store import StoreMoved
from wxrec_async.auth.token_values import Tokens
from wxrec_async.errors import AuthError, ConfigError
from wxrec_async.events import Warned
from wxrec_async.sandbox.token_service import IssuedToken
from wxrec_async.setup.login import can_catch_redirect, login, take_tokens
from wxrec_async.wiring.account import Injected

from .kit import CANARY, Place, follow, listening_at, new_browser, query_of, sent_to

pytestmark = pytest.mark.anyio
ELSEWHERE = "0a1b2c3d-1111-2222-3333-444455556666"


async def test_a_login_by_browser_stores_a_token_that_works(here: Place) -> None:
    """The redirect is caught on loopback, the code exchanged, and the token lies in a new file of mode 0600."""
    done = await here.log_in()
    assert done.org_id == here.sandbox.org_id
    assert done.scopes[-1] == "cjp:config_read"
    assert len(done.scopes) == 5
    stored = here.stored()
    assert (stored["expires_at"], stored["refresh_token_expires_at"]) == (done.expires_at, done.refresh_expires_at)
    assert here.sandbox.desk.check(f"Bearer {stored['access_token']}")


async def test_a_login_by_pasted_address_or_bare_code_does_the_same(here: Place) -> None:
    """No server is opened, and what was stored before is replaced, other people's keys kept."""
    await here.paste()
    first = here.stored()
    here.tokens.write_text(json.dumps(first | {"note": "mine"}))
    await here.paste(lambda target: query_of(target)["code"])
    assert here.stored()["access_token"] != first["access_token"]
    assert here.stored()["note"] == "mine"


@pytest.mark.fault("X04", "X06")
async def test_no_secret_of_a_login_is_shown_told_or_raised(here: Place) -> None:
    """The address carries state and challenge, as it must; verifier, code and tokens are in nothing."""
    seen: list[str] = []
    here.sandbox.desk.login_org = ELSEWHERE

    def remember(target: str) -> str:
        seen.append(target)
        return target

    with pytest.raises(AuthError) as refused:
        await here.paste(remember)
    code, state = query_of(seen[0])["code"], query_of(seen[0])["state"]
    told = repr(refused.value) + repr(refused.value.__context__) + repr(here.heard)
    assert code.startswith(CANARY)
    assert not [secret for secret in (code, state, CANARY) if secret in told]
    assert CANARY not in "".join(here.shown)


async def test_a_token_of_another_organisation_is_not_stored(here: Place) -> None:
    """A browser signed in elsewhere mints for the wrong tenant: both are named, the old tokens stay."""
    await here.log_in()
    before = here.tokens.read_bytes()
    here.sandbox.desk.login_org = ELSEWHERE
    with pytest.raises(AuthError) as refused:
        await here.paste()
    assert ELSEWHERE in str(refused.value)
    assert here.sandbox.org_id in str(refused.value)
    assert here.tokens.read_bytes() == before


async def test_a_denied_login_says_why(here: Place) -> None:
    """The server's words, whether caught or pasted."""
    here.sandbox.desk.deny_login = True
    with pytest.raises(AuthError, match=r"access_denied \(The user said no\.\)"):
        await here.paste()

    async def look(url: str) -> None:
        async with new_browser() as browser:
            await browser.get(await sent_to(url))

    with pytest.raises(ExceptionGroup) as refused:
        await here.log_in(act=look)
    assert refused.group_contains(AuthError, match="access_denied")
    assert not here.tokens.exists()


async def test_a_redirect_with_another_state_is_turned_away_and_the_login_goes_on(here: Place) -> None:
    """Any page can send a browser to loopback: it is told off, and the real one still counts."""
    answers: list[tuple[int, bool]] = []

    async def act(url: str) -> None:
        async with new_browser() as browser:
            for query in ("code=x&state=guess", "code=x", "error=access_denied&state=guess", ""):
                page = await browser.get(f"{here.callback}?{query}")
                answers.append((page.status_code, "under way" in page.text))
            posted = await browser.post(f"{here.callback}?{urlsplit(url).query}")
            answers.append((posted.status_code, "under way" in posted.text))
        await follow(url)

    await here.log_in(act=act)
    assert answers == [*[(400, True)] * 4, (400, False)]
    assert [event.code for event in here.heard if isinstance(event, Warned)] == ["foreign_redirect"] * 4


async def test_connections_that_say_nothing_or_nonsense_do_no_harm(here: Place) -> None:
    """Browsers open spare connections; others send what is no request, or too much of one."""

    async def act(url: str) -> None:
        port = urlsplit(here.callback).port or 0
        async with await anyio.connect_tcp("127.0.0.1", port), await anyio.connect_tcp("127.0.0.1", port) as noisy:
            await noisy.send(b"\x16\x03\x01\r\n\r\n")
            assert b" 400 " in await noisy.receive()
            async with await anyio.connect_tcp("127.0.0.1", port) as endless:
                await endless.send(b"GET /callback HTTP/1.1\r\nX: " + b"x" * 20_000)
                assert b" 400 " in await endless.receive()
            await follow(url)

    await here.log_in(act=act)


async def test_a_browser_that_has_gone_when_the_page_is_sent_keeps_nobody_waiting() -> None:
    """Its answer is here, and the code in it lives for minutes only."""

    class Gone:
        async def send(self, _page: bytes) -> None:
            raise anyio.BrokenResourceError

    server = Loopback("http://127.0.0.1:1/callback", [])
    server._is_ours = lambda _target: True
    with pytest.raises(anyio.BrokenResourceError):
        await server._reply(Gone(), "/callback?code=c")  # type: ignore[arg-type]
    with anyio.fail_after(60.0):
        assert await server.caught(lambda _target: True, 600.0) == "/callback?code=c"


async def test_the_server_is_gone_when_the_login_is_over(here: Place) -> None:
    """The port can be listened on again, and nothing answers there."""
    await here.log_in()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", urlsplit(here.callback).port or 0))


async def test_the_server_binds_loopback_only(here: Place) -> None:
    """Asked for on another of this machine's addresses, it is not there."""
    bound: list[str] = []

    async def act(url: str) -> None:
        port = urlsplit(here.callback).port or 0
        bound.extend(listening_at(port))
        await follow(url)

    await here.log_in(act=act)
    assert [address.partition(":")[0] for address in bound] == ["0100007F"]


async def test_the_page_of_a_browser_holds_nothing(here: Place) -> None:
    """It is plain text that is kept nowhere and tells no other site where it came from."""
    pages: list[httpx.Response] = []

    async def act(url: str) -> None:
        async with new_browser() as browser:
            pages.append(await browser.get(await sent_to(url)))

    await here.log_in(act=act)
    headers = pages[0].headers
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")


async def test_localhost_holds_both_addresses_or_refuses(here: Place) -> None:
    """A browser may take either for the name, so another program on ::1 must not be able to wait there."""
    port = urlsplit(here.callback).port or 0
    settings = here.settings(auth__redirect_uri=f"http://localhost:{port}/callback")
    try:
        taken = socket.create_server(("::1", port), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no ::1")
    with taken, pytest.raises(ConfigError, match="in use by another program"):
        await login(settings, show_url=here.shown.append)
    assert here.shown == []


async def test_a_busy_port_is_refused_before_anybody_is_sent_anywhere(here: Place) -> None:
    """One line that names the port and the ways out."""
    port = urlsplit(here.callback).port or 0
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigError, match=f"port {port}.*--no-browser"):
        await login(here.settings(), show_url=here.shown.append)
    assert here.shown == []


async def test_a_login_nobody_finishes_ends(here: Place) -> None:
    """After the time set, with a line that says how to go on."""
    with pytest.raises(AuthError, match="nobody logged in within"):
        await login(here.settings(), show_url=here.shown.append, wait_s=0.05)


@pytest.mark.parametrize(
    "uri", ["https://trilogy.com", "https://127.0.0.1:8080/callback", "http://127.0.0.1.evil.com/"]
)
async def test_a_redirect_elsewhere_cannot_be_caught(here: Place, uri: str) -> None:
    """It has to be pasted; the owner's own address works so."""
    settings = here.settings(auth__redirect_uri=uri)
    assert not can_catch_redirect(settings)
    with pytest.raises(ConfigError, match="has to be pasted"):
        await login(settings, show_url=here.shown.append)


@pytest.mark.parametrize("spoil", ["open", "garbage"])
async def test_a_store_that_cannot_take_tokens_is_found_before_the_login(here: Place, spoil: str) -> None:
    """A file open to others or of another kind: nobody logs in for nothing."""
    here.tokens.write_text("no JSON" if spoil == "garbage" else "{}")
    here.tokens.chmod(0o600 if spoil == "garbage" else 0o644)
    with pytest.raises(ConfigError, match=r"tokens\.json"):
        await login(here.settings(), show_url=here.shown.append)
    assert here.shown == []


async def test_a_code_that_is_refused_or_lost_is_one_clear_line(here: Place) -> None:
    """A used code, and a token endpoint that does not answer: log in again, it is not tried twice."""
    with pytest.raises(AuthError, match="does not take the code"):
        await here.paste(lambda _target: "CANARY-CODE-99")
    here.sandbox.faults.add("token", "error", status=503, attempts=None)
    with pytest.raises(AuthError, match="could not be exchanged"):
        await here.paste()
    assert here.sandbox.log.count("token") == 2


async def test_a_token_that_does_not_tell_its_organisation_is_asked_about(here: Place) -> None:
    """Webex confirms the organisation of a JWT-shaped token, or it is not stored."""
    reply = {"access_token": "CANARY.jwt.shape", "refresh_token": "CANARY-RT", "expires_in": 3600}
    with pytest.raises(AuthError, match=f"does not confirm.*{here.sandbox.org_id}"):
        await take_tokens(here.settings(), json.dumps(reply).encode())
    assert not here.tokens.exists()
    desk, org_id = here.sandbox.desk, here.sandbox.org_id
    desk._access["CANARY.jwt.shape"] = IssuedToken("CANARY.jwt.shape", org_id, time.time() + 3600, "cjp:config_read")
    done = await take_tokens(here.settings(), json.dumps(reply).encode())
    assert done.org_id == org_id


async def test_a_token_of_an_organisation_nobody_names_is_told_by_webex(here: Place) -> None:
    """The answer to a documented call names it; what to set for the runs to come is said."""
    reply = {"access_token": "CANARY.jwt.shape", "refresh_token": "CANARY-RT", "expires_in": 3600}
    desk, org_id = here.sandbox.desk, here.sandbox.org_id
    desk._access["CANARY.jwt.shape"] = IssuedToken("CANARY.jwt.shape", org_id, time.time() + 3600, "cjp:config_read")
    secrets = json.loads((here.config.parent / "secrets.json").read_text())
    secrets.pop("org_id", None)
    (here.config.parent / "secrets.json").write_text(json.dumps(secrets))
    done = await take_tokens(here.settings(webex__org_id=""), json.dumps(reply).encode())
    assert done.org_id == org_id
    assert any(f'[webex] org_id = "{org_id}"' in note for note in done.notes)


async def test_an_organisation_that_cannot_be_asked_about_is_said_and_the_token_kept(here: Place) -> None:
    """A page that is none of Webex's confirms nothing, and refuses nothing."""
    reply = {"access_token": "CANARY.jwt.shape", "refresh_token": "CANARY-RT", "expires_in": 3600}
    here.sandbox.faults.add("tasks", "html")
    await take_tokens(here.settings(), json.dumps(reply).encode(), emit=here.heard.append)
    assert [event.code for event in here.heard if isinstance(event, Warned)] == ["organisation_unconfirmed"]
    assert here.stored()["access_token"] == "CANARY.jwt.shape"


async def test_a_token_reply_is_taken_in_with_the_same_checks(here: Place) -> None:
    """A service app's reply is stored, with its limits said; another tenant's is not."""
    done = await take_tokens(here.settings(), json.dumps(here.sandbox.desk.issue()).encode())
    assert here.stored()["access_token"].endswith(done.org_id)
    assert any("service app" in note for note in done.notes)
    before = here.tokens.read_bytes()
    with pytest.raises(AuthError, match=ELSEWHERE):
        await take_tokens(here.settings(), json.dumps(here.sandbox.desk.issue(org_id=ELSEWHERE)).encode())
    assert here.tokens.read_bytes() == before


async def test_a_missing_scope_is_said_at_once(here: Place) -> None:
    """What the reply says was granted lacks what captures need."""
    reply = here.sandbox.desk.issue() | {"scope": "cjp:config"}
    await take_tokens(here.settings(), json.dumps(reply).encode(), emit=here.heard.append)
    assert [event.code for event in here.heard if isinstance(event, Warned)] == ["scope_missing"]


class _Slow(FileTokenStore):
    """A store whose saving takes a while, and which another process overtakes first."""

    def __init__(self, path: Path, moves: int) -> None:
        super().__init__(path)
        self.moves, self.locked, self.saving = moves, False, anyio.Event()

    async def save(self, tokens: Tokens) -> None:
        assert self.locked
        self.saving.set()
        await anyio.sleep(0.05)
        if self.moves:
            self.moves -= 1
            raise StoreMoved(tokens)
        await super().save(tokens)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        async with super().lock():
            self.locked = True
            yield
            self.locked = False


async def test_a_token_that_was_minted_is_stored_although_the_login_is_cancelled(here: Place) -> None:
    """Cancelled while it is being saved, it is saved to the end, under the store's lock."""
    store = _Slow(here.tokens, moves=0)
    reply = json.dumps(here.sandbox.desk.issue()).encode()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: take_tokens(here.settings(), reply, given=Injected(token_store=store)))
        await store.saving.wait()
        group.cancel_scope.cancel()
    assert here.stored()["access_token"].endswith(here.sandbox.org_id)


@pytest.mark.parametrize(("moves", "kept"), [(1, True), (9, False)])
async def test_a_login_goes_before_what_a_running_process_stored_meanwhile(here: Place, moves: int, kept: bool) -> None:
    """The user asked for this token; a process that stores again and again is named."""
    store = _Slow(here.tokens, moves)
    reply = json.dumps(here.sandbox.desk.issue()).encode()
    if kept:
        await take_tokens(here.settings(), reply, given=Injected(token_store=store))
        assert here.tokens.exists()
    else:
        with pytest.raises(AuthError, match="another process"):
            await take_tokens(here.settings(), reply, given=Injected(token_store=store))
