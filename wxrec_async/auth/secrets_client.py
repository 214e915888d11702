"""One secret in AWS Secrets Manager: read, and written as new versions; only this module knows the AWS SDK here.

Needs ``secretsmanager:GetSecretValue``, for tokens also ``secretsmanager:PutSecretValue``, and
``kms:Decrypt`` and ``kms:GenerateDataKey`` when the secret lies under a key of its own.  A policy that
limits ``secretsmanager:VersionStage`` has to leave AWSCURRENT, AWSPREVIOUS and, for tokens,
``wxrec-async-lease`` (see `leases`).

At DEBUG the loggers ``botocore`` and ``aiobotocore`` print the secret itself.  Nothing here sets up
logging: who does must never let them go below WARNING.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import aioboto3
from aiobotocore.config import AioConfig
from botocore import exceptions as sdk

from wxrec_async.auth.token_store import AwsOptions
from wxrec_async.auth.token_values import JsonObject, parse_object
from wxrec_async.aws_session import CarefulSession
from wxrec_async.config import is_loopback
from wxrec_async.errors import (
    AuthError,
    ConfigError,
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    TimedOut,
    TLSError,
    WxrecError,
)
from wxrec_async.rules.tokens import server_words

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
GET, PUT = "GetSecretValue", "PutSecretValue"

_KEY_ACTION = {"DecryptionFailure": "kms:Decrypt", "EncryptionFailure": "kms:GenerateDataKey"}
_BAD_IDENTITY = frozenset(
    {
        "ExpiredTokenException",
        "ExpiredToken",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
    }
)


class Missing(ConfigError):
    """There is no such secret."""


class NoValue(Missing):
    """There is a secret, and no version of it bears the staging label."""


class IdTaken(HTTPStatusError):
    """A version with this id exists, with another content."""


class Client(Protocol):
    """The two calls that are made, with the SDK's own argument names."""

    @property
    def meta(self) -> Any: ...

    def get_secret_value(
        self,
        *,
        SecretId: str,  # noqa: N803 - the SDK's
        VersionStage: str,  # noqa: N803 - the SDK's
    ) -> Awaitable[Mapping[str, Any]]: ...

    def put_secret_value(
        self,
        *,
        SecretId: str,  # noqa: N803 - the SDK's
        SecretString: str,  # noqa: N803 - the SDK's
        ClientRequestToken: str,  # noqa: N803 - the SDK's
        VersionStages: Sequence[str],  # noqa: N803 - the SDK's
    ) -> Awaitable[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret, as bytes that are not looked into yet."""

    id: str
    text: bytes
    age_s: float | None

    def __repr__(self) -> str:
        return f"Version({self.id!r})"


class SecretReader:
    """Reads one secret that holds a JSON object.

    ``name`` is its name or ARN.  Every call opens a connection of its own: there
    are days between two of them.
    """

    def __init__(self, name: str, aws: AwsOptions) -> None:
        self.name = name
        self._aws = aws

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"the secret {self.name}"

    async def read(self) -> JsonObject:
        """Return the JSON object; `TokenStore.load` says what is raised."""
        async with self.client() as client:
            return (await self.current(client))[1]

    async def current(self, client: Client) -> tuple[str, JsonObject]:
        """Return the current version's id and object; the previous one's when the current one is no JSON object."""
        version = await self.get(client, CURRENT)
        unusable = _unusable(version, self.label)
        if unusable is None:
            return version.id, parse_object(version.text, self.label)
        # Somebody may have edited it by hand; the refresh token of the version before may still be good.
        previous = await self._previous(client)
        if previous is None:
            raise unusable
        # The id of the current one: it is what a save will take the place of.
        return version.id, previous

    async def _previous(self, client: Client) -> JsonObject | None:
        try:
            return parse_object((await self.get(client, PREVIOUS)).text, self.label)
        except ConfigError:
            return None

    async def get(self, client: Client, stage: str) -> Version:
        """Return the version that bears ``stage``; raises `NoValue` when none does."""
        reply = await self.call(GET, client.get_secret_value(SecretId=self.name, VersionStage=stage))
        text = reply.get("SecretString")
        value = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else reply.get("SecretBinary") or b""
        return Version(str(reply.get("VersionId", "")), bytes(value), _age_s(reply))

    async def put(self, client: Client, text: str, version_id: str, stage: str) -> str:
        """Make a version and move ``stage`` to it; return its id.  A repeated write makes no second one."""
        reply = await self.call(
            PUT,
            client.put_secret_value(
                SecretId=self.name, SecretString=text, ClientRequestToken=version_id, VersionStages=[stage]
            ),
        )
        return str(reply.get("VersionId", ""))

    async def call(self, action: str, call: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Await an SDK call; raises our error for the SDK's."""
        try:
            return await call
        except (sdk.BotoCoreError, sdk.ClientError, OSError) as error:
            problem = translate(error, action, self.label)
        raise problem

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Open a client; raises `ConfigError`, `AuthError` or `RemoteError` when that cannot be done."""
        try:
            context = self._open()
            client = await context.__aenter__()
        except (sdk.BotoCoreError, sdk.ClientError, ValueError, OSError) as error:
            problem = translate(error, GET, self.label)
            client = None
        if client is None:
            raise problem
        try:
            # Only the open client knows which endpoint the SDK has found; no secret has been sent yet.
            _check_endpoint(client, self.label)
            yield client
        finally:
            await context.__aexit__(None, None, None)

    def _open(self) -> AbstractAsyncContextManager[Client]:
        aws = self._aws
        session = aioboto3.Session(profile_name=aws.profile or None, region_name=aws.region or None)
        context: AbstractAsyncContextManager[Client] = session.client(
            "secretsmanager",
            endpoint_url=aws.endpoint_url or None,
            verify=aws.ca_bundle or None,
            config=_config(aws),
        )
        return context


def _config(aws: AwsOptions) -> AioConfig:
    # An empty mapping, unlike None, keeps the SDK from asking the environment.
    return AioConfig(
        # The SDK may repeat here: a read changes nothing, and a write bears the id of its version.
        connect_timeout=5,
        read_timeout=10,
        retries={"total_max_attempts": 3, "mode": "standard"},
        proxies=None if aws.env_proxies else {},
        http_session_cls=CarefulSession,
    )


def _check_endpoint(client: Client, label: str) -> None:
    """Raise `ConfigError` before a secret goes over plain http, wherever the SDK has the endpoint from."""
    url = urlsplit(str(client.meta.endpoint_url))
    if url.scheme != "https" and not is_loopback(url.hostname or ""):
        raise ConfigError(
            f"plain http to Secrets Manager is accepted only for loopback, not for {url.hostname} ({label}): "
            "look at AWS_ENDPOINT_URL_SECRETS_MANAGER, AWS_ENDPOINT_URL and the AWS profile"
        )


def _age_s(reply: Mapping[str, Any]) -> float | None:
    """Return how old a version was when the server answered, by the server's own clock."""
    created = reply.get("CreatedDate")
    date = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        answered = parsedate_to_datetime(str(date)).timestamp()
    except ValueError:
        return None
    return answered - created.timestamp() if isinstance(created, datetime) else None


def _unusable(version: Version, label: str) -> ConfigError | None:
    try:
        parse_object(version.text, label)
    except ConfigError as error:
        return error
    return None


# The SDK's failures as ours


def translate(error: Exception, action: str, label: str) -> WxrecError:
    """Turn an SDK failure into ours; the message names the secret and what is missing, never a value."""
    match error:
        case sdk.ClientError():
            return _refusal(error, action, label)
        case sdk.NoCredentialsError() | sdk.PartialCredentialsError() | sdk.CredentialRetrievalError():
            return AuthError(f"no usable AWS credentials were found to read {label}")
        case sdk.ConnectTimeoutError() | sdk.ReadTimeoutError():
            return TimedOut(f"Secrets Manager did not answer in time for {label}")
        case sdk.SSLError():
            return TLSError(f"the TLS certificate of Secrets Manager is not trusted ({label})")
        case sdk.EndpointConnectionError() | sdk.ProxyConnectionError():
            return ConnectError(f"Secrets Manager cannot be reached for {label}")
        case sdk.HTTPClientError() | OSError():
            return ConnectionLost(f"the connection to Secrets Manager broke for {label}")
        case _:
            return ConfigError(f"the AWS SDK cannot be used for {label}: {type(error).__name__}")


def _refusal(error: sdk.ClientError, action: str, label: str) -> WxrecError:
    facts: Mapping[str, Any] = error.response
    code = str(facts.get("Error", {}).get("Code", ""))
    words = server_words(str(facts.get("Error", {}).get("Message", "")))
    # One code for two things: a secret without a version, which can be written to, and none at all.
    if code == "ResourceNotFoundException" and "secret value" in words:
        return NoValue(f"{label} has no value yet")
    if code == "ResourceNotFoundException":
        return Missing(f"{label} does not exist in this account and region ({action})")
    if code in ("AccessDeniedException", "AccessDenied"):
        return AuthError(f"AWS denies secretsmanager:{action} on {label}: {words}")
    if code in _KEY_ACTION:
        return AuthError(f"the KMS key of {label} cannot be used ({code}): allow {_KEY_ACTION[code]} on it")
    if code in _BAD_IDENTITY:
        return AuthError(f"AWS refuses the credentials used for {label} ({code})")
    if code in ("InvalidRequestException", "InvalidParameterException", "ValidationException"):
        return ConfigError(f"Secrets Manager refuses {action} on {label}: {words}")
    status = facts.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "ResourceExistsException":
        return IdTaken(int(status), code=code, words=words)
    return HTTPStatusError(int(status), code=code, words=words)
