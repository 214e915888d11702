"""What an answer may cost: it stays inside the memory, never holds the loop for long, and is not asked for again."""

from __future__ import annotations

import asyncio
import json
import time

import anyio
import anyio.lowlevel
import httpx
import pytest

from wxrec_async.config import WebexSettings
from wxrec_async.model import Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.calls import CAPTURES_CAP, LIST_CAP, MAX_CONTAINERS, MAX_VALUES
from wxrec_async.webex.client import WebexClient

from .kit import api_retrier

pytestmark = pytest.mark.anyio

WINDOW = Window(1_700_000_000_000, 1_700_086_400_000)


def client(body: bytes, calls: list[httpx.Request]) -> WebexClient:
    def reply(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(200, content=body)

    http = httpx.AsyncClient(transport=httpx.MockTransport(reply))
    return WebexClient(http, WebexSettings(base_url="https://api.test/v1"), org_id="", retrier=api_retrier())


ROW = json.dumps({"id": "t", "attributes": {"createdTime": 1, "queue": {"id": "q", "name": "n" * 200}}}).encode()
SWARMS = {
    "rows": b'{"data":[' + b"{}," * ((LIST_CAP - 50) // 3) + b"{}]}",
    "lists": b'{"data":[' + b"[]," * (MAX_CONTAINERS + 1) + b"[]]}",
    "numbers": b'{"data":[' + b"1," * (MAX_VALUES + 1) + b"1]}",
    "utf-16": ('{"data":[' + "{}," * (MAX_CONTAINERS + 1) + "{}]}").encode("utf-16"),
    "too long": b'{"data":["' + b"x" * LIST_CAP + b'"]}',
}


@pytest.mark.parametrize("body", SWARMS.values(), ids=SWARMS.keys())
async def test_a_swarm_of_values_is_given_up_at_once(body: bytes) -> None:
    """One call, and no try at making objects of it."""
    calls: list[httpx.Request] = []
    with pytest.raises(OperationFailed) as caught:
        await client(body, calls).tasks_page(WINDOW, from_ms=WINDOW.from_ms)
    assert caught.value.decision == GiveUp("answer_too_large")
    assert len(calls) == 1


async def test_captures_have_a_smaller_cap() -> None:
    """Ten tasks never fill it; the ids fail by name, and halving is not asked of a server that sends this much."""
    calls: list[httpx.Request] = []
    body = b'{"data":["' + b"x" * CAPTURES_CAP + b'"]}'
    answer = await client(body, calls).captures(["a"])
    assert answer.failed == {"a": "answer_too_large"}


async def test_the_largest_sound_answer_does_not_hold_the_loop() -> None:
    """Others go on while a body just under every cap is read."""
    rows = b",".join([ROW] * 12_000)
    body = b'{"meta":{},"data":[' + rows + b'],"pad":"' + b"x" * (LIST_CAP - len(rows) - 64) + b'"}'
    longest, done = 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not done.is_set():
            begun = time.thread_time()
            await anyio.lowlevel.checkpoint()
            longest = max(longest, time.thread_time() - begun)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        page = await client(body, []).tasks_page(WINDOW, from_ms=WINDOW.from_ms)
        done.set()
    assert page.rows == 12_000
    assert longest < 0.2  # of CPU time of the loop's own thread
