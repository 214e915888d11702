"""Credentials, token, organisation, region and scopes."""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import anyio
import httpx

from wxrec_async.auth.refresher import Refresher, RefreshingAuth
from wxrec_async.auth.token_store import TokenStore
from wxrec_async.auth.token_values import Credentials, Tokens
from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, ConfigError, ConnectError, TLSError, WxrecError
from wxrec_async.events import Emit, ignore
from wxrec_async.model import MINUTE_MS, Window
from wxrec_async.rules import diagnosis
from wxrec_async.rules.diagnosis import (
    CAPTURE_SCOPES,
    EXIT_AUTH,
    LOGIN,
    TASK_SCOPES,
    Answers,
    Finding,
    bad,
    failed,
    good,
    unknown,
)
from wxrec_async.rules.tokens import token_org
from wxrec_async.setup.doctor.notes import Notes, failure_of
from wxrec_async.webex.calls import ApiCalls
from wxrec_async.webex.parse import UrlLease, read_captures
from wxrec_async.webex.proving import answering_org
from wxrec_async.webex.search import search_url
from wxrec_async.webex.search_parse import read_search, search_body
from wxrec_async.webex.transport import AiohttpTransport
from wxrec_async.wiring import clients
from wxrec_async.wiring.account import Injected, credentials_of, organisation_of, token_store_of
from wxrec_async.wiring.http_client import make_http_client

# What can only be known from an answer to a token that lives.
ASKED_NAMES = ("region", "tasks", "captures", "search")
CONNECTIONS = 2
# The shortest life Webex grants a URL: none of these is ever opened.
URL_MINUTES = 1


async def examine_webex(settings: Settings, given: Injected, notes: Notes, emit: Emit = ignore, *, renew: bool) -> str:
    """Look at everything on Webex's side; return the organisation, "" when it is not known."""
    credentials = await _credentials(settings, given, notes)
    store, tokens = await _tokens(settings, given, notes)
    if credentials is None or tokens is None or store is None:
        notes.skip(("refresh", "organisation", *ASKED_NAMES), "not known without credentials and a token")
        return settings.webex.org_id
    try:
        tls = clients.trusted_tls_context(settings)
    except ConfigError as error:
        notes.add(failed("refresh", error))
        notes.skip(("organisation", *ASKED_NAMES), "not known without certificates to trust")
        return settings.webex.org_id
    known = _Account(settings, credentials, store, tokens, notes)
    # Two clients: the one for the API signs its requests and renews, which the token endpoint must never see.
    async with _client(settings, tls, notes) as token_http, _client(settings, tls, notes) as api_http:
        return await known.examine(token_http, api_http, emit, renew=renew)


async def _credentials(settings: Settings, given: Injected, notes: Notes) -> Credentials | None:
    try:
        found = await credentials_of(settings, given)
    except WxrecError as error:
        notes.add(failed("credentials", error))
        return None
    where = "handed in" if given.credentials else settings.auth.credentials
    notes.add(good("credentials", f"{where}: client id and secret are there"))
    return found


async def _tokens(settings: Settings, given: Injected, notes: Notes) -> tuple[TokenStore | None, Tokens | None]:
    try:
        store = token_store_of(settings, given)
        tokens = await store.load()
    except WxrecError as error:
        notes.add(failed("access_token", error))
        notes.skip(("refresh_token",), "not known without the tokens")
        return None, None
    now = notes.clock()
    ends, refresh_ends = tokens.expires_at, tokens.refresh_expires_at
    notes.add(diagnosis.access_token(ends - now if ends else None))
    notes.add(diagnosis.refresh_token(refresh_ends - now if refresh_ends is not None else None))
    return store, tokens


def _client(settings: Settings, tls: ssl.SSLContext, notes: Notes) -> httpx.AsyncClient:
    async def note_date(response: httpx.Response) -> None:
        if "Age" not in response.headers:  # an answer from a cache tells nothing
            notes.note_date(response.request.url.netloc.decode("ascii"), response.headers.get("Date"))

    client = make_http_client(AiohttpTransport(tls=tls, limit=CONNECTIONS, proxy=settings.webex.proxy))
    client.event_hooks = {"response": [note_date]}
    return client


@dataclass(slots=True)
class _Account:
    """Who we are to Webex, as far as the files say."""

    settings: Settings
    credentials: Credentials
    store: TokenStore
    tokens: Tokens
    notes: Notes
    told_org: str = ""  # by Webex's own answer

    async def examine(
        self, token_http: httpx.AsyncClient, api_http: httpx.AsyncClient, emit: Emit, *, renew: bool
    ) -> str:
        """Renew when it is time, ask the three questions, and only then judge: the answers explain each other."""
        url = f"{self.settings.webex.auth_url}/access_token"
        refresher = Refresher(self.store, self.credentials, token_http, url, emit, now=self.notes.clock)
        # The finding is held back until the questions are answered: a token can look fresh here and be dead at Webex.
        refreshed = await self._renewed(refresher, renew=renew)
        org_id, organisation = self._organisation()
        answers = None
        # A renewal that failed says nothing of the old token, which may live for days.
        if refreshed.ok is not False or self.tokens.alive(self.notes.clock()):
            api_http.auth = RefreshingAuth(refresher, self.settings.webex.api_url)
            answers = await self._answers(api_http, org_id)
            refreshed = _with_hindsight(refreshed, answers, refresher.generation)
        self.notes.add(refreshed)
        self.notes.add(_as_answered(organisation, self.told_org) if not org_id else organisation)
        self._judge(answers, org_id or self.told_org)
        return org_id or self.told_org

    async def _renewed(self, refresher: Refresher, *, renew: bool) -> Finding:
        """Renew the token when it is stale or when that is wished for; a refresh token proves itself only so."""
        stale = not self.tokens.fresh(self.notes.clock())
        try:
            # Loads the stored token as generation 1: a renewal after a refusal then shows (`_with_hindsight`).
            if not stale:
                await refresher.current()
            if stale or renew:
                self.tokens = await refresher.refresh(refresher.generation)
        except WxrecError as error:
            return failed("refresh", error, LOGIN)
        if refresher.unsaved:
            return bad(
                "refresh", "the token was renewed and cannot be stored", "make [auth] tokens writable", EXIT_AUTH
            )
        if stale or renew:
            return good("refresh", "the token was renewed and stored")
        return unknown("refresh", "not tried, because the token is fresh; `doctor --renew` tries it")

    def _organisation(self) -> tuple[str, Finding]:
        """Compare token and settings; the questions are put in the token's name when they disagree."""
        configured, in_credentials = self.settings.webex.org_id, self.credentials.org_id
        told = token_org(self.tokens) or ""
        try:
            org_id = organisation_of(configured, in_credentials, self.tokens)
        except (AuthError, ConfigError) as error:
            # Webex answers in the token's name only; asking in another one would make every finding below a refusal.
            return told or configured or in_credentials, failed("organisation", error)
        if not told:
            return org_id, good("organisation", f"{org_id} by the settings; the token does not tell its own")
        agreed = "the token and the settings agree" if configured or in_credentials else "the token says so"
        return org_id, good("organisation", f"{org_id}: {agreed}")

    async def _answers(self, http: httpx.AsyncClient, org_id: str) -> Answers:
        webex = self.settings.webex
        # Answers are judged by their own server's time: a clock that is off is one finding, not the cause of four.
        host = urlsplit(webex.api_url).netloc
        calls = ApiCalls(http, clock=lambda: self.notes.server_time(host))
        questions = _Questions(self.settings, calls, org_id, lambda: round(self.notes.server_time(host) * 1000))
        named = "[webex] base_url" if webex.base_url else f"region {webex.region}"
        answers = Answers(named, host, None, None, None, None)
        refusal = await failure_of(questions.tasks)
        answers = replace(answers, organisation=refusal, tasks=refusal)
        if isinstance(refusal, AuthError | ConnectError | TLSError):  # nor can the others be asked
            return replace(answers, captures=refusal, search=refusal)
        self.told_org = questions.told_org
        answers = replace(answers, captures=await failure_of(questions.captures))
        return replace(answers, search=await failure_of(questions.search))

    def _judge(self, answers: Answers | None, org_id: str) -> None:
        # A dead token is refused everywhere alike: region and scopes show only to one that lives.
        if answers is None or isinstance(answers.organisation, AuthError):
            self.notes.skip(ASKED_NAMES, "not known without a token that lives")
            return
        granted = self.tokens.scope
        self.notes.add(diagnosis.region(answers, org_id))
        self.notes.add(diagnosis.scope("tasks", answers.tasks, TASK_SCOPES, answers, granted))
        self.notes.add(diagnosis.scope("captures", answers.captures, CAPTURE_SCOPES, answers, granted))
        self.notes.add(diagnosis.second_list(answers.search, self.settings.webex.search))


def _as_answered(organisation: Finding, told: str) -> Finding:
    """Correct the finding when nothing here tells the organisation, and Webex does."""
    if not told:
        return organisation
    return good("organisation", f"{told} by Webex's answer; nothing here tells it", f'set [webex] org_id = "{told}"')


def _with_hindsight(refreshed: Finding, answers: Answers, generation: int) -> Finding:
    """Correct the finding when Webex refused a token that looked fresh, and it had to be renewed after all."""
    if isinstance(answers.organisation, AuthError):
        return failed("refresh", answers.organisation, LOGIN)
    # The first generation was loaded, a second one can only have been asked for by a refusal.
    if refreshed.ok is None and generation > 1:
        return good("refresh", "Webex refused the stored token; it was renewed and stored")
    return refreshed


@dataclass(slots=True)
class _Questions:
    """The three calls, each with nothing in it; ``told_org`` is who answered the first."""

    settings: Settings
    calls: ApiCalls
    org_id: str
    now_ms: Callable[[], int]
    told_org: str = ""

    async def tasks(self) -> None:
        """Ask for the tasks of one millisecond a minute ago: token, region and organisation at once."""
        self.told_org = await answering_org(self.calls, self.settings.webex, self.org_id, self.now_ms())

    async def captures(self) -> None:
        """Ask for the recordings of a task that does not exist."""
        # Captures says 200 with empty lists for an unknown task, on purpose: enough to prove the scopes.
        nobody = str(uuid.uuid4())
        query: dict[str, object] = {"taskIds": [nobody], "urlExpiration": URL_MINUTES}
        # A service app must name the organisation, its own; others may.
        if org_id := self.org_id or self.told_org:
            query["orgId"] = org_id
        body = json.dumps({"query": query}).encode()
        answer = await self.calls.post(f"{self.settings.webex.api_url}/captures/query", body)
        read_captures(answer.body, [nobody], UrlLease(anyio.current_time(), 60.0), lambda _url: None)

    async def search(self) -> None:
        """Ask the second list for the minute before."""
        if self.settings.webex.search == "off":
            return
        now_ms = self.now_ms()
        # The minute before last: its end lies in the past by any clock that is a little off.
        body = search_body(Window(now_ms - 2 * MINUTE_MS, now_ms - MINUTE_MS), "")
        url = search_url(self.settings.webex, self.org_id or self.told_org)
        read_search((await self.calls.post(url, body, tracked=True)).body)
