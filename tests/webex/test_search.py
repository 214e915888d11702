"""What is asked of Search, and what is made of its answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webex_contract.spec import query_errors
from wxrec_async.config import WebexSettings
from wxrec_async.errors import AuthError, InvalidResponse
from wxrec_async.model import SearchCounts, SearchRow, Task, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.search import TaskSearch
from wxrec_async.webex.search_parse import (
    LISTING,
    SearchRefused,
    count_body,
    read_counts,
    read_search,
    search_body,
)

from .kit import Told, api_retrier

pytestmark = pytest.mark.anyio

MS = 1_700_000_000_000
WINDOW = Window(MS, MS + 86_400_000)
ROW = {
    "id": "t",
    "status": "ended",
    "isActive": False,
    "createdTime": MS,
    "endedTime": MS + 5000,
    "totalDuration": 5000,
    "channelType": "telephony",
    "captureRequested": True,
    "recordingCount": 2,
    "recordingFileSize": 1234,
    "recordingErrorCount": 0,
    "isRecordingDeleted": False,
    "lastQueue": {"name": "Support"},
    "lastAgent": {"name": "Agent 7"},
}


def answer(*rows: object, more: object = False, cursor: object = None) -> dict[str, Any]:
    return {"data": {"taskDetails": {"tasks": list(rows), "pageInfo": {"hasNextPage": more, "endCursor": cursor}}}}


@asynccontextmanager
async def search(reply: Callable[[httpx.Request], httpx.Response]) -> AsyncIterator[tuple[TaskSearch, Told]]:
    told = Told()
    async with httpx.AsyncClient(transport=httpx.MockTransport(reply)) as http:
        settings = WebexSettings(base_url="https://api.test/v1")
        yield TaskSearch(http, settings, org_id="org 1", retrier=api_retrier(told), fields=LISTING), told


async def test_a_page_is_asked_for_by_window_and_cursor() -> None:
    """One POST with the organisation, milliseconds and the cursor of the page before; the first one is "0"."""
    asked: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=answer(ROW, more=len(asked) == 1, cursor='c"1\\'))

    async with search(reply) as (source, _):
        first = await source.search_page(WINDOW)
        last = await source.search_page(WINDOW, first.cursor)
    assert (first.cursor, last.cursor, first.rows) == ('c"1\\', "", 1)
    queries = [json.loads(request.content)["query"] for request in asked]
    assert [str(request.url) for request in asked] == ["https://api.test/search?orgId=org+1"] * 2
    assert f"taskDetails(from:{WINDOW.from_ms - 1},to:{WINDOW.to_ms + 1},pagination:" in queries[0]
    assert '{cursor:"0"}' in queries[0]
    assert '{cursor:"c\\"1\\\\"}' in queries[1]


def test_nothing_of_the_caller_is_asked_for() -> None:
    """What is not asked for cannot leak."""
    query = search_body(WINDOW, "").decode().lower()
    assert not [word for word in ("origin", "destination", "phone", "customer", "email", "ani") if word in query]


def asked_for(window: Window, body: bytes) -> str:
    """Return the query of a body, which must be one that Cisco's schema allows."""
    query: str = json.loads(body)["query"]
    assert query_errors(query) == []
    assert f"from:{window.from_ms - 1}," in query
    return query


def test_a_list_asks_for_what_the_other_list_tells() -> None:
    """In order of creation, so that a change of order between pages shows."""
    query = asked_for(WINDOW, search_body(WINDOW, "", fields=LISTING))
    for field in ("createdTime(sort:asc)", "direction", "origin", "destination", "lastQueue{id name}"):
        assert field in query


async def test_ids_are_looked_up_in_one_call() -> None:
    """A filter of ids, each quoted as GraphQL quotes text; what is found has every field a list tells of."""
    asked: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        row = ROW | {"origin": "+15550100", "direction": "inbound", "lastQueue": {"id": "q", "name": "Support"}}
        return httpx.Response(200, json=answer(row))

    async with search(reply) as (source, _):
        page = await source.search_ids(WINDOW, ["t", 'odd"}]}id'])
    (request,) = asked
    query = asked_for(WINDOW, request.content)
    assert 'filter:{or:[{id:{equals:"t"}},{id:{equals:"odd\\"}]}id"}}]}' in query
    (found,) = page.witnesses
    assert (found.task.origin, found.task.direction, found.task.queue_id) == ("+15550100", "inbound", "q")


async def test_counts_come_in_one_call() -> None:
    """Tasks and bytes by whether they were recorded; sums are floats, and of nothing they are null."""
    asked: list[httpx.Request] = []

    def sums(requested: bool | None, tasks: float, size: float | None) -> dict[str, object]:
        told = [{"name": "tasks", "value": tasks}, {"name": "bytes", "value": size}]
        return {"captureRequested": requested, "aggregation": told}

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        rows = [sums(True, 3.0, 96000.0), sums(None, 2.0, None), sums(False, 1.0, 0.0)]
        return httpx.Response(200, json={"data": {"taskDetails": {"tasks": rows}}})

    async with search(reply) as (source, _):
        counts = await source.count(WINDOW)
    assert (counts, counts.tasks) == (SearchCounts(3, 2, 1, 96000), 6)
    assert "filter:{or:[{channelType:{equals:telephony}}]}" in asked_for(WINDOW, asked[0].content)


@pytest.mark.parametrize(
    "body",
    [
        {"errors": [{"message": "no sums here"}]},
        {"data": {"taskDetails": {}}},
        {"data": {"taskDetails": {"tasks": [{"aggregation": [{"name": "tasks", "value": "many"}]}]}}},
        {"data": {"taskDetails": {"tasks": [{"id": "t"}]}}},
    ],
)
def test_what_is_no_count_is_refused(body: dict[str, object]) -> None:
    """A number nobody told is not taken for none."""
    with pytest.raises(InvalidResponse):
        read_counts(json.dumps(body).encode())


def test_a_channel_that_is_no_word_gets_into_no_query() -> None:
    """It could be anything else in that language."""
    query = json.loads(count_body(WINDOW, ["Telephony", "chat}}]){id"]))["query"]
    assert "filter:{or:[{channelType:{equals:telephony}}]}" in query


async def test_a_server_that_does_not_sort_is_asked_without() -> None:
    """An argument that it does not know is left out from then on, as a field is."""
    asked: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content)["query"])
        wrong = {"errors": [{"message": "Unknown argument 'sort' on field 'id'"}]}
        return httpx.Response(200, json=wrong if "sort" in asked[-1] else answer(ROW))

    async with search(reply) as (source, _):
        assert (await source.search_page(WINDOW)).rows == 1
        assert (await source.search_page(WINDOW)).rows == 1
    assert ["sort" in each for each in asked] == [True, False, False]


def test_a_row_becomes_a_witness() -> None:
    """Every field that matters, as values of ours."""
    (witness,) = read_search(json.dumps(answer(ROW)).encode()).witnesses
    task = Task(
        "t",
        "telephony",
        "ended",
        created_ms=MS,
        ended_ms=MS + 5000,
        queue_name="Support",
        agent_name="Agent 7",
        duration_ms=5000,
        capture_requested=True,
        active=False,
    )
    assert witness == SearchRow(task, 2, 1234, 0, deleted=False, active=False)


@given(st.dictionaries(st.sampled_from(sorted({*ROW} - {"id"})), st.none() | st.text(max_size=3) | st.lists(st.none())))
def test_everything_but_the_id_can_be_missing_or_odd(odd: dict[str, object]) -> None:
    """An odd value is none; the task is there all the same."""
    page = read_search(json.dumps(answer(ROW | odd, {"id": None}, "x")).encode())
    assert [witness.task.id for witness in page.witnesses] == ["t"]
    assert (page.rows, page.unreadable) == (3, 2)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": None},
        {"data": {"taskDetails": None}},
        {"data": {"taskDetails": {"tasks": []}}},
        {"data": {"taskDetails": {"tasks": {}, "pageInfo": {"hasNextPage": False}}}},
        answer(ROW, more=True),
        answer(ROW, more=True, cursor=""),
        [],
    ],
)
def test_an_answer_that_does_not_say_whether_it_is_whole_is_none(body: object) -> None:
    """An end nobody announced must not pass for the end."""
    with pytest.raises(InvalidResponse):
        read_search(json.dumps(body).encode())


@pytest.mark.parametrize("errors", [[{"message": "no"}], [{}], ["no"], "no", {"message": "no"}])
def test_errors_are_heard_beside_data(errors: object) -> None:
    """Without rows they refuse; with rows the page says that it is not whole."""
    with pytest.raises(SearchRefused, match="Search answered with an error"):
        read_search(json.dumps({"data": None, "errors": errors}).encode())
    page = read_search(json.dumps(answer(ROW) | {"errors": errors}).encode())
    assert (page.rows, page.trouble.startswith("Search answered with an error")) == (1, True)


async def test_errors_beside_rows_that_do_not_pass_leave_a_trouble() -> None:
    """Three tries, then what is there is taken and said not to be whole."""
    reply = httpx.Response(200, json=answer(ROW) | {"errors": [{"message": "shard 3 timed out"}]})
    async with search(lambda _: reply) as (source, told):
        page = await source.search_page(WINDOW)
    assert (page.rows, "shard 3" in page.trouble, len(told.retries)) == (1, True, 2)


UNDEFINED = "Validation error (FieldUndefined@[taskDetails/tasks/{0}]) : Field '{0}' in type 'TaskDetails' is undefined"


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("words", [UNDEFINED, 'Cannot query field "{0}" on type "TaskDetails".', "Unknown field {0}"])
async def test_a_field_that_is_not_known_is_left_out_alone(status: int, words: str) -> None:
    """One by one, and remembered; the rest is asked for as before."""
    unknown, queries = ["recordingFileSize", "lastQueue"], list[str]()

    def reply(request: httpx.Request) -> httpx.Response:
        queries.append(json.loads(request.content)["query"])
        for name in unknown:
            if name in queries[-1]:
                return httpx.Response(status, json={"errors": [{"message": words.format(name)}]})
        return httpx.Response(200, json=answer({"id": "t", "recordingCount": 2}))

    async with search(reply) as (source, told):
        page = await source.search_page(WINDOW)
        assert (page.witnesses[0].recordings, page.witnesses[0].bytes, told.retries) == (2, None, [])
        assert len(queries) == 3
        await source.search_page(WINDOW)
    assert len(queries) == 4
    assert not [name for name in unknown if name in queries[-1]]
    assert "recordingCount" in queries[-1]


async def test_a_required_field_that_is_not_known_refuses() -> None:
    """Without an id there is no list."""
    reply = httpx.Response(400, json={"errors": [{"message": UNDEFINED.format("id")}]})
    async with search(lambda _: reply) as (source, _):
        with pytest.raises(OperationFailed) as caught:
            await source.search_page(WINDOW)
    assert caught.value.decision == GiveUp("search_refused")


@pytest.mark.parametrize(
    ("status", "reason", "asked"),
    [
        (400, "search_refused", 1),
        (403, "search_refused", 2),
        (404, "search_absent", 1),
        (405, "search_absent", 1),
        (501, "search_absent", 1),
    ],
)
async def test_a_tenant_that_lacks_it_says_so_at_once(status: int, reason: str, asked: int) -> None:
    """One call, and a reason; a 403 here ends no run."""
    calls: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(status, json={"error": {"message": [{"description": "not here"}]}})

    async with search(reply) as (source, _):
        with pytest.raises(OperationFailed, match="not here") as caught:
            await source.search_page(WINDOW)
    assert caught.value.decision == GiveUp(reason)
    assert len(calls) == asked


async def test_errors_in_a_200_are_tried_three_times() -> None:
    """They may pass, and they may mean that there is no Search."""
    calls: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        passes = len(calls) == 3
        return httpx.Response(200, json=answer(ROW) if passes else {"errors": [{"message": "timeout"}]})

    async with search(reply) as (source, told):
        assert (await source.search_page(WINDOW)).rows == 1
        assert len(told.retries) == 2


async def test_a_refused_token_ends_everything() -> None:
    """A 401 that comes out of the refreshing client is final here, too."""
    async with search(lambda _: httpx.Response(401)) as (source, _):
        with pytest.raises(AuthError):
            await source.search_page(WINDOW)
