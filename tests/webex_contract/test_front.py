"""The strict front notices: what a client asks amiss, what a simulator answers amiss, and nothing where all is well."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.sandbox.kit import http_client
from tests.webex_contract.front import StrictFront, strict_front
from wxrec_async.sandbox import Options, Organisation, Sandbox

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
NOW = int(time.time() * 1000)


@dataclass
class Guarded:
    """A sandbox, the front before it, and a plain client."""

    sandbox: Sandbox
    front: StrictFront
    http: httpx.AsyncClient

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {self.sandbox.tokens['access_token']}"} | headers
        return await self.http.request(method, f"{self.front.base}{path}", json=body, headers=bearer)

    async def captures(self, *ids: str, **query: Any) -> httpx.Response:
        return await self.ask("POST", "/v1/captures/query", {"query": {"taskIds": list(ids), **query}})

    def errors(self, side: str) -> list[str]:
        return [each.what for each in self.front.findings.of(level="error") if each.side == side]


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    organisation = Organisation(30, 1, seconds=(0.2, 0.4), large=False)
    async with (
        Sandbox(Options(organisation=organisation, requests_per_minute=0)) as sandbox,
        strict_front(sandbox.api_url, sandbox.auth_url) as front,
        http_client() as http,
    ):
        yield Guarded(sandbox, front, http)


async def test_what_is_in_the_contract_passes_unchanged(guarded: Guarded) -> None:
    """Tasks, captures, Search and a download, and not one error on either side."""
    listed = await guarded.ask("GET", f"/v1/tasks?from={NOW - 7 * DAY_MS}&channelTypes=telephony&pageSize=1000")
    item = guarded.sandbox.truth()[0]
    assert item.task_id in {row["id"] for row in listed.json()["data"]}
    entry = (await guarded.captures(item.task_id, urlExpiration=30)).json()["data"][0]
    url = entry["recording"][0]["attributes"]["filePath"]
    assert url.startswith(guarded.front.base)
    assert (await guarded.http.get(url)).content == item.audio.slice()
    query = f"{{taskDetails(from: {NOW - DAY_MS}, to: {NOW}) {{tasks {{id}} pageInfo {{endCursor}}}}}}"
    assert (await guarded.ask("POST", "/search", {"query": query})).status_code == 200
    assert guarded.front.findings.of(level="error") == []
    told = (await guarded.http.get(f"{guarded.front.base}/_violations")).json()
    assert {each["level"] for each in told["violations"]} <= {"warning", "note"}


WEEK = f"from={NOW - 7 * DAY_MS}"
IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(11)]
SPAN = f"from: {NOW - DAY_MS}, to: {NOW}"


AMISS: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/search", {"query": "{}"}, 404, "does not exist"),
    ("GET", "/v1/organization/x", None, 404, "does not exist"),
    ("DELETE", "/v1/tasks", None, 405, "there is GET"),
    ("GET", "/v1/tasks", None, 400, "from is required"),
    ("GET", f"/v1/tasks?{WEEK}&pageSize=1001", None, 400, "pageSize out of range"),
    ("GET", f"/v1/tasks?{WEEK}&channelTypes=Telephony", None, 400, "not one of the listed values"),
    ("GET", f"/v1/tasks?from={NOW - 190 * DAY_MS}", None, 400, "184 days"),
    ("GET", f"/v1/tasks?from={NOW - 400 * DAY_MS}&to={NOW - 390 * DAY_MS}", None, 400, "12 months"),
    ("GET", f"/v1/tasks?{WEEK}&orgId=other", None, 403, "not that of the token"),
    ("POST", "/v1/captures/query", {"query": {"taskIds": IDS}}, 400, "maxItems"),
    ("POST", "/v1/captures/query", {"query": {"taskIds": []}}, 400, "no taskIds"),
    ("POST", "/v1/captures/query", {"query": {"taskIds": IDS[:1], "urlExpiration": 0}}, 400, "above 0"),
    ("POST", "/v1/captures/query", {"query": {"taskIds": IDS[:1], "urlExpiration": 61}}, 400, "maximum"),
    (
        "POST",
        "/search",
        {"query": f"{{taskDetails({SPAN}) {{tasks {{ani}}}}}}"},
        400,
        "GraphQL: Cannot query field",
    ),
    ("POST", "/search", {"query": f"{{taskDetails({SPAN}) {{tasks}}}}"}, 400, "GraphQL"),
    ("POST", "/search", {"query": f"{{taskDetails(from: 1, to: {NOW}) {{tasks {{id}}}}}}"}, 200, "from in seconds"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    AMISS,
    ids=[words for *_, words in AMISS],  # a time is no name
)
async def test_what_a_client_asks_amiss_is_refused_and_noted(
    guarded: Guarded, method: str, path: str, body: Any, status: int, words: str
) -> None:
    """In Cisco's form, before the simulator sees it; only what Cisco answers with nothing is let through."""
    answer = await guarded.ask(method, path, body)
    if status != 200:
        assert answer.status_code == status
        assert guarded.sandbox.log.total == 0
    assert any(words in each for each in guarded.errors("client")), guarded.front.findings.of()


async def test_headers_tokens_and_downloads_are_looked_at(guarded: Guarded) -> None:
    """No bearer, credentials in two places, a URL that was touched, and a token request that lacks something."""
    assert (await guarded.ask("GET", f"/v1/tasks?{WEEK}", Authorization="none")).status_code == 400
    item = guarded.sandbox.truth()[0]
    entry = (await guarded.captures(item.task_id)).json()["data"][0]
    url = entry["recording"][0]["attributes"]["filePath"]
    bearer = {"Authorization": f"Bearer {guarded.sandbox.tokens['access_token']}"}
    assert (await guarded.http.get(url, headers=bearer)).status_code == 400
    assert (await guarded.http.get(f"{url}x")).status_code == 403
    form = {"grant_type": "refresh_token", "client_id": guarded.sandbox.client_id}
    await guarded.http.post(f"{guarded.front.api_url}/access_token", data=form)
    found = "; ".join(guarded.errors("client"))
    for words in (
        "Bearer",
        "sent to the pre-signed URL",
        "letter by letter",
        "without client_secret",
        "without refresh",
    ):
        assert words in found


async def test_record_only_passes_on_what_can_be_understood() -> None:
    """A client that asks below /v1 goes on, and what it did is noted all the same."""
    async with (
        Sandbox(Options(tasks=3)) as sandbox,
        strict_front(sandbox.api_url, sandbox.auth_url, record_only=True) as front,
        http_client() as http,
    ):
        guarded = Guarded(sandbox, front, http)
        query = {"query": f"{{taskDetails({SPAN}) {{tasks {{id}}}}}}"}
        assert (await guarded.ask("POST", "/v1/search", query)).status_code == 200
        assert guarded.errors("client") == ["POST /v1/search does not exist"]


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("missing_entry", {}, "no entry for a taskId"),
        ("no_lists", {}, "'recording' is a required property"),
        ("foreign_entry", {}, "an entry nobody asked for"),
        ("bad_url", {}, "filePath without"),
        ("throttle", {"retry_after": None}, "a 429 without Retry-After"),
        ("error", {"status": 418}, "status 418 is not documented"),
        ("json", {"text": "[]"}, "list where the spec has type"),
        ("truncated_json", {}, "the body is not JSON"),
    ],
)
async def test_what_a_simulator_answers_amiss_is_noted(
    guarded: Guarded, kind: str, parameters: dict[str, Any], words: str
) -> None:
    """Faults that contradict the documentation are found by the contract, one by one."""
    guarded.sandbox.faults.add("captures", kind, **parameters)
    await guarded.captures(guarded.sandbox.truth()[0].task_id)
    assert any(words in each for each in guarded.errors("upstream")), guarded.front.findings.of()
    assert guarded.errors("client") == []


async def test_the_probe_convicts_a_sandbox_without_search() -> None:
    """What Cisco has and the simulator has not comes out at the first request."""
    async with (
        Sandbox(Options(tasks=3, searches=False, requests_per_minute=0)) as sandbox,
        strict_front(sandbox.api_url, sandbox.auth_url, probes=True) as front,
        http_client() as http,
    ):
        guarded = Guarded(sandbox, front, http)
        await guarded.ask("GET", f"/v1/tasks?{WEEK}")
        await guarded.ask("GET", f"/v1/tasks?{WEEK}")
        found = json.dumps(front.findings.rows())
    assert "probe POST /search: 404, Cisco 200 (Search)" in found
    assert "probe GET /search/v2/meta: 404, Cisco 200" in found
