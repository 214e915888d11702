"""Tokens in AWS Secrets Manager, shared by as many processes as one likes.

What AWS has to allow is in `secrets_client`.  A renewal writes two versions, the lease (see `leases`) and
the tokens.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from wxrec_async.auth.leases import FIRST_S, STAGE, Leases, RenewalLease, StagedVersion
from wxrec_async.auth.secrets_client import CURRENT, Client, IdTaken, Missing, NoValue, SecretReader
from wxrec_async.auth.token_store import LOCK_WAIT_S, AwsOptions, StoreMoved
from wxrec_async.auth.token_values import LOGIN_HINT, JsonObject, Tokens, tokens_from, tokens_to
from wxrec_async.errors import AuthError, TimedOut
from wxrec_async.events import Emit, Warned, ignore

__all__ = ["SecretReader", "SecretsManagerTokenStore"]

REFUSED_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class _SecretStages:
    """A secret as `leases` want it."""

    secret: SecretReader
    client: Client

    async def labelled(self) -> StagedVersion | None:
        try:
            version = await self.secret.get(self.client, STAGE)
        except Missing:
            return None  # the secret is there, it was just read
        return StagedVersion(version.text, version.age_s)

    async def make(self, lease: RenewalLease) -> bool:
        try:
            await self.secret.put(self.client, lease.text(), lease.version_id, STAGE)
        except IdTaken:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Stored:
    """Tokens, and the version they are."""

    version: str
    tokens: Tokens


class SecretsManagerTokenStore:
    """Tokens in one secret.

    Under ``lock`` a ``load`` whose tokens will have to be renewed returns only when this process has the
    lease on their version, see `leases`, or another process has stored new ones; it raises `TimedOut`
    after ``wait_s``.  Where AWS forbids the lease that is said once through ``emit``, and ``lock`` keeps out
    only tasks of this process.  ``save`` in any case reads the version again just before it writes, and gives
    way to a newer token it did not know; old versions stay as AWSPREVIOUS.  ``now`` is epoch seconds.
    """

    def __init__(
        self,
        name: str,
        aws: AwsOptions,
        *,
        emit: Emit = ignore,
        lease_s: float = FIRST_S,
        wait_s: float = LOCK_WAIT_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.emit = emit
        self._secret = SecretReader(name, aws)
        self._leases, self._wait_s, self._now = Leases(lease_s), wait_s, now
        self._lock = anyio.Lock()
        self._version = ""
        self._renewing = ""
        self._alone = False  # nobody else can have renewed the version we renew
        self._warned = False
        self._pending: tuple[Tokens, str] | None = None

    async def load(self) -> Tokens:
        """Read the secret; see `TokenStore.load`."""
        async with self._secret.client() as client:
            stored = await self._read(client)
            # Whoever holds the lock is about to renew; a look from elsewhere needs no lease.
            if self._lock.statistics().owner == anyio.get_current_task():
                stored = await self._ours_to_act_on(client, stored)
        self._version = stored.version
        return stored.tokens

    async def _read(self, client: Client) -> _Stored:
        try:
            version, data = await self._secret.current(client)
        except NoValue as problem:
            raise AuthError(f"{problem}: {LOGIN_HINT}") from None
        return _Stored(version, tokens_from(data, self._secret.label))

    async def _ours_to_act_on(self, client: Client, stored: _Stored) -> _Stored:
        """Return what the caller may renew, or use as it is."""
        # A second look under one lock: the refresh token was refused, and may have been used by a process
        # that has not stored its own yet.
        if stored.version == self._renewing and not self._alone:
            stored = await self._after_refusal(client, stored)
        pause, deadline = 0.1, anyio.current_time() + self._wait_s
        while not self._done_by_another(stored):
            may = await self._may_renew(client, stored.version)
            if not may:
                await self._pause(pause, deadline)
                pause = min(pause * 1.5, 2.0)
            # Read after the lease was taken: the version may have been renewed between our first look and that.
            before, stored = stored, await self._read(client)
            if may and stored.version == before.version:
                break
        self._renewing = stored.version
        return stored

    def _done_by_another(self, stored: _Stored) -> bool:
        return stored.version != self._version and stored.tokens.fresh(self._now())

    async def _may_renew(self, client: Client, version: str) -> bool:
        """Take the lease; where that is forbidden, say so and go without."""
        try:
            lease = await self._leases.take(_SecretStages(self._secret, client), version)
        except AuthError as denied:
            self._warn(denied)
            self._alone = False
            return True
        # A further number follows a holder that went silent, and may have used the refresh token before.
        self._alone = lease is not None and lease.number == 1
        return lease is not None

    async def _pause(self, seconds: float, deadline: float) -> None:
        if anyio.current_time() >= deadline:
            raise TimedOut(f"another process has been renewing the tokens in {self._secret.label} all along")
        await anyio.sleep(seconds)

    async def _after_refusal(self, client: Client, stored: _Stored) -> _Stored:
        """Wait a little for whoever made our refresh token worthless to store its own."""
        deadline = anyio.current_time() + REFUSED_WAIT_S
        while stored.version == self._renewing and anyio.current_time() < deadline:
            await anyio.sleep(0.25)
            stored = await self._read(client)
        return stored

    def _warn(self, denied: AuthError) -> None:
        if not self._warned:
            said = f"processes that share {self._secret.label} cannot keep out of each other's way: {denied}"
            self.emit(Warned("token_not_locked", said))
        self._warned = True

    async def save(self, tokens: Tokens) -> None:
        """Write a new version when the tokens differ from the stored ones; see `TokenStore.save`."""
        async with self._secret.client() as client:
            version, kept = await self._saved(client)
            stored = _tokens_or_none(kept, self._secret.label)
            # The reply to an earlier write may have been lost: what is there already is not written twice.
            if stored is None or not stored.same(tokens):
                self._give_way(version, stored, tokens)
                text = json.dumps(tokens_to(tokens, kept))
                version = await self._secret.put(client, text, self._request_token(tokens), CURRENT)
        self._version = version

    async def _saved(self, client: Client) -> tuple[str, JsonObject]:
        try:
            return await self._secret.current(client)
        except NoValue:
            return "", {}

    def _give_way(self, version: str, stored: Tokens | None, ours: Tokens) -> None:
        """Raise `StoreMoved` when the version is not the one we know and its token lives at least as long as ours."""
        known = self._version
        self._version = version
        # 300 s: two processes that refresh at the same moment, with clocks that differ a little.
        if known and version != known and stored is not None and stored.expires_at >= ours.expires_at - 300:
            raise StoreMoved(stored)

    def _request_token(self, tokens: Tokens) -> str:
        """Return the same id for the same tokens: a repeated write then makes no second version."""
        if self._pending is None or not self._pending[0].same(tokens):
            self._pending = tokens, str(uuid.uuid4())
        return self._pending[1]

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Keep out other tasks of this process, and others by what ``load`` does in here; see `TokenStore.lock`."""
        async with self._lock:
            self._renewing = ""
            yield


async def rewrite_secret(name: str, aws: AwsOptions, change: Callable[[JsonObject], JsonObject]) -> None:
    """Make a new version of a secret of what ``change`` makes of the current one; raises as `SecretReader`."""
    secret = SecretReader(name, aws)
    async with secret.client() as client:
        _, data = await secret.current(client)
        await secret.put(client, json.dumps(change(data)), str(uuid.uuid4()), CURRENT)


def _tokens_or_none(data: JsonObject, label: str) -> Tokens | None:
    try:
        return tokens_from(data, label)
    except AuthError:
        return None
