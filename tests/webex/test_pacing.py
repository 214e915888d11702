"""Nobody speaks while the server wants to be left alone."""

from __future__ import annotations

import time

import anyio
import httpx
import pytest

from tests.webex.kit import Connection, Request, api_retrier, head, serving, transport, whole
from wxrec_async.config import WebexSettings
from wxrec_async.plumbing.pacer import Pacer
from wxrec_async.webex.client import WebexClient
from wxrec_async.webex.pacing import UNNAMED_WAIT_S, PacedTransport

pytestmark = pytest.mark.anyio


class Counting:
    """A server that notes when it was asked, and answers what it is told to."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers, self.asked_at = list(answers), list[float]()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked_at.append(time.monotonic())
        return self.answers.pop(0) if self.answers else httpx.Response(200)


def paced(server: Counting, per_minute: float = 600_000, burst: int = 50) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=PacedTransport(httpx.MockTransport(server), Pacer(per_minute, burst=burst)))


@pytest.mark.fault("W01")
@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (httpx.Response(429, headers={"Retry-After": "0.3"}), 0.3),
        (httpx.Response(503, headers={"Retry-After": "0.3"}), 0.3),
        (httpx.Response(429), 1.0),
    ],
)
async def test_no_worker_asks_inside_the_window(answer: httpx.Response, wait: float) -> None:
    """Sixteen workers hold still from the moment one answer's head says so."""
    server = Counting(answer)
    async with paced(server) as client:
        await client.get("https://api.test/")
        async with anyio.create_task_group() as group:
            for _ in range(16):
                group.start_soon(client.get, "https://api.test/")
    assert len(server.asked_at) == 17
    assert min(server.asked_at[1:]) >= server.asked_at[0] + wait


@pytest.mark.fault("W04")
async def test_only_one_asks_after_the_window_until_it_is_answered() -> None:
    """The door opens by half: one probe, and the others only when it came through."""
    again = httpx.Response(429, headers={"Retry-After": "0.2"})
    server = Counting(httpx.Response(429, headers={"Retry-After": "0.2"}), again)
    async with paced(server) as client:
        await client.get("https://api.test/")
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(client.get, "https://api.test/")
    gaps = [later - earlier for earlier, later in zip(server.asked_at, server.asked_at[1:], strict=False)]
    assert sum(gap >= 0.18 for gap in gaps[:2]) == 2


async def test_plain_503_does_not_stop_the_others() -> None:
    """Without a named wait a 503 is one request's trouble."""
    server = Counting(httpx.Response(503))
    async with paced(server) as client:
        started = time.monotonic()
        for _ in range(3):
            await client.get("https://api.test/")
    assert time.monotonic() - started < 2 * UNNAMED_WAIT_S


@pytest.mark.fault("W03")
async def test_wait_beyond_the_limit_is_not_slept_whole() -> None:
    """An absurd Retry-After shuts the gate for the longest wait there is, and not for a day."""
    pacer = Pacer(600_000)
    server = Counting(httpx.Response(429, headers={"Retry-After": "86400"}))
    async with httpx.AsyncClient(transport=PacedTransport(httpx.MockTransport(server), pacer)) as client:
        await client.get("https://api.test/")
        assert 290 < pacer.gate.closed_for_s <= 300


async def test_replays_of_an_auth_flow_take_turns_too() -> None:
    """A replayed request is a request: it takes its own turn of the budget."""

    class Twice(httpx.Auth):
        def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]  # noqa: ANN202 - httpx's generator
            yield request
            yield request

    pacer = Pacer(600_000, burst=10)
    async with httpx.AsyncClient(
        transport=PacedTransport(httpx.MockTransport(Counting()), pacer), auth=Twice()
    ) as client:
        await client.get("https://api.test/")
    assert pacer.passed == 2


@pytest.mark.fault("W02")
@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10),
        ("Sun Nov  6 08:49:47 1994", 10),
        ("Sun, 06 Nov 1994 08:49:27 GMT", 1),  # in the past: no wait is named, so the shortest one
    ],
)
async def test_date_to_come_back_at_is_measured_by_the_servers_own_clock(value: str, wait: float) -> None:
    """A server whose clock is decades off means ten seconds when it says so; the gate is shut for just that long."""
    pacer = Pacer(600_000)
    headers = {"Retry-After": value, "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
    transport_ = PacedTransport(httpx.MockTransport(Counting(httpx.Response(429, headers=headers))), pacer)
    async with httpx.AsyncClient(transport=transport_) as client:
        await client.get("https://api.test/")
        assert wait - 0.5 < pacer.gate.closed_for_s <= wait


@pytest.mark.fault("W01", "C11")
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_sixteen_workers_send_nothing_inside_the_window(status: str) -> None:
    """Over sockets, through client, pacer and retrier: while the server wants quiet it hears nobody, then everybody."""
    arrived: list[float] = []
    refused_at: list[float] = []

    async def answer(connection: Connection, request: Request) -> None:
        arrived.append(time.monotonic())
        if not refused_at:
            await connection.send(head(status, "Retry-After: 1", length=0))
            refused_at.append(time.monotonic())
            return
        await whole(b'{"meta":{},"data":[]}')(connection, request)

    async with serving(answer) as server, transport() as made:
        pacer = Pacer(600_000, burst=1)
        async with httpx.AsyncClient(transport=PacedTransport(made, pacer)) as http:
            settings = WebexSettings(base_url=server.url("/v1"))
            client = WebexClient(http, settings, org_id="o", retrier=api_retrier())
            async with anyio.create_task_group() as group:
                group.start_soon(client.captures, ["first"])
                while not pacer.gate.closed_for_s:  # its answer's head is there then
                    await anyio.sleep(0.002)
                for number in range(16):
                    group.start_soon(client.captures, [f"t{number}"])
    assert len(arrived) >= 18  # more where a machine is so slow that the retrier asks once more
    assert min(arrived[1:]) >= refused_at[0] + 1 - 0.02
