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

from wxrec_async.config import WebexSettings
from wxrec_async.errors import AuthError, Nonsense
from wxrec_async.model import Task, Window, Witness
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.search import TaskSearch
from wxrec_async.webex.search_wire import SearchRefused, read_search, search_body

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
        yield TaskSearch(http, settings, org_id="org 1", retrier=api_retrier(told)), told


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
    assert f"taskDetails(from:{WINDOW.from_ms},to:{WINDOW.to_ms},pagination:" in queries[0]
    assert '{cursor:"0"}' in queries[0]
    assert '{cursor:"c\\"1\\\\"}' in queries[1]


def test_nothing_of_the_caller_is_asked_for() -> None:
    """What is not asked for cannot leak."""
    query = search_body(WINDOW, "").decode().lower()
    assert not [word for word in ("origin", "destination", "phone", "customer", "email", "ani") if word in query]


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
    )
    assert witness == Witness(task, 2, 1234, 0, deleted=False, active=False)


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
    with pytest.raises(Nonsense):
        read_search(json.dumps(body).encode())


@pytest.mark.parametrize("errors", [[{"message": "no"}], [{}], ["no"], "no", {"message": "no"}])
def test_errors_are_heard_beside_data(errors: object) -> None:
    """A page with errors is no page, however much data came with it."""
    with pytest.raises(SearchRefused, match="Search answered with an error"):
        read_search(json.dumps(answer(ROW) | {"errors": errors}).encode())


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
async def test_a_tenant_that_lacks_it_says_so_at_once(status: int) -> None:
    """One call, and a reason; a 403 here ends no run."""
    calls: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(status, json={"error": {"message": [{"description": "not here"}]}})

    async with search(reply) as (source, _):
        with pytest.raises(GivenUp, match="not here") as caught:
            await source.search_page(WINDOW)
    assert caught.value.decision == GiveUp("search_refused")
    assert len(calls) == 1


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
