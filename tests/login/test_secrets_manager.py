"""Tokens that live in Secrets Manager are put there by a login, and what is wrong there is named by doctor."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aioboto3
import pytest
from moto.server import ThreadedMotoServer

from wxrec_async.errors import ConfigError
from wxrec_async.setup.doctor import examine
from wxrec_async.setup.login import login

from .kit import CANARY, Place

pytestmark = pytest.mark.anyio


@pytest.fixture
async def secrets(here: Place, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Any, str]]:
    """Open a Secrets Manager that the SDK finds by itself, with one empty object for tokens."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in here.sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://{host}:{port}")
    session: Any = aioboto3.Session(region_name="us-east-1")
    try:
        async with session.client("secretsmanager") as client:
            name = f"wx/{uuid.uuid4()}"  # moto remembers secrets beyond its server
            await client.create_secret(Name=name, SecretString="{}")
            yield client, name
    finally:
        server.stop()


async def test_a_login_puts_its_tokens_into_secrets_manager(here: Place, secrets: tuple[Any, str]) -> None:
    """The first one fills an empty object, the next one takes its place; no file is made."""
    client, name = secrets
    settings = here.settings(auth__tokens=f"aws-secretsmanager:{name}")
    await here.paste(settings=settings)
    first = json.loads((await client.get_secret_value(SecretId=name))["SecretString"])
    await here.paste(settings=settings)
    second = json.loads((await client.get_secret_value(SecretId=name))["SecretString"])
    before = json.loads((await client.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS"))["SecretString"])
    assert before == first
    assert second["refresh_token"] != first["refresh_token"]
    assert here.sandbox.desk.check(f"Bearer {second['access_token']}")
    assert not here.tokens.exists()


async def test_a_secret_that_is_not_there_is_named_before_the_login_and_by_doctor(
    here: Place, secrets: tuple[Any, str]
) -> None:
    """Nobody is sent to a browser for a token that could not be kept."""
    settings = here.settings(auth__tokens="aws-secretsmanager:wx/absent")
    with pytest.raises(ConfigError, match="wx/absent"):
        await login(settings, show_url=here.shown.append)
    assert here.shown == []
    found = {finding.name: finding for finding in await examine(settings)}
    assert found["access_token"].exit_code == 2
    assert "wx/absent" in found["access_token"].words
    assert CANARY not in repr(found)
