"""What every token store promises, run against each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aioboto3
import anyio
import pytest
from aiobotocore.config import AioConfig
from moto.server import ThreadedMotoServer

from tests.auth.auth_kit import T0, as_json, pair, shown, write_private
from wxrec_async.auth.open_store import open_token_store
from wxrec_async.auth.token_store import AwsOptions, TokenStore
from wxrec_async.auth.token_values import Tokens
from wxrec_async.model import Secret

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["file", "secrets manager"])
async def source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, AwsOptions]]:
    if request.param == "file":
        yield str(write_private(tmp_path / "tokens.json", as_json(1, T0))), AwsOptions()
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    aws = AwsOptions(region="eu-central-1", endpoint_url=f"http://{host}:{port}")
    name = f"contract-{tmp_path.name}"
    session = aioboto3.Session(region_name=aws.region)
    async with session.client("secretsmanager", endpoint_url=aws.endpoint_url, config=AioConfig(proxies={})) as client:
        await client.create_secret(Name=name, SecretString=as_json(1, T0))
    yield f"aws-secretsmanager:{name}", aws
    server.stop()


@pytest.fixture
def store(source: tuple[str, AwsOptions]) -> TokenStore:
    return open_token_store(*source)


async def test_what_is_saved_is_loaded_with_every_fact(store: TokenStore, source: tuple[str, AwsOptions]) -> None:
    """By this store and by a new one on the same place, as often as one likes."""
    tokens = Tokens(Secret("a-2"), Secret("r-2"), T0 + 0.25, "Bearer", "cjp:config", T0 + 9.5, 3600.0)
    for _ in range(2):
        await store.save(tokens)
        assert await store.load() == tokens
        assert await open_token_store(*source).load() == tokens


async def test_an_answer_without_refresh_token_leaves_the_stored_one(store: TokenStore) -> None:
    """A login is never undone by a save."""
    await store.save(Tokens(Secret("a-2"), None, T0))
    assert (await store.load()).refresh_token == pair(1, T0).refresh_token


async def test_the_lock_lets_one_in_at_a_time_and_is_free_after_a_cancellation(store: TokenStore) -> None:
    """Within a process at least."""
    inside, most = 0, 0

    async def enter() -> None:
        nonlocal inside, most
        async with store.lock():
            inside += 1
            most = max(most, inside)
            await anyio.sleep(0.002)
            inside -= 1

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(enter)
    with anyio.move_on_after(0.001):
        await enter()
    inside = 0
    with anyio.fail_after(24):
        await enter()
    assert most == 1


async def test_a_store_shows_nothing_it_holds(store: TokenStore) -> None:
    """Not even after it has read it."""
    loaded = await store.load()
    await store.save(pair(2, T0))
    assert "CANARY" not in shown(store, loaded, vars(store))
