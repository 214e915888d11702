"""The real outsides, opened and wired: Webex with its token, the bucket with its ledger.

The one module that knows every world.  What can be refused is refused here, in
one line that says what to do, before anything is written or sent.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import httpx
from anyio import CancelScope, to_thread

from wxrec_async.auth.open_store import load_credentials, open_token_store
from wxrec_async.auth.refresher import Refresher, RefreshingAuth
from wxrec_async.auth.token_store import AwsOptions, TokenStore
from wxrec_async.auth.token_values import Credentials, Tokens
from wxrec_async.config import WEBEX_REQUESTS_PER_MINUTE, Settings, is_loopback
from wxrec_async.errors import AuthError, ConfigError, RunStopped
from wxrec_async.events import Emit, Warned, ignore
from wxrec_async.flow.filtered_out import WorkLeft
from wxrec_async.flow.transfer import Transfer
from wxrec_async.ledger import opening
from wxrec_async.ledger.records import BacklogTask, Counts, KnownTask, Scope, TaskRow
from wxrec_async.ledger.store import SqliteLedger
from wxrec_async.model import Window
from wxrec_async.plumbing.pacer import CircuitBreaker, Pacer, burst_for
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import RetryPolicy
from wxrec_async.rules import diagnosis
from wxrec_async.rules.media_urls import address_allowed
from wxrec_async.rules.retry import for_api, for_download
from wxrec_async.rules.tokens import token_org
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.webex.client import WebexClient
from wxrec_async.webex.media import MediaLimits, Renew, WebexMedia
from wxrec_async.webex.pacing import PacedTransport
from wxrec_async.webex.search import TaskSearch
from wxrec_async.webex.transport import AiohttpTransport, tls_context
from wxrec_async.wiring.bucket import open_bucket, open_ledger_of
from wxrec_async.wiring.http_client import USER_AGENT, http_client
from wxrec_async.wiring.observed import observed_gate, observed_retrier

if TYPE_CHECKING:
    import aioboto3

API_CONNECTIONS = 32


class CallPolicy:
    """On whose terms Webex is asked: our own, as here, or those of an engine with one budget for many machines."""

    def pacer(self, per_minute: float, gate: CircuitBreaker) -> Pacer:
        """Return what every request to the API waits for."""
        return Pacer(per_minute, burst=burst_for(per_minute, WEBEX_REQUESTS_PER_MINUTE), gate=gate)

    def judge(self, judge: RetryPolicy) -> RetryPolicy:
        """Return what judges a failed request to the API."""
        return judge

    def renew(self, renew: Renew) -> Renew:
        """Return what gets a recording a fresh URL."""
        return renew


DEFAULT_CALL_POLICY = CallPolicy()


@dataclass(frozen=True, slots=True)
class Injected:
    """What an embedding service hands in instead of what the settings name; it stays the service's to close."""

    token_store: TokenStore | None = None
    credentials: Credentials | None = None
    api_transport: httpx.AsyncBaseTransport | None = None
    media_transport: httpx.AsyncBaseTransport | None = None
    s3_session: aioboto3.Session | None = None
    terms: CallPolicy = DEFAULT_CALL_POLICY


NO_INJECTION = Injected()


@dataclass(frozen=True, slots=True)
class WebexAccount:
    """Who we are to Webex."""

    credentials: Credentials
    store: TokenStore
    org_id: str


@dataclass(frozen=True, slots=True)
class WebexClients:
    """Webex, ready to be asked; ``others`` lists the contacts of channels that are only counted."""

    client: WebexClient
    media: WebexMedia
    refresher: Refresher
    org_id: str
    pacer: Pacer
    others: WebexClient | None = None
    search: TaskSearch | None = None


@dataclass(frozen=True, slots=True)
class BucketAndLedger:
    """The bucket and the ledger, both checked."""

    store: S3ReadStore
    ledger: SqliteLedger
    concurrency: int

    async def sweep_uncertain(self, transfer: Transfer) -> AuthError | RunStopped | None:
        """Abort what may have been begun without our learning of it; return what forbids it."""
        try:
            for key in tuple(self.store.uncertain_keys):
                await transfer.sweep(key)
        except (AuthError, RunStopped) as refusal:
            return refusal
        return None


class LedgerLog:
    """The ledger as `transfer` writes to it: its notes get their time here."""

    def __init__(self, ledger: SqliteLedger, now_ms: Callable[[], int]) -> None:
        self._ledger, self._now_ms = ledger, now_ms

    async def started(self, task_id: str, recording_id: str, key: str) -> None:
        await self._ledger.started(task_id, recording_id, key, self._now_ms())

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str) -> None:
        await self._ledger.upload_created(key, upload_id, task_id, recording_id, self._now_ms())

    async def completing(self, upload_id: str, size: int, crc32: int) -> None:
        await self._ledger.completing(upload_id, size, crc32)

    async def upload_gone(self, upload_id: str) -> None:
        await self._ledger.upload_gone(upload_id)


async def load_secrets(
    settings: Settings, given: Injected, emit: Emit = ignore, clock: Callable[[], float] = time.time
) -> WebexAccount:
    """Read credentials and tokens and hold their organisation against the configured one."""
    if not settings.s3.bucket:
        raise ConfigError("[s3] bucket is not set")
    credentials, store = await credentials_of(settings, given), token_store_of(settings, given, emit)
    tokens = await store.load()
    org_id = organisation(settings.webex.org_id, credentials.org_id, tokens)
    _warn_of_end(tokens, clock(), emit)
    return WebexAccount(credentials, store, org_id)


async def credentials_of(settings: Settings, given: Injected) -> Credentials:
    """Return the client id and secret that were handed in or that the settings name; raises as `load_credentials`."""
    return given.credentials or await load_credentials(settings.auth.credentials, aws_options(settings))


def token_store_of(settings: Settings, given: Injected, emit: Emit = ignore) -> TokenStore:
    """Return the token store that was handed in or that the settings name; nothing is read yet."""
    return given.token_store or open_token_store(settings.auth.tokens, aws_options(settings), emit)


def _warn_of_end(tokens: Tokens, now_s: float, emit: Emit) -> None:
    """Say it while there is time: once the refresh token is dead, only a person can log in again."""
    ends = tokens.refresh_expires_at
    judged = diagnosis.refresh_token(None if ends is None else ends - now_s)
    if judged.todo:
        emit(Warned("refresh_token_ends", f"the refresh token: {judged.words}; {judged.todo}"))


def organisation(configured: str, in_credentials: str, tokens: Tokens) -> str:
    """Return the organisation all agree on.

    A browser that is signed in elsewhere silently mints a token for the wrong
    one, and Webex then answers every question with nothing at all.
    """
    of_token = token_org(tokens) or ""
    wanted = configured or in_credentials
    if configured and in_credentials and configured.lower() != in_credentials.lower():
        raise ConfigError(
            f"[webex] org_id {configured} and the org_id in [auth] credentials, {in_credentials}, are not the same"
        )
    if wanted and of_token and wanted.lower() != of_token.lower():
        raise AuthError(
            f"the token belongs to organisation {of_token}, not to {wanted}; run `wxrec-async login` in a browser "
            "that is signed in to the right one, or correct [webex] org_id"
        )
    if not (wanted or of_token):
        raise ConfigError("[webex] org_id is not set, and the token does not tell it")
    return of_token or wanted


def trusted_tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the one TLS context; raises `ConfigError` when the CA bundle cannot be used."""
    try:
        return tls_context(settings.ca_bundle)
    except OSError as error:
        raise ConfigError(f"--ca-bundle {settings.ca_bundle}: {error.strerror or type(error).__name__}") from None


@asynccontextmanager
async def open_webex(  # noqa: PLR0913, PLR0917 - one argument for each thing the wiring starts from
    settings: Settings,
    secrets: WebexAccount,
    tls: ssl.SSLContext,
    emit: Emit,
    reach: NetworkMonitor,
    clock: Callable[[], float],
    given: Injected = NO_INJECTION,
) -> AsyncIterator[WebexClients]:
    """Open three separate sets of connections: for the token, the API, and the media, which gets no credential."""
    webex, terms = settings.webex, given.terms
    pacer = terms.pacer(webex.requests_per_minute, observed_gate("Webex", emit))
    token_http = http_client(_borrowed(given.api_transport) or AiohttpTransport(tls=tls, limit=2, proxy=webex.proxy))
    refresher = Refresher(
        secrets.store, secrets.credentials, token_http, f"{webex.auth_url}/access_token", emit, now=clock
    )
    api = _borrowed(given.api_transport) or AiohttpTransport(tls=tls, limit=API_CONNECTIONS, proxy=webex.proxy)
    api_http = http_client(PacedTransport(api, pacer), RefreshingAuth(refresher, webex.api_url))
    media_transport = _borrowed(given.media_transport) or AiohttpTransport(
        tls=tls,
        limit=settings.backfill.concurrency,
        read_buffer=settings.memory.read_buffer,
        proxy=webex.proxy,
        address_check=partial(address_allowed, loopback=_on_loopback(settings)),
    )
    retrier = observed_retrier(terms.judge(for_api), pacer.gate, reach, emit)
    client = WebexClient(api_http, webex, org_id=secrets.org_id, retrier=retrier, emit=emit)
    search = TaskSearch(api_http, webex, org_id=secrets.org_id, retrier=retrier, emit=emit)
    others = None
    if webex.other_channels:
        beside = webex.model_copy(update={"channel_types": webex.other_channels})
        others = WebexClient(api_http, beside, org_id=secrets.org_id, retrier=retrier, emit=emit)
    media_gate = observed_gate("the media host", emit)
    media = WebexMedia(
        media_transport,
        renew=terms.renew(client.renew),
        retrier=observed_retrier(for_download, media_gate, reach, emit),
        hosts=webex.media_hosts,
        loopback=_on_loopback(settings),
        gate=media_gate,
        reach=reach,
        user_agent=USER_AGENT,
        limits=MediaLimits(max_bytes=round(settings.backfill.max_recording_gib * (1 << 30))),
    )
    async with token_http, api_http, media_transport:
        yield WebexClients(client, media, refresher, secrets.org_id, pacer, others, search)


@asynccontextmanager
async def open_storage(
    settings: Settings, org_id: str, emit: Emit, reach: NetworkMonitor, given: Injected = NO_INJECTION
) -> AsyncIterator[BucketAndLedger]:
    """Open the bucket and see that it is there, then the ledger."""
    opening = open_bucket(settings, emit, reach=reach, session=given.s3_session)
    async with opening as store, open_ledger_of(settings, org_id, emit) as ledger:
        yield BucketAndLedger(store, ledger, settings.backfill.concurrency)


@asynccontextmanager
async def ledger_view(path: Path, storage: BucketAndLedger | None) -> AsyncIterator[LedgerCounts]:
    """Read the ledger that is open, else the file as it lies there, else nothing."""
    if storage is not None:
        yield storage.ledger
    elif await to_thread.run_sync(path.exists):
        with CancelScope(shield=True):
            connection = await to_thread.run_sync(opening.open_for_reading, path)
        looker = SqliteLedger(connection, path, str)  # without a run it hands nothing out, so it writes nothing
        try:
            yield looker
        finally:
            await looker.close()
    else:
        yield _NoLedger()


class LedgerCounts(WorkLeft, Protocol):
    """What a plan wants to know of a ledger."""

    async def counts(self, scope: Scope, run_id: str | None) -> Counts: ...

    async def closed_windows(self, period: Window) -> list[Window]: ...

    async def task_rows(self, window: Window, *, after: TaskRow | None = None, limit: int = 500) -> list[TaskRow]: ...


class _NoLedger:
    """A ledger that was never begun."""

    async def counts(self, scope: Scope, run_id: str | None) -> Counts:  # noqa: ARG002 - it has nothing to count
        return Counts()

    async def closed_windows(self, period: Window) -> list[Window]:  # noqa: ARG002
        return []

    async def task_rows(self, *_: object, **__: object) -> list[TaskRow]:
        return []

    async def backlog(self, *_: object, **__: object) -> list[BacklogTask]:
        return []

    async def known(self, task_id: str) -> KnownTask:
        return KnownTask(task_id, {})


class _Borrowed(httpx.AsyncBaseTransport):
    """A transport that is not ours to close."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)


def _borrowed(transport: httpx.AsyncBaseTransport | None) -> _Borrowed | None:
    return _Borrowed(transport) if transport else None


def aws_options(settings: Settings) -> AwsOptions:
    ca_bundle = str(settings.ca_bundle) if settings.ca_bundle else ""
    return AwsOptions(region=settings.s3.region, profile=settings.s3.profile, ca_bundle=ca_bundle)


def _on_loopback(settings: Settings) -> bool:
    return is_loopback(urlsplit(settings.webex.api_url).hostname or "")
