"""Credentials and tokens in AWS Secrets Manager; the only module of this room that knows the AWS SDK.

Needs ``secretsmanager:GetSecretValue``, for tokens also ``secretsmanager:PutSecretValue``, and
``kms:Decrypt`` and ``kms:GenerateDataKey`` when the secret lies under a key of its own.

At DEBUG the loggers ``botocore`` and ``aiobotocore`` print the secret itself.  Nothing here sets up
logging: who does must never let them go below WARNING.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aioboto3
import anyio
from aiobotocore.config import AioConfig
from botocore import exceptions as sdk

from wxrec_async.auth.stores import AwsOptions, StoreMoved
from wxrec_async.auth.tokens import JsonObject, Tokens, parse_object, tokens_from, tokens_to
from wxrec_async.aws import CarefulSession
from wxrec_async.errors import (
    AuthError,
    ConfigError,
    ConnectionLost,
    Rejected,
    TimedOut,
    Unreachable,
    Untrusted,
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


class _Client(Protocol):
    """The two calls that are made, with the SDK's own argument names."""

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
    ) -> Awaitable[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class _Version:
    """One version of a secret, as bytes that are not looked into yet."""

    id: str
    text: bytes

    def __repr__(self) -> str:
        return f"_Version({self.id!r})"


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

    async def current(self, client: _Client) -> tuple[str, JsonObject]:
        """Return the current version's id and object; the previous one's when the current one is no JSON object."""
        version = await self._get(client, CURRENT)
        unusable = _unusable(version, self.label)
        if unusable is None:
            return version.id, parse_object(version.text, self.label)
        previous = await self._previous(client)
        if previous is None:
            raise unusable
        return version.id, previous

    async def _previous(self, client: _Client) -> JsonObject | None:
        try:
            return parse_object((await self._get(client, PREVIOUS)).text, self.label)
        except ConfigError:
            return None

    async def _get(self, client: _Client, stage: str) -> _Version:
        reply = await self.call(GET, client.get_secret_value(SecretId=self.name, VersionStage=stage))
        text = reply.get("SecretString")
        value = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else reply.get("SecretBinary") or b""
        return _Version(str(reply.get("VersionId", "")), bytes(value))

    async def call(self, action: str, call: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Await an SDK call; raises our error for the SDK's."""
        try:
            return await call
        except (sdk.BotoCoreError, sdk.ClientError, OSError) as error:
            problem = translate(error, action, self.label)
        raise problem

    @asynccontextmanager
    async def client(self) -> AsyncIterator[_Client]:
        """Open a client; raises `ConfigError`, `AuthError` or `Trouble` when that cannot be done."""
        try:
            context = self._open()
            client = await context.__aenter__()
        except (sdk.BotoCoreError, sdk.ClientError, ValueError, OSError) as error:
            problem = translate(error, GET, self.label)
            client = None
        if client is None:
            raise problem
        try:
            yield client
        finally:
            await context.__aexit__(None, None, None)

    def _open(self) -> AbstractAsyncContextManager[_Client]:
        aws = self._aws
        session = aioboto3.Session(profile_name=aws.profile or None, region_name=aws.region or None)
        context: AbstractAsyncContextManager[_Client] = session.client(
            "secretsmanager",
            endpoint_url=aws.endpoint_url or None,
            verify=aws.ca_bundle or None,
            config=_config(aws),
        )
        return context


def _config(aws: AwsOptions) -> AioConfig:
    # An empty mapping, unlike None, keeps the SDK from asking the environment.
    return AioConfig(
        connect_timeout=5,
        read_timeout=10,
        retries={"total_max_attempts": 3, "mode": "standard"},
        proxies=None if aws.env_proxies else {},
        http_session_cls=CarefulSession,
    )


def _unusable(version: _Version, label: str) -> ConfigError | None:
    try:
        parse_object(version.text, label)
    except ConfigError as error:
        return error
    return None


class SecretsManagerTokenStore:
    """Tokens in one secret.

    Secrets Manager has no lock and no conditional write, so ``lock`` keeps out only
    tasks of this process.  Between processes ``save`` reads the version again just before it
    writes, and gives way to a newer token it did not know; old versions stay as AWSPREVIOUS.
    """

    def __init__(self, name: str, aws: AwsOptions) -> None:
        self._secret = SecretReader(name, aws)
        self._lock = anyio.Lock()
        self._version = ""
        self._pending: tuple[Tokens, str] | None = None

    async def load(self) -> Tokens:
        """Read the secret; see `TokenStore.load`."""
        async with self._secret.client() as client:
            version, data = await self._secret.current(client)
        tokens = tokens_from(data, self._secret.label)
        self._version = version
        return tokens

    async def save(self, tokens: Tokens) -> None:
        """Write a new version when the tokens differ from the stored ones; see `TokenStore.save`."""
        async with self._secret.client() as client:
            version, kept = await self._secret.current(client)
            stored = _tokens_or_none(kept, self._secret.label)
            if stored is None or not stored.same(tokens):
                self._give_way(version, stored, tokens)
                version = await self._put(client, tokens, kept)
        self._version = version

    def _give_way(self, version: str, stored: Tokens | None, ours: Tokens) -> None:
        """Raise `StoreMoved` when the version is not the one we know and its token lives at least as long as ours."""
        known = self._version
        self._version = version
        # 300 s: two processes that refresh at the same moment, with clocks that differ a little.
        if known and version != known and stored is not None and stored.expires_at >= ours.expires_at - 300:
            raise StoreMoved(stored)

    async def _put(self, client: _Client, tokens: Tokens, kept: JsonObject) -> str:
        reply = await self._secret.call(
            PUT,
            client.put_secret_value(
                SecretId=self._secret.name,
                SecretString=json.dumps(tokens_to(tokens, kept)),
                ClientRequestToken=self._request_token(tokens),
            ),
        )
        return str(reply.get("VersionId", ""))

    def _request_token(self, tokens: Tokens) -> str:
        """Return the same id for the same tokens: a repeated write then makes no second version."""
        if self._pending is None or not self._pending[0].same(tokens):
            self._pending = tokens, str(uuid.uuid4())
        return self._pending[1]

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Keep out other tasks of this process only; see `TokenStore.lock`."""
        async with self._lock:
            yield


def _tokens_or_none(data: JsonObject, label: str) -> Tokens | None:
    try:
        return tokens_from(data, label)
    except AuthError:
        return None


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
            return Untrusted(f"the TLS certificate of Secrets Manager is not trusted ({label})")
        case sdk.EndpointConnectionError() | sdk.ProxyConnectionError():
            return Unreachable(f"Secrets Manager cannot be reached for {label}")
        case sdk.HTTPClientError() | OSError():
            return ConnectionLost(f"the connection to Secrets Manager broke for {label}")
        case _:
            return ConfigError(f"the AWS SDK cannot be used for {label}: {type(error).__name__}")


def _refusal(error: sdk.ClientError, action: str, label: str) -> WxrecError:
    facts: Mapping[str, Any] = error.response
    code = str(facts.get("Error", {}).get("Code", ""))
    words = server_words(str(facts.get("Error", {}).get("Message", "")))
    if code == "ResourceNotFoundException":
        return ConfigError(f"{label} does not exist or has no value in this account and region ({action})")
    if code in ("AccessDeniedException", "AccessDenied"):
        return AuthError(f"AWS denies secretsmanager:{action} on {label}: {words}")
    if code in _KEY_ACTION:
        return AuthError(f"the KMS key of {label} cannot be used ({code}): allow {_KEY_ACTION[code]} on it")
    if code in _BAD_IDENTITY:
        return AuthError(f"AWS refuses the credentials used for {label} ({code})")
    if code in ("InvalidRequestException", "InvalidParameterException", "ValidationException"):
        return ConfigError(f"Secrets Manager refuses {action} on {label}: {words}")
    status = facts.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Rejected(int(status), code=code, words=words)
