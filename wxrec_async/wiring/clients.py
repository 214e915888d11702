"""Webex with its token, opened and wired: three separate sets of connections."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import httpx

from wxrec_async.auth.refresher import Refresher, RefreshingAuth
from wxrec_async.config import Settings, is_loopback
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit
from wxrec_async.plumbing.pacer import Pacer
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.rules.media_urls import address_allowed
from wxrec_async.rules.retry import for_api, for_download
from wxrec_async.webex.client import WebexClient
from wxrec_async.webex.contact_records import ContactRecords
from wxrec_async.webex.media import MediaLimits, WebexMedia
from wxrec_async.webex.pacing import PacedTransport
from wxrec_async.webex.search import TaskSearch
from wxrec_async.webex.search_parse import LISTING
from wxrec_async.webex.transport import AiohttpTransport, tls_context
from wxrec_async.wiring.account import NO_INJECTION, Injected, WebexAccount
from wxrec_async.wiring.http_client import USER_AGENT, make_http_client
from wxrec_async.wiring.observed import observed_gate, observed_retrier

API_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class WebexClients:
    """Webex, ready to be asked; ``others`` lists the contacts of channels that are only counted.

    ``search`` is the second list as a witness, ``older`` the same as the list of what ``client`` does not reach
    back to; None when the settings want none.
    """

    client: WebexClient
    media: WebexMedia
    refresher: Refresher
    org_id: str
    pacer: Pacer
    others: WebexClient | None = None
    search: TaskSearch | None = None
    older: TaskSearch | None = None
    records: ContactRecords | None = None

    @property
    def answered(self) -> bool:
        """Whether Webex has answered anything yet, be it a refusal by one of its two lists."""
        return self.client.answered or (self.older is not None and self.older.answered)


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
    token_http = make_http_client(
        _borrowed(given.api_transport) or AiohttpTransport(tls=tls, limit=2, proxy=webex.proxy)
    )
    refresher = Refresher(
        secrets.store, secrets.credentials, token_http, f"{webex.auth_url}/access_token", emit, now=clock
    )
    api = _borrowed(given.api_transport) or AiohttpTransport(tls=tls, limit=API_CONNECTIONS, proxy=webex.proxy)
    api_http = make_http_client(PacedTransport(api, pacer), RefreshingAuth(refresher, webex.api_url))
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
    older = None
    if webex.search != "off":
        older = TaskSearch(api_http, webex, org_id=secrets.org_id, retrier=retrier, emit=emit, fields=LISTING)
    records = None
    if webex.contact_records and settings.s3.sidecar:
        records = ContactRecords(api_http, webex, org_id=secrets.org_id, retrier=retrier)
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
        yield WebexClients(client, media, refresher, secrets.org_id, pacer, others, search, older, records)


class _Borrowed(httpx.AsyncBaseTransport):
    """A transport that is not ours to close."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(request)


def _borrowed(transport: httpx.AsyncBaseTransport | None) -> _Borrowed | None:
    return _Borrowed(transport) if transport else None


def _on_loopback(settings: Settings) -> bool:
    return is_loopback(urlsplit(settings.webex.api_url).hostname or "")
