"""A running sandbox for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from wxrec_async.sandbox import Options, Sandbox

from .kit import Webex, http_client, s3_client


@pytest.fixture
def options() -> Options:
    """Return what the sandbox is made of; a module may override it."""
    return Options(tasks=60)


@pytest.fixture
async def sandbox(options: Options) -> AsyncIterator[Sandbox]:
    async with Sandbox(options) as running:
        yield running


@pytest.fixture
async def webex(sandbox: Sandbox) -> AsyncIterator[Webex]:
    async with http_client() as http:
        yield Webex(sandbox, http)


@pytest.fixture
async def s3(sandbox: Sandbox) -> AsyncIterator[Any]:
    async with s3_client(sandbox) as client:
        yield client
