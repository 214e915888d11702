"""Where one set of tokens lives, whatever keeps it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from wxrec_async.auth.token_values import Tokens
from wxrec_async.errors import WxrecError

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
        it cannot be read, is malformed or others can read it, `RemoteError` when it cannot be reached.
        """

    async def save(self, tokens: Tokens) -> None:
        """Store ``tokens``, atomically, durable on return; keys of others in the same place are kept.

        Raises `AuthError` or `RemoteError` when that fails, `ConfigError` when what lies there is not
        ours to overwrite, `StoreMoved` when another process stored a newer token meanwhile.
        """

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Keep other processes on the same store out, as far as the store can; not reentrant.

        Raises `TimedOut` when another process holds it too long.
        """
