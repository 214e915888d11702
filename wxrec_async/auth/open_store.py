"""Finds credentials and tokens where the settings say: in a private file, or in AWS Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from anyio import to_thread

from wxrec_async.auth.file_store import FileTokenStore
from wxrec_async.auth.secret_files import replace_private
from wxrec_async.auth.token_store import AwsOptions, TokenStore
from wxrec_async.auth.token_values import CREDENTIALS_HINT, Credentials, JsonObject, credentials_from, parse_object
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit, ignore
from wxrec_async.plumbing.private_files import read_private

SECRETS_MANAGER_PREFIX = "aws-secretsmanager:"


async def load_credentials(source: str, aws: AwsOptions | None = None) -> Credentials:
    """Read credentials from a path or ``aws-secretsmanager:NAME`` (NAME may be an ARN).

    Raises `ConfigError` that names the file or secret and the key or permission that is wrong,
    `AuthError` when AWS refuses, `RemoteError` when it cannot be reached.
    """
    name = _secret_name(source)
    if name is not None:
        from wxrec_async.auth.secrets_manager import SecretReader  # noqa: PLC0415 - as in open_token_store

        return credentials_from(await SecretReader(name, aws or AwsOptions()).read(), f"the secret {name}")
    text = await to_thread.run_sync(read_private, Path(source))
    if text is None:
        raise ConfigError(f"the credentials file {source} does not exist; {CREDENTIALS_HINT}")
    return credentials_from(parse_object(text, source, CREDENTIALS_HINT), source)


async def change_credentials(
    source: str, change: Callable[[JsonObject], JsonObject], aws: AwsOptions | None = None
) -> None:
    """Write what ``change`` makes of the credentials in their place; raises as `load_credentials`.

    A file is replaced as a whole; a secret gets a version, for which ``secretsmanager:PutSecretValue`` is needed.
    """
    name = _secret_name(source)
    if name is not None:
        from wxrec_async.auth.secrets_manager import rewrite_secret  # noqa: PLC0415 - as in open_token_store

        await rewrite_secret(name, aws or AwsOptions(), change)
        return
    text = await to_thread.run_sync(read_private, Path(source))
    if text is None:
        raise ConfigError(f"the credentials file {source} does not exist")
    changed = change(parse_object(text, source))
    credentials_from(changed, source)  # what is no credentials file is not written over
    written = json.dumps(changed, indent=2, ensure_ascii=False) + "\n"
    failure = await to_thread.run_sync(replace_private, Path(source), written.encode("utf-8", "surrogatepass"))
    if failure is not None:
        raise ConfigError(f"{source} cannot be written: {failure}")


def open_token_store(source: str, aws: AwsOptions | None = None, emit: Emit = ignore) -> TokenStore:
    """Return the store ``source`` names, a path or ``aws-secretsmanager:NAME``; nothing is read yet.

    What the store cannot promise is told to ``emit``.
    """
    name = _secret_name(source)
    if name is None:
        return FileTokenStore(source)
    # Importing the SDK takes half a second, which nobody with a file should pay.
    from wxrec_async.auth.secrets_manager import SecretsManagerTokenStore  # noqa: PLC0415

    return SecretsManagerTokenStore(name, aws or AwsOptions(), emit=emit)


def _secret_name(source: str) -> str | None:
    if not source.startswith(SECRETS_MANAGER_PREFIX):
        return None
    name = source.removeprefix(SECRETS_MANAGER_PREFIX).strip()
    if not name:
        raise ConfigError(f"{SECRETS_MANAGER_PREFIX} is followed by the name or ARN of a secret")
    return name
