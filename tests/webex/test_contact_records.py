"""What is asked of Search about single calls, and what is made of the records it has of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.webex_contract.spec import query_errors
from wxrec_async.config import WebexSettings
from wxrec_async.errors import InvalidResponse
from wxrec_async.model import Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.said import read
from wxrec_async.webex.contact_records import ContactRecords, read_records, records_body
from wxrec_async.webex.search_parse import SearchRefused

from .kit import Told, api_retrier

pytestmark = pytest.mark.anyio
WINDOW = Window(1_700_000_000_000, 1_700_086_400_000)
ROW = {
    "id": "A0EE1B04-5E6A-4F2B-9B6F-0C1D2E3F4A5B", "status": "ended", "csatScore": 4, "contactReason": None,
    "lastQueue": {"id": "q", "name": "Support", "duration": None}, "lastTeam": {"id": None, "name": None},
    "globalVariables": {"Customer_Tier": "gold"}, "customer": {"phoneNumber": "+15550100123"},
}  # fmt: skip
ID = ROW["id"].lower()  # type: ignore[attr-defined]


def answer(*rows: object) -> dict[str, Any]:
    return {"data": {"taskDetails": {"tasks": list(rows), "pageInfo": {"hasNextPage": False, "endCursor": None}}}}


@asynccontextmanager
async def source(reply: Callable[[httpx.Request], httpx.Response]) -> AsyncIterator[ContactRecords]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as http:
        settings = WebexSettings(base_url="https://api.test/v1")
        yield ContactRecords(http, settings, org_id="org", retrier=api_retrier(Told()))


def test_a_record_is_what_is_not_null_under_its_own_name() -> None:
    """Of the call that was asked for, in whatever case its id comes; what else comes is counted."""
    found = read_records(json.dumps(answer(ROW, ROW | {"id": "other"}, {"status": "ended"}, None)).encode(), [ID])
    assert found.astray == 3
    assert read(found.records[ID]) == {
        "status": "ended", "csatScore": 4, "lastQueue": {"id": "q", "name": "Support"},
        "globalVariables": {"Customer_Tier": "gold"}, "customer": {"phoneNumber": "+15550100123"},
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data":null}', b'{"data":{"taskDetails":{"tasks":null}}}', b"no"])
def test_what_is_no_list_of_records_is_no_answer(body: bytes) -> None:
    """A silence is not a record."""
    with pytest.raises(InvalidResponse):
        read_records(body, [ID])


def test_errors_beside_records_are_a_refusal() -> None:
    """A record that came beside an error may lack anything."""
    with pytest.raises(SearchRefused):
        read_records(json.dumps(answer(ROW) | {"errors": [{"message": "no"}]}).encode(), [ID])


def test_ids_are_asked_for_by_time_and_quoted() -> None:
    """Search is always asked by a span of time; an id is text and nothing else."""
    query = json.loads(records_body(WINDOW, ["a", 'b"}'], {"csatScore"}))["query"]
    assert f"from:{WINDOW.from_ms - 1},to:{WINDOW.to_ms + 1}" in query
    assert 'filter:{or:[{id:{equals:"a"}},{id:{equals:"b\\"}"}}]}' in query
    assert ("csatScore" in query, "lastTeam{id name}" in query) == (False, True)
    assert query_errors(json.loads(records_body(WINDOW, ["a"]))["query"]) == []


@pytest.mark.parametrize("status", [200, 400])
async def test_fields_that_an_organisation_does_not_have_are_left_out_from_then_on(status: int) -> None:
    """One by one, as GraphQL names them, and not asked for again."""
    asked: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content)["query"])
        for name in ("topicName", "feedback"):
            if name in asked[-1]:
                message = f"Validation error: Field '{name}' in type 'TaskDetails' is undefined"
                return httpx.Response(status, json={"errors": [{"message": message}]})
        return httpx.Response(200, json=answer(ROW))

    async with source(reply) as records:
        for _ in range(2):
            assert ID in (await records.records(WINDOW, [ID])).records
    assert len(asked) == 4
    assert not any("topicName" in query or "feedback" in query for query in asked[-2:])


@pytest.mark.parametrize("status", [403, 404])
async def test_an_organisation_without_search_is_told_and_ends_no_run(status: int) -> None:
    """The other calls have the permission they need."""
    async with source(lambda _: httpx.Response(status, json={"message": "no"})) as records:
        with pytest.raises(OperationFailed):
            await records.records(WINDOW, [ID])
