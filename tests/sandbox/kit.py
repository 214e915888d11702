"""Plain clients for the sandbox: nothing here is ours."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import Any

import aioboto3
import httpx
from botocore.config import Config

from wxrec_async.sandbox import Sandbox

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


TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading the system's certificates is slow, and nothing here needs them


def http_client() -> httpx.AsyncClient:
    """Return a plain client."""
    return httpx.AsyncClient(trust_env=False, timeout=5, verify=TLS)


SESSION: Any = aioboto3.Session()  # reading the service model is the expensive part, so once


def s3_client(sandbox: Sandbox, **keys: Any) -> Any:
    """Return an aioboto3 client for the sandbox's bucket, without retries."""
    names: dict[str, Any] = {
        "aws_access_key_id": sandbox.access_key,
        "aws_secret_access_key": sandbox.secret_key,
        "region_name": sandbox.region,
    } | keys
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return SESSION.client("s3", endpoint_url=sandbox.s3_url, config=config, **names)
