"""Who renews the token, when several processes share one secret: leases that are contended, lost, refused, left."""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest

from tests.auth.auth_kit import (
    CLIENT_SECRET,
    CREDENTIALS,
    T0,
    TOKEN_URL,
    Clock,
    TokenRules,
    access,
    as_json,
    cancelled_after,
    number,
    pair,
    renewal,
    shown,
)
from tests.auth.test_processes import Child, Server, ask, digest, serving
from tests.e2e.vault import REGION, Vault, secrets_manager
from wxrec_async.auth.leases import STAGE, Leases, RenewalLease, StagedVersion
from wxrec_async.auth.refresher import Refresher
from wxrec_async.auth.secrets_manager import SecretsManagerTokenStore
from wxrec_async.auth.token_store import AwsOptions
from wxrec_async.errors import AuthError, ConfigError, TimedOut
from wxrec_async.events import Event, Retrying, Warned

pytestmark = [pytest.mark.anyio, pytest.mark.fault("T09")]

CHILD = Path(__file__).with_name("renewing_child.py")
HOUR = 3600.0


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with secrets_manager() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch, vault: Vault) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    vault.rule()


@pytest.fixture
def name(vault: Vault) -> str:
    """Make a secret with a token that ended a second ago."""
    return vault.create(f"wx/{uuid.uuid4()}", json.loads(as_json(1, T0 - 1)))


@dataclass
class Party:
    """One process's worth of refreshing."""

    store: SecretsManagerTokenStore
    refresher: Refresher
    events: list[Event] = field(default_factory=list)

    def warned(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, Warned)]


def store_of(
    vault: Vault, name: str, *, lease_s: float = 120, wait_s: float = 60, clock: Clock | None = None
) -> SecretsManagerTokenStore:
    aws = AwsOptions(REGION, endpoint_url=vault.url)
    return SecretsManagerTokenStore(name, aws, lease_s=lease_s, wait_s=wait_s, now=clock or Clock())


@asynccontextmanager
async def parties(
    vault: Vault, name: str, rules: TokenRules, clock: Clock, *, count: int = 2, lease_s: float = 120
) -> AsyncIterator[list[Party]]:
    """Open some that share nothing but the secret and the token endpoint."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(rules.handle), trust_env=False) as client:
        found = []
        for _ in range(count):
            events: list[Event] = []
            store = store_of(vault, name, lease_s=lease_s, clock=clock)
            store.emit = events.append
            refresher = Refresher(store, CREDENTIALS, client, TOKEN_URL, events.append, now=clock, chance=lambda: 0.0)
            found.append(Party(store, refresher, events))
        yield found


async def all_current(found: list[Party]) -> list[int]:
    """Let all ask for the current token at the same time; return which they got."""
    got: list[int] = []

    async def one(party: Party) -> None:
        got.append(number(await party.refresher.current()))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for party in found:
                group.start_soon(one, party)
    return got


@pytest.mark.fault("C12", "T15")
async def test_stores_that_contend_make_one_request_and_two_versions_per_expiry(vault: Vault, name: str) -> None:
    """Of three that wake at the same moment; who comes late adopts and writes nothing."""
    rules, clock = TokenRules(expires_in=HOUR), Clock()
    async with parties(vault, name, rules, clock, count=3) as found:
        for turn in range(2):
            assert await all_current(found[:2]) == [turn + 2] * 2
            assert await all_current(found[2:]) == [turn + 2]
            assert rules.posts == turn + 1
            clock.at += 2 * HOUR
    puts = vault.seen(name, "PutSecretValue")
    assert [row["stage"] for row in puts if row["status"] == 200] == [STAGE, "AWSCURRENT"] * 2
    assert vault.read(name)["refresh_token"] == renewal(3)
    assert vault.read(name, "AWSPREVIOUS")["refresh_token"] == renewal(2)
    assert "CANARY" not in json.dumps(vault.read(name, STAGE))


@asynccontextmanager
async def child(vault: Vault, name: str, server: Server, lease_s: float) -> AsyncIterator[Child]:
    command = [sys.executable, str(CHILD), name, vault.url, server.url, str(lease_s)]
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "CLIENT_SECRET": CLIENT_SECRET}
    process = await anyio.open_process(command, stderr=None, env=env)
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


@pytest.mark.fault("C12")
async def test_two_processes_make_one_request_per_expiry_under_rotation(vault: Vault, name: str) -> None:
    """The used refresh token dies at once, so a second request would end the slower process."""
    rules = TokenRules(expires_in=HOUR)
    async with serving(rules) as server, child(vault, name, server, 120) as one, child(vault, name, server, 120) as two:
        for turn in range(3):
            at, said = T0 + turn * 2 * HOUR, list[str]()
            with anyio.fail_after(30):
                async with anyio.create_task_group() as group:
                    group.start_soon(ask, one, at, said)
                    group.start_soon(ask, two, at, said)
            assert said == [digest(turn + 2)] * 2
            assert vault.read(name)["refresh_token"] == renewal(turn + 2)
            assert rules.posts == turn + 1


@pytest.mark.fault("T04")
async def test_a_holder_killed_with_the_answer_unread_blocks_only_until_its_lease_ends(vault: Vault, name: str) -> None:
    """The next one then goes on with the stored refresh token."""
    async with serving(TokenRules(revoke=False)) as server:
        async with child(vault, name, server, 2) as victim:
            server.kill = victim.process.pid
            assert victim.process.stdin is not None
            await victim.process.stdin.send(f"{T0}\n".encode())
            with anyio.fail_after(30):
                assert await victim.process.wait() == -signal.SIGKILL
        assert vault.read(name)["refresh_token"] == renewal(1)
        with pytest.raises(TimedOut, match=name):
            await load_locked(store_of(vault, name, wait_s=0.2))
        async with child(vault, name, server, 2) as heir:
            with anyio.fail_after(30):
                assert await heir.ask(T0) == digest(3)
    assert vault.read(name)["refresh_token"] == renewal(3)


async def load_locked(store: SecretsManagerTokenStore) -> int:
    async with store.lock():
        return number(await store.load())


@pytest.mark.fault("T02", "T04")
async def test_a_holder_slower_than_its_lease_loses_no_token(vault: Vault, name: str) -> None:
    """Another one takes over and is refused; it waits a little, and both use what the slow one got."""
    rules, clock, slow_answer = TokenRules(), Clock(), anyio.Event()
    plain = rules.handle

    async def slowly(request: httpx.Request) -> httpx.Response:
        first = rules.posts == 0
        answer = await plain(request)
        if first:
            await slow_answer.wait()
        else:
            slow_answer.set()
        return answer

    rules.handle = slowly  # type: ignore[method-assign]
    async with parties(vault, name, rules, clock, lease_s=1.0) as found:
        assert await all_current(found) == [2, 2]
    assert rules.posts == 2
    assert vault.read(name)["refresh_token"] == renewal(2)


class OneShelf:
    """A secret in memory whose label bears the last lease that was made."""

    def __init__(self) -> None:
        self.made: list[RenewalLease] = []

    async def labelled(self) -> StagedVersion | None:
        return StagedVersion(self.made[-1].text().encode(), None) if self.made else None

    async def make(self, lease: RenewalLease) -> bool:
        self.made.append(lease)
        return True


async def test_a_lease_without_room_left_is_made_longer_before_it_is_used() -> None:
    """Twice as long each time, up to ten minutes: an outage of the token endpoint makes few versions."""
    clock, shelf = Clock(0.0), OneShelf()
    leases = Leases(120, clock)
    while clock.at < 2400:
        assert await leases.take(shelf, "v1") == shelf.made[-1]
        clock.at += 30
    assert [lease.lasts_s for lease in shelf.made] == [120, 240, 480, 600, 600, 600, 600]


async def test_a_stage_moved_back_by_hand_does_not_block(vault: Vault, name: str) -> None:
    """The leases of the old version are used up, so the next number is found."""
    store = store_of(vault, name)
    await load_locked(store)
    await store.save(pair(2, T0 - 1))
    await load_locked(store)
    versions = {label: version for version, labels in vault.versions(name).items() for label in labels}
    vault.sdk.update_secret_version_stage(
        SecretId=name,
        VersionStage="AWSCURRENT",
        RemoveFromVersionId=versions["AWSCURRENT"],
        MoveToVersionId=versions["AWSPREVIOUS"],
    )
    assert await load_locked(store_of(vault, name)) == 1
    lease = vault.read(name, STAGE)["wxrec_async_lease"]
    assert (lease["of"], lease["number"]) == (versions["AWSPREVIOUS"], 2)


@pytest.mark.fault("T05", "T15")
@pytest.mark.parametrize("denied", ["GetSecretValue", "PutSecretValue"])
async def test_where_the_lease_is_forbidden_that_is_said_once_and_tokens_are_renewed(
    vault: Vault, name: str, denied: str
) -> None:
    """Those who share the secret may then ask twice; the one that is refused adopts what the other got."""
    vault.rule({"action": denied, "stage": STAGE, "code": "AccessDeniedException", "times": 100})
    rules, clock = TokenRules(expires_in=HOUR), Clock()
    async with parties(vault, name, rules, clock) as found:
        for turn in range(2):
            assert await all_current(found) == [turn + 2] * 2
            assert rules.newest == turn + 2
            clock.at += 2 * HOUR
        assert {code for party in found for code in party.warned()} == {"token_not_locked"}
        assert all(len(party.warned()) <= 1 for party in found)
        assert denied in shown(*found[0].events, *found[1].events)


@pytest.mark.fault("T05", "T15")
@pytest.mark.parametrize("action", ["GetSecretValue", "PutSecretValue"])
async def test_throttling_on_the_lease_asks_webex_nothing_and_passes(vault: Vault, name: str, action: str) -> None:
    """It is trouble like any other, tried again by who renews."""
    vault.rule({"action": action, "stage": STAGE, "code": "ThrottlingException", "times": 3})
    rules = TokenRules()
    async with parties(vault, name, rules, Clock(), count=1) as (party,):
        assert await all_current([party]) == [2]
        (again,) = [event for event in party.events if isinstance(event, Retrying)]
    assert "ThrottlingException" in again.reason
    assert rules.posts == 1


async def test_a_lease_made_although_its_answer_was_lost_is_ours(vault: Vault, name: str) -> None:
    """Cancelled while it was being made, the store finds it again and does not wait for itself."""
    store = store_of(vault, name, wait_s=0.1)
    for delay_s in (0.05, 0.2):
        vault.rule({"action": "PutSecretValue", "stage": STAGE, "delay_s": 0.5})
        made = len(vault.seen(name, "PutSecretValue", STAGE))
        async with anyio.create_task_group() as group:
            group.start_soon(load_locked, store)
            if not made:
                while not any("done" in row for row in vault.seen(name, "PutSecretValue", STAGE)):
                    await anyio.sleep(0.01)
            await anyio.sleep(delay_s)
            group.cancel_scope.cancel()
    assert await load_locked(store) == 1
    assert len(vault.seen(name, "PutSecretValue", STAGE)) == 1


@pytest.mark.fault("T08")
@pytest.mark.parametrize("natively", [False, True], ids=["a cancel scope", "Task.cancel"])
async def test_a_cancelled_renewal_frees_the_lock_and_blocks_nobody_in_its_process(
    vault: Vault, name: str, natively: bool
) -> None:
    """At any moment of it; the next caller renews, with one request in all."""
    rules = TokenRules(expires_in=HOUR)
    async with parties(vault, name, rules, Clock(), count=1) as (party,):
        for turns in (1, 20, 60, 120):
            await cancelled_after(turns, party.refresher.current, natively=natively)
        assert await all_current([party]) == [2]
    assert rules.posts == 1
    assert access(2) == vault.read(name)["access_token"]


@pytest.mark.fault("T02")
async def test_a_dead_refresh_token_is_said_at_once_by_who_holds_the_first_lease(vault: Vault, name: str) -> None:
    """Nobody else can have used it, so there is nothing to wait for."""
    rules = TokenRules(newest=7)
    async with parties(vault, name, rules, Clock(), count=1) as (party,):
        with anyio.fail_after(40), pytest.raises(AuthError, match="wxrec-async login"):
            await party.refresher.current()
    assert rules.posts == 1


@pytest.mark.fault("T15")
async def test_a_secret_without_a_value_asks_for_a_login_and_takes_the_first_tokens(vault: Vault) -> None:
    """It is not the same as a secret that is not there, which is a matter of configuration."""
    name = vault.create(f"wx/{uuid.uuid4()}", None)
    store = store_of(vault, name)
    with pytest.raises(AuthError, match=f"{name} has no value yet: run `wxrec-async login`"):
        await store.load()
    await store.save(pair(1, T0))
    assert (await store.load()).same(pair(1, T0))
    with pytest.raises(ConfigError, match="wx/none does not exist"):
        await store_of(vault, "wx/none").load()
