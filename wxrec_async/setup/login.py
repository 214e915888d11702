"""Log in: a first token for the organisation, by browser or from a token reply, checked and stored.

::

    done = await login(load_config("config.toml"), show_url=tell_the_user, open_browser=webbrowser.open)

Nothing here prints, reads stdin or opens a browser; the caller hands in who does.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from anyio import to_thread

from wxrec_async.auth import authorization_code as oauth
from wxrec_async.auth.endpoint import TokenEndpoint
from wxrec_async.auth.loopback import catchable, listening
from wxrec_async.auth.token_store import TokenStore
from wxrec_async.auth.token_values import Credentials, Tokens
from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, ConfigError, HTTPStatusError, RemoteError, RunStopped
from wxrec_async.events import Emit, Warned, ignore
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.tokens import token_org
from wxrec_async.webex.calls import ApiCalls
from wxrec_async.webex.proving import answering_org
from wxrec_async.webex.transport import AiohttpTransport
from wxrec_async.wiring import clients
from wxrec_async.wiring.account import Injected, credentials_of, organisation_of, token_store_of
from wxrec_async.wiring.http_client import make_http_client

WAIT_S = 300.0
# What a service app needs for all of it, captures included.
NEEDED_SCOPE = "cjp:config_read"


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What was stored: times are epoch seconds, ``scopes`` what Webex said or, when it was silent, what was asked for.

    ``notes`` are the limits of this kind of token, one sentence each.
    """

    org_id: str
    scopes: tuple[str, ...]
    expires_at: float
    refresh_expires_at: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What both ways to a token need."""

    settings: Settings
    credentials: Credentials
    store: TokenStore
    http: httpx.AsyncClient
    emit: Emit
    clock: Callable[[], float]


def can_catch_redirect(settings: Settings) -> bool:
    """Say whether `login` can catch the redirect itself; if not, ``redirect`` has to be handed in."""
    # Plain http on loopback: for anything else the browser ends up where no server of ours can stand.
    return catchable(settings.auth.redirect_uri)


async def login(  # noqa: PLR0913 - what surrounds a login, all but one with defaults
    settings: Settings,
    *,
    show_url: Callable[[str], None],
    redirect: Callable[[], Awaitable[str]] | None = None,
    open_browser: Callable[[str], object] | None = None,
    emit: Emit = ignore,
    given: Injected | None = None,
    wait_s: float = WAIT_S,
    clock: Callable[[], float] = time.time,
) -> LoggedIn:
    """Send the user to Webex, take what comes back, check whose token it is, and only then store it.

    ``show_url`` gets the URL to open, ``open_browser`` too, in a thread.  The redirect is caught
    by a server on loopback for at most ``wait_s`` seconds, or with ``redirect`` it is what that
    returns: the address the browser was sent to, or the bare code.  Raises `AuthError` when
    Webex or the user refuses, or the token belongs to another organisation; `ConfigError` when
    the settings do not allow a login; `RemoteError` when credentials or store cannot be reached.
    """
    oauth.check_redirect_uri(settings.auth.redirect_uri)
    if redirect is None and not can_catch_redirect(settings):
        raise ConfigError("[auth] redirect_uri is not on this machine: the redirect has to be pasted (--no-browser)")
    async with _opened(settings, given, emit, clock) as around:
        auth = settings.auth
        request = oauth.begin(settings.webex.auth_url, around.credentials.client_id, auth.redirect_uri, auth.scopes)
        if redirect is None:
            answer = await _caught(request, show_url, open_browser, emit, wait_s)
        else:
            show_url(request.url)
            answer = await redirect()
        code = oauth.code_from(request, answer)
        endpoint = TokenEndpoint(
            around.credentials, around.http, f"{settings.webex.auth_url}/access_token", emit, around.clock
        )
        return await _stored(around, await oauth.exchange(endpoint, request, code), settings.auth.scopes)


async def take_tokens(
    settings: Settings,
    reply: bytes,
    *,
    emit: Emit = ignore,
    given: Injected | None = None,
    clock: Callable[[], float] = time.time,
) -> LoggedIn:
    """Take in a token reply (JSON) that was had elsewhere, as Webex shows it for a service app.

    It is checked and stored like the one of a login.  Raises as `login`.
    """
    async with _opened(settings, given, emit, clock) as around:
        done = await _stored(around, oauth.read_reply(reply, clock()), ())
    notes = (
        "it is renewed with the client id and secret in [auth] credentials: they must be those it was made with",
        "a service app's captures calls must name the organisation; this program always does",
    )
    return LoggedIn(done.org_id, done.scopes, done.expires_at, done.refresh_expires_at, (*done.notes, *notes))


@asynccontextmanager
async def _opened(
    settings: Settings, given: Injected | None, emit: Emit, clock: Callable[[], float]
) -> AsyncIterator[_Surroundings]:
    """Find everything that can be wrong before anybody is sent to a browser."""
    given = given or Injected()
    credentials, store = await credentials_of(settings, given), token_store_of(settings, given, emit)
    # Before anybody is sent to a browser: a code is good for one try, and a token that cannot be stored is lost.
    await oauth.look_at_store(store)
    transport = AiohttpTransport(tls=clients.trusted_tls_context(settings), limit=2, proxy=settings.webex.proxy)
    async with make_http_client(transport) as http:
        yield _Surroundings(settings, credentials, store, http, emit, clock)


async def _caught(
    request: oauth.Request,
    show_url: Callable[[str], None],
    open_browser: Callable[[str], object] | None,
    emit: Emit,
    wait_s: float,
) -> str:
    """Listen first, then send the user: a taken port must not be found out at the very end."""

    def is_ours(target: str) -> bool:
        ours = request.is_answer(target)
        if not ours:
            emit(Warned("foreign_redirect", "a redirect that does not belong to this login was turned away"))
        return ours

    async with listening(request.redirect_uri) as server:
        show_url(request.url)
        if open_browser is not None:
            # In a thread that may be left behind: a browser in the terminal returns only when it is closed.
            await to_thread.run_sync(open_browser, request.url, abandon_on_cancel=True)
        return await server.caught(is_ours, wait_s)


async def _stored(around: _Surroundings, tokens: Tokens, asked: tuple[str, ...]) -> LoggedIn:
    # Whose it is comes before it is kept: a browser signed in elsewhere silently gets a token for that tenant, and
    # stored it would take the place of the right one.
    org_id, notes = await _organisation(around, tokens)
    # Webex does not always say what it granted; then it was what was asked for.
    scopes = tuple(tokens.scope.split()) or asked
    if scopes and NEEDED_SCOPE not in scopes:
        around.emit(Warned("scope_missing", f"the token has no {NEEDED_SCOPE}: Webex will refuse captures"))
    await oauth.keep(around.store, tokens)
    return LoggedIn(org_id, scopes, tokens.expires_at, tokens.refresh_expires_at, notes)


async def _organisation(around: _Surroundings, tokens: Tokens) -> tuple[str, tuple[str, ...]]:
    """Return whose token it is, and what to set; raises `AuthError` naming both when it is not who was meant.

    A token that does not tell is asked about, in the name of the organisation that the settings mean, if they do.
    """
    configured, in_credentials = around.settings.webex.org_id, around.credentials.org_id
    # Access tokens of Contact Center end in the organisation's id.  Those that do not are asked about: first in the
    # name the settings give, which a wrong tenant refuses, else in nobody's, and Webex says whose they are.
    if token_org(tokens) is not None or configured or in_credentials:
        org_id = organisation_of(configured, in_credentials, tokens)
        if token_org(tokens) is None:
            await _answering(around, tokens, org_id)
        return org_id, ()
    org_id = await _answering(around, tokens, "")
    if not org_id:
        raise ConfigError(
            "[webex] org_id is not set, and neither the token nor Webex's answer tells it: set it to the organisation "
            "id of Control Hub (Account)"
        )
    return org_id, (f'the token does not tell its organisation: set [webex] org_id = "{org_id}"',)


async def _answering(around: _Surroundings, tokens: Tokens, org_id: str) -> str:
    """Return the organisation in whose name Webex answers, "" when it does not say or could not be asked."""
    settings = around.settings.webex
    around.http.auth = _Bearer(tokens)
    calls = ApiCalls(around.http, clock=around.clock)
    try:
        return await answering_org(calls, settings, org_id, round(around.clock() * 1000))
    except HTTPStatusError as refusal:
        # These are a no.  400 is among them: Webex has been seen to answer so to a token it does not take.
        if refusal.status in (400, 401, 403, 404):
            raise AuthError(
                f"Webex does not confirm that the token belongs to organisation {org_id or '(none is set)'} ({refusal})"
                ": the browser was signed in to another one, [webex] region is not this one's, or a scope is missing; "
                "nothing was stored"
            ) from None
        problem: RemoteError | RunStopped = refusal
    except (RemoteError, RunStopped) as trouble:
        problem = trouble
    except OperationFailed as given_up:
        problem = given_up.trouble
    # A server that is busy or away is no reason to throw away a login somebody has just gone through.
    around.emit(Warned("organisation_unconfirmed", f"whose token this is could not be asked: {problem}; run doctor"))
    return ""


class _Bearer(httpx.Auth):
    """Signs with one token, which is not renewed."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        # Without renewal: the token is new and stored nowhere yet, so a refusal is the answer.
        request.headers["Authorization"] = f"Bearer {self._tokens.access_token.reveal()}"
        yield request
