"""Where credentials and tokens are kept: a private file, or AWS Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio
from anyio import to_thread

from wxrec_async.auth import files
from wxrec_async.auth.tokens import (
    LOGIN_HINT,
    Credentials,
    Tokens,
    credentials_from,
    parse_object,
    tokens_from,
    tokens_to,
)
from wxrec_async.errors import AuthError, ConfigError, TimedOut, WxrecError
from wxrec_async.events import Emit, ignore
from wxrec_async.plumbing.private_files import read_private

SECRETS_MANAGER_PREFIX = "aws-secretsmanager:"
LOCK_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """How Secrets Manager is reached; what is left out is found as the AWS SDK always does.

    ``ca_bundle`` is a path; proxies named in the environment are used only with ``env_proxies``.
    """

    region: str = ""
    profile: str = ""
    endpoint_url: str = ""
    ca_bundle: str = ""
    env_proxies: bool = False


class StoreMoved(WxrecError):
    """Another process has stored a newer token.

    Raised by ``save`` instead of overwriting it; ``tokens`` is what the store holds.
    """

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self.tokens = tokens


class TokenStore(Protocol):
    """Where one set of tokens lives.  ``load`` and ``save`` may be called any number of times."""

    async def load(self) -> Tokens:
        """Return what is stored now.

        Raises `AuthError` when there is nothing or no refresh token (log in), `ConfigError` when
        it cannot be read, is malformed or others can read it, `Trouble` when it cannot be reached.
        """

    async def save(self, tokens: Tokens) -> None:
        """Store ``tokens``, atomically, durable on return; keys of others in the same place are kept.

        Raises `AuthError` or `Trouble` when that fails, `ConfigError` when what lies there is not
        ours to overwrite, `StoreMoved` when another process stored a newer token meanwhile.
        """

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Keep other processes on the same store out, as far as the store can; not reentrant.

        Raises `TimedOut` when another process holds it too long.
        """


class FileTokenStore:
    """Tokens in one file of mode 0600, replaced atomically; other processes are kept out by flock."""

    def __init__(self, path: str | Path, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self._path = Path(path)
        self._lock_wait_s = lock_wait_s

    async def load(self) -> Tokens:
        """Read the file; see `TokenStore.load`."""
        text = await to_thread.run_sync(read_private, self._path)
        if text is None:
            raise AuthError(f"the token file {self._path} does not exist: {LOGIN_HINT}")
        return tokens_from(parse_object(text, str(self._path)), str(self._path))

    async def save(self, tokens: Tokens) -> None:
        """Replace the file, or create it; see `TokenStore.save`."""
        await to_thread.run_sync(self._save, tokens)

    def _save(self, tokens: Tokens) -> None:
        present = read_private(self._path)
        kept = {} if present is None else parse_object(present, str(self._path))
        text = json.dumps(tokens_to(tokens, kept), indent=2, ensure_ascii=False) + "\n"
        failure = files.replace_private(self._path, text.encode("utf-8", "surrogatepass"))
        if failure is not None:
            raise AuthError(f"the token could not be saved to {self._path}: {failure}")

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold ``<file>.lock``; see `TokenStore.lock`."""
        held = await to_thread.run_sync(files.open_lock, self._path)
        try:
            await self._acquire(held)
            yield
        finally:
            held.close()

    async def _acquire(self, held: files.LockFile) -> None:
        """Ask again and again: a thread blocked in flock could be neither cancelled nor joined."""
        pause, deadline = 0.01, anyio.current_time() + self._lock_wait_s
        while not held.try_lock():
            if anyio.current_time() >= deadline:
                raise TimedOut(f"another process has held {self._path}.lock for {self._lock_wait_s:g} s")
            await anyio.sleep(pause)
            pause = min(pause * 1.5, 0.25)


async def load_credentials(source: str, aws: AwsOptions | None = None) -> Credentials:
    """Read credentials from a path or ``aws-secretsmanager:NAME`` (NAME may be an ARN).

    Raises `ConfigError` that names the file or secret and the key or permission that is wrong,
    `AuthError` when AWS refuses, `Trouble` when it cannot be reached.
    """
    name = _secret_name(source)
    if name is not None:
        from wxrec_async.auth.secrets_manager import SecretReader  # noqa: PLC0415 - as in open_token_store

        return credentials_from(await SecretReader(name, aws or AwsOptions()).read(), f"the secret {name}")
    text = await to_thread.run_sync(read_private, Path(source))
    if text is None:
        raise ConfigError(f"the credentials file {source} does not exist")
    return credentials_from(parse_object(text, source), source)


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
