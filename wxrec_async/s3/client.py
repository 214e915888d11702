"""Opens the one S3 client of a run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aioboto3
import aiobotocore
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore import exceptions as aws

from wxrec_async.aws_session import CarefulSession
from wxrec_async.config import S3Settings, is_loopback
from wxrec_async.errors import ConfigError
from wxrec_async.s3.errors import HOW_TO_GIVE_CREDENTIALS, NO_CREDENTIALS
from wxrec_async.s3.fast_put import FastPut

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

CONNECT_TIMEOUT_S = 10.0
USER_AGENT = f"wxrec-async aiobotocore/{aiobotocore.__version__}"
READ_TIMEOUT_S = 310.0
"""Longer than any deadline of `uploads`, which are what ends a request."""


@dataclass(frozen=True, slots=True)
class OpenedClient:
    """The client, and the shorter way to its bucket for what is sent most often."""

    client: S3Client
    short_way: FastPut


@asynccontextmanager
async def open_client(
    settings: S3Settings,
    *,
    connections: int,
    ca_bundle: Path | None = None,
    proxy: str = "",
    session: aioboto3.Session | None = None,
) -> AsyncIterator[S3Client]:
    """Open an S3 client that sends each request once, and close it at the end; see `open_access`."""
    async with open_access(
        settings, connections=connections, ca_bundle=ca_bundle, proxy=proxy, session=session
    ) as access:
        yield access.client


@asynccontextmanager
async def open_access(
    settings: S3Settings,
    *,
    connections: int,
    ca_bundle: Path | None = None,
    proxy: str = "",
    session: aioboto3.Session | None = None,
) -> AsyncIterator[OpenedClient]:
    """Open an S3 client that sends each request once, and close it at the end.

    ``connections`` is how many requests may be under way at once; the others
    wait.  ``proxy`` is the URL of an HTTP proxy; those of the environment are
    not used.  ``session`` knows the credentials, instead of the environment and
    the profile.  Raises `ConfigError` when AWS credentials or the profile are
    missing, when the CA bundle is not there, or when plain http would leave
    this machine.
    """
    verify = _trusted_certificates(ca_bundle)
    session = session or await _session(settings)
    opened: list[AIOHTTPSession] = []
    options = _options(settings, connections, proxy, _noting(opened))
    async with AsyncExitStack() as stack:
        opening = session.client("s3", endpoint_url=settings.endpoint_url or None, verify=verify, config=options)
        try:
            client = await stack.enter_async_context(opening)
        # An endpoint that is no URL is a bare ValueError of botocore; its words repeat the
        # endpoint, so only its name is said.
        except (aws.BotoCoreError, ValueError) as error:
            raise ConfigError(f"[s3] the client cannot be made: {type(error).__name__}") from None
        # Of the client, not of the settings: AWS_ENDPOINT_URL and a profile may name an endpoint as well.
        _refuse_plain_http(client.meta.endpoint_url)
        events: Any = client.meta.events  # the stubs know no handler that returns something
        events.register("provide-client-params.s3", _without_key, unique_id="wxrec-without-key")
        # Last, when botocore's own handler has added the `Expect` that is to go.
        events.register_last("before-call.s3", _send_once, unique_id="wxrec-send-once")
        yield OpenedClient(client, FastPut(client, opened[0]))


def _noting(opened: list[AIOHTTPSession]) -> type[AIOHTTPSession]:
    """Return a session class that keeps what is made of it: botocore makes one per client, and does not show it."""

    class Noted(CarefulSession):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            opened.append(self)

    return Noted


async def _session(settings: S3Settings) -> aioboto3.Session:
    try:
        session = aioboto3.Session(profile_name=settings.profile or None, region_name=settings.region or None)
        # Asked for now: botocore itself would miss them at the first request, in the middle of a run.
        found = await session.get_credentials()  # type: ignore[misc]  # the stubs miss that it is a coroutine
    except aws.ProfileNotFound:
        raise ConfigError(f"[s3] profile: there is no AWS profile {settings.profile!r}") from None
    except NO_CREDENTIALS as error:
        raise ConfigError(f"AWS credentials ({type(error).__name__}): {HOW_TO_GIVE_CREDENTIALS}") from None
    if found is None:
        raise ConfigError(f"no AWS credentials found: {HOW_TO_GIVE_CREDENTIALS}")
    return session


def _options(settings: S3Settings, connections: int, proxy: str, http: type[AIOHTTPSession]) -> AioConfig:
    # A store with an endpoint of its own seldom has a host name for each bucket.
    style = settings.addressing_style or ("path" if settings.endpoint_url else "auto")
    return AioConfig(
        http_session_cls=http,
        # One attempt: retries are ours alone, so that attempts of two layers never multiply.
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=connections,
        # Empty and not None, or botocore would take the proxies of the environment.
        proxies={"http": proxy, "https": proxy} if proxy else {},
        # We send a checksum of our own with every byte, in a header: the same request on http and https.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # The body is not signed: TLS and the checksum in the header guard it, and a SHA-256 of 5 MiB takes seven
        # times the CPU of making the request.
        s3={"addressing_style": style, "payload_signing_enabled": False},
        user_agent=USER_AGENT,  # given whole, because botocore's own is put together anew for every request
    )


class _Params(dict[str, Any]):
    """Parameters that do not tell the search for an endpoint their key.

    No endpoint depends on it, but botocore's rules take it for an input, so
    that every new key misses their cache and walks through all of them: a
    fifth of the CPU time of a small put.  That search is the one reader that
    uses ``get``; what is sent is read otherwise.
    """

    def get(self, name: str, default: Any = None) -> Any:
        return default if name == "Key" else super().get(name, default)


def _without_key(params: dict[str, Any], **_: object) -> dict[str, Any]:
    return _Params(params)


def _send_once(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Make the call one request: no ``Expect``, which lets aiohttp repeat it unseen, and no second region.

    Must return None: anything else would be taken for the response.
    """
    params["headers"].pop("Expect", None)
    context.get("s3_redirect", {})["redirected"] = True  # a 301 is an answer; check_bucket names the region


def _trusted_certificates(ca_bundle: Path | None) -> str | None:
    """Return the CA bundle to trust: ours, AWS's own variable (None, botocore reads it), or OpenSSL's."""
    if ca_bundle is not None:
        if not ca_bundle.is_file():
            raise ConfigError(f"ca_bundle: there is no file {ca_bundle}")
        return str(ca_bundle)
    # SSL_CERT_FILE is what the other connections of this program go by; botocore alone does not know it.
    return None if os.environ.get("AWS_CA_BUNDLE") else os.environ.get("SSL_CERT_FILE") or None


def _refuse_plain_http(endpoint_url: str) -> None:
    pieces = urlsplit(endpoint_url)
    if pieces.scheme == "http" and not is_loopback(pieces.hostname or ""):
        raise ConfigError(f"AWS_ENDPOINT_URL: plain http is accepted only for loopback, not for {pieces.hostname}")
