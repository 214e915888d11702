"""Who we are to Webex: what the settings name, or an embedding service hands in, held against each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from wxrec_async.auth.open_store import load_credentials, open_token_store
from wxrec_async.auth.token_store import AwsOptions, TokenStore
from wxrec_async.auth.token_values import MAKE_PHONE_KEY, Credentials, Tokens
from wxrec_async.config import WEBEX_REQUESTS_PER_MINUTE, Settings, no_bucket
from wxrec_async.errors import AuthError, ConfigError
from wxrec_async.events import Emit, Warned, ignore
from wxrec_async.plumbing.pacer import CircuitBreaker, Pacer, burst_for
from wxrec_async.plumbing.retrying import RetryPolicy
from wxrec_async.rules import diagnosis
from wxrec_async.rules.phone_numbers import number_hash
from wxrec_async.rules.tokens import token_org

if TYPE_CHECKING:
    import aioboto3

    from wxrec_async.webex.media import Renew


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


async def load_secrets(
    settings: Settings, given: Injected, emit: Emit = ignore, clock: Callable[[], float] = time.time
) -> WebexAccount:
    """Read credentials and tokens and hold their organisation against the configured one."""
    if not settings.s3.bucket:
        raise no_bucket()
    credentials, store = await credentials_of(settings, given), token_store_of(settings, given, emit)
    tokens = await store.load()
    org_id = organisation_of(settings.webex.org_id, credentials.org_id, tokens)
    _warn_of_end(tokens, clock(), emit)
    return WebexAccount(credentials, store, org_id)


async def credentials_of(settings: Settings, given: Injected) -> Credentials:
    """Return the client id and secret that were handed in or that the settings name; raises as `load_credentials`."""
    return given.credentials or await load_credentials(settings.auth.credentials, aws_options(settings))


def number_hash_of(settings: Settings, credentials: Credentials) -> Callable[[str | None], str | None] | None:
    """Return what makes the hashes that numbers are found by; None unless they are wanted.  `ConfigError`: no key."""
    if settings.ledger.phone_numbers != "hashed":
        return None
    if (key := credentials.phone_key) is None:
        raise ConfigError(f'[ledger] phone_numbers = "hashed" needs a phone_key in the credentials: {MAKE_PHONE_KEY}')
    return lambda text: number_hash(text, key.reveal(), settings.ledger.country)


def token_store_of(settings: Settings, given: Injected, emit: Emit = ignore) -> TokenStore:
    """Return the token store that was handed in or that the settings name; nothing is read yet."""
    return given.token_store or open_token_store(settings.auth.tokens, aws_options(settings), emit)


def _warn_of_end(tokens: Tokens, now_s: float, emit: Emit) -> None:
    """Say it while there is time: once the refresh token is dead, only a person can log in again."""
    ends = tokens.refresh_expires_at
    judged = diagnosis.refresh_token(None if ends is None else ends - now_s)
    if judged.todo:
        emit(Warned("refresh_token_ends", f"the refresh token: {judged.words}; {judged.todo}"))


def organisation_of(configured: str, in_credentials: str, tokens: Tokens) -> str:
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


def aws_options(settings: Settings) -> AwsOptions:
    ca_bundle = str(settings.ca_bundle) if settings.ca_bundle else ""
    return AwsOptions(region=settings.s3.region, profile=settings.s3.profile, ca_bundle=ca_bundle)
