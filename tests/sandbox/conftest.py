"""A running sandbox and plain clients for it: nothing here is ours."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aioboto3
import httpx
import pytest
from botocore.config import Config

from wxrec_async.sandbox import Options, Sandbox

DAY_MS = 86_400_000


@dataclass
class Webex:
    """A naive client of the API and the media port."""

    sandbox: Sandbox
    http: httpx.AsyncClient

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.sandbox.tokens['access_token']}"}

    async def tasks(self, **query: Any) -> httpx.Response:
        query = {"from": int(time.time() * 1000) - 7 * DAY_MS, "pageSize": 1000} | query
        return await self.http.get(f"{self.sandbox.api_url}/tasks", params=query, headers=self.bearer)

    async def captures(self, *ids: str, **query: Any) -> httpx.Response:
        body = {"query": {"taskIds": list(ids), **query}}
        return await self.http.post(f"{self.sandbox.api_url}/captures/query", json=body, headers=self.bearer)

    async def refresh(self, **form: str) -> httpx.Response:
        form = {
            "grant_type": "refresh_token",
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
            "refresh_token": self.sandbox.tokens["refresh_token"],
        } | form
        return await self.http.post(f"{self.sandbox.auth_url}/access_token", data=form)

    async def url(self, task_id: str, **query: Any) -> str:
        """Return a fresh pre-signed URL of the first recording of a task."""
        answer = (await self.captures(task_id, **query)).json()
        return str(answer["data"][0]["recording"][0]["attributes"]["filePath"])


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
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        yield Webex(sandbox, http)


@pytest.fixture
async def s3(sandbox: Sandbox) -> AsyncIterator[Any]:
    async with s3_client(sandbox) as client:
        yield client


def s3_client(sandbox: Sandbox, **keys: Any) -> Any:
    """Return an aioboto3 client for the sandbox's bucket, without retries."""
    names = {"aws_access_key_id": sandbox.access_key, "aws_secret_access_key": sandbox.secret_key} | keys
    session = aioboto3.Session(region_name=names.pop("region_name", sandbox.region), **names)
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return session.client("s3", endpoint_url=sandbox.s3_url, config=config)
