"""What the API client asks, what it makes of the answers, and what it costs when ids are poisonous."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import respx

from wxrec_async.config import WebexSettings
from wxrec_async.errors import AuthError, HTTPStatusError, RunStopped
from wxrec_async.events import Event, Warned
from wxrec_async.model import Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.calls import READ_PIECE, _inflated
from wxrec_async.webex.client import WebexClient
from wxrec_async.webex.transport import Timeouts

from .kit import Connection, Request, Told, api_retrier, chain_text, cut, head, recording, serving, transport, whole

pytestmark = pytest.mark.anyio

MS = 1_700_000_000_000
WINDOW = Window(MS, MS + 86_400_000)
IDS = [f"id-{n}" for n in range(10)]
BASE = "https://api.test/v1"


class World:
    """A client in front of a respx router, and what it emitted and retried."""

    def __init__(
        self, made: httpx.AsyncBaseTransport, base_url: str = BASE, org_id: str = "org-1", **settings: Any
    ) -> None:
        self.events: list[Event] = []
        self.told = Told()
        self.http = httpx.AsyncClient(transport=made)
        limits = {name: settings.pop(name) for name in ("deadline_s", "body_cap") if name in settings}
        self.client = WebexClient(
            self.http,
            WebexSettings(base_url=base_url, **settings),
            org_id=org_id,
            retrier=api_retrier(self.told),
            emit=self.events.append,
            **limits,
        )

    def codes(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, Warned)]


@asynccontextmanager
async def world(router: respx.MockRouter, **settings: Any) -> AsyncIterator[World]:
    made = World(httpx.MockTransport(router.async_handler), **settings)
    async with made.http:
        yield made


def page(*rows: object, **more: object) -> httpx.Response:
    return httpx.Response(200, json={"meta": {}, "data": list(rows), **more}, headers={"trackingid": "TRACK-1"})


def answered(poison: Callable[[list[str]], httpx.Response | None]) -> Callable[[httpx.Request], httpx.Response]:
    """Answer captures for every id, unless ``poison`` has another answer for the batch."""

    def answer(request: httpx.Request) -> httpx.Response:
        ids = json.loads(request.content)["query"]["taskIds"]
        return poison(ids) or page(*({"taskId": i, "recording": [_rec(i)]} for i in ids))

    return answer


def _rec(task_id: str) -> dict[str, object]:
    return {"id": task_id, "attributes": {"filePath": f"https://b.s3.amazonaws.com/{task_id}?X-Amz-Signature=CANARY"}}


async def test_tasks_are_asked_for_with_every_parameter() -> None:
    """A millisecond more on either side, for "after" and "before" may be meant strictly; and all that is documented."""
    router = respx.MockRouter()
    route = router.get(f"{BASE}/tasks").mock(return_value=page({"id": "t1"}))
    async with world(router, channel_types=("telephony", "chat"), page_size=500) as w:
        got = await w.client.tasks_page(WINDOW, from_ms=MS + 5)
    sent = route.calls.last.request
    assert dict(sent.url.params) == {
        "from": str(MS + 4), "to": str(WINDOW.to_ms + 1), "channelTypes": "telephony,chat",
        "pageSize": "500", "orgId": "org-1",
    }  # fmt: skip
    assert (sent.headers["Accept-Encoding"], str(uuid.UUID(sent.headers["TrackingId"]))) == (
        "gzip", sent.headers["TrackingId"],
    )  # fmt: skip
    assert ([task.id for task in got.tasks], got.rows, got.tracking_id) == (["t1"], 1, "TRACK-1")


@pytest.mark.fault("X13", "X14")
async def test_next_link_is_followed_on_the_same_host_only() -> None:
    """A link at our host is handed on and asked as it is; any other would carry the token away."""
    router = respx.MockRouter()
    link = f"{BASE}/tasks?cursor=a%2Fb"
    router.get(f"{BASE}/tasks").mock(
        side_effect=[
            page(links={"next": link}),
            page(links={"next": "https://evil.test/v1/tasks"}),
            page(links={"next": "http://api.test/v1/tasks"}),
            page(links={"next": "https://api.test:8443/v1/tasks"}),
            page(links={"next": "https://api.test@evil.test/"}),
            page(links={"next": "/relative"}),
        ]
    )
    async with world(router) as w:
        first = await w.client.tasks_page(WINDOW, from_ms=MS)
        assert first.next_link == link
        for _ in range(5):
            assert (await w.client.tasks_page(WINDOW, from_ms=MS, next_link=link)).next_link is None
        assert router.calls.last.request.url.raw_path == b"/v1/tasks?cursor=a%2Fb"
        assert w.codes() == ["next_link_ignored"] * 5


@pytest.mark.fault("W26")
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_refused_window_is_given_up_at_once(status: int) -> None:
    """The lister can tell a refusal by its status, and nothing was tried twice."""
    router = respx.MockRouter()
    body = {"trackingId": "T", "error": {"key": 1, "message": [{"description": "too wide"}]}}
    router.get(f"{BASE}/tasks").mock(return_value=httpx.Response(status, json=body))
    async with world(router) as w:
        with pytest.raises(OperationFailed) as caught:
            await w.client.tasks_page(WINDOW, from_ms=MS)
    assert caught.value.decision == GiveUp(f"http_{status}")
    assert isinstance(caught.value.trouble, HTTPStatusError)
    assert (caught.value.trouble.words, caught.value.trouble.tracking_id) == ("too wide", "T")
    assert len(router.calls) == 1


@pytest.mark.fault("W08", "W11")
async def test_server_errors_and_nonsense_are_tried_again() -> None:
    """5xx, HTML and cut JSON with status 200, and a dead connection are waited out."""
    router = respx.MockRouter()
    router.get(f"{BASE}/tasks").mock(
        side_effect=[
            httpx.Response(500),
            httpx.Response(502, text="<html>"),
            httpx.Response(200, text="<html>"),
            httpx.Response(200, text='{"data":[{"id'),
            httpx.ConnectError("no"),
            page({"id": "t1"}),
        ]
    )
    async with world(router) as w:
        assert (await w.client.tasks_page(WINDOW, from_ms=MS)).rows == 1
        assert len(w.told.retries) == 5


@pytest.mark.fault("W08", "W10")
@pytest.mark.parametrize("failure", [httpx.Response(503), httpx.ReadError("x"), httpx.ReadTimeout("x")])
async def test_page_that_never_comes_is_given_up(failure: httpx.Response | Exception) -> None:
    """After eight tries the window can be marked incomplete."""
    router = respx.MockRouter()
    route = router.get(f"{BASE}/tasks")
    route.mock(side_effect=failure if isinstance(failure, Exception) else [failure] * 8)
    async with world(router) as w:
        with pytest.raises(OperationFailed) as caught:
            await w.client.tasks_page(WINDOW, from_ms=MS)
    assert caught.value.decision == GiveUp("retries_exhausted")
    assert len(router.calls) == 8


@pytest.mark.fault("W06")
@pytest.mark.parametrize("status", [401, 403])
async def test_refused_token_ends_the_run(status: int) -> None:
    """What the auth flow could not mend stops everybody, with the tracking id support asks for."""
    router = respx.MockRouter()
    router.get(f"{BASE}/tasks").mock(return_value=httpx.Response(status, headers={"trackingid": "TRACK-9"}))
    async with world(router) as w:
        with pytest.raises(AuthError) as caught:
            await w.client.tasks_page(WINDOW, from_ms=MS)
    assert caught.value.tracking_id == "TRACK-9"
    assert len(router.calls) == (2 if status == 403 else 1)


async def test_one_403_among_answers_is_asked_once_more() -> None:
    """A gateway's slip ends no run."""
    router = respx.MockRouter()
    router.get(f"{BASE}/tasks").mock(side_effect=[page(), httpx.Response(403), page({"id": "t"})])
    async with world(router) as w:
        await w.client.tasks_page(WINDOW, from_ms=MS)
        assert (await w.client.tasks_page(WINDOW, from_ms=MS)).rows == 1


@pytest.mark.fault("W33")
async def test_redirect_is_refused_with_its_host_only() -> None:
    """A 3xx is not followed; its target's host is named, its query is not."""
    router = respx.MockRouter()
    away = httpx.Response(302, headers={"Location": "https://login.evil.test/?code=CANARY"})
    router.get(f"{BASE}/tasks").mock(return_value=away)
    async with world(router) as w:
        with pytest.raises(OperationFailed) as caught:
            await w.client.tasks_page(WINDOW, from_ms=MS)
    assert caught.value.decision == GiveUp("http_302")
    assert "login.evil.test" in str(caught.value)
    assert "CANARY" not in chain_text(caught.value)
    assert len(router.calls) == 1


OURS = "0a1b2c3d-1111-2222-3333-444455556666"
THEIRS = "9a1b2c3d-1111-2222-3333-444455556666"


@pytest.mark.fault("W31")
@pytest.mark.parametrize("call", ["tasks", "captures"])
@pytest.mark.parametrize(
    ("said", "stops"),
    [(THEIRS, True), (OURS, False), (OURS.upper(), False), (None, False), ("an-id-of-another-kind", False)],
)
async def test_answers_for_another_organisation_are_not_taken_for_an_empty_one(
    call: str, said: str | None, stops: bool
) -> None:
    """A token may not tell its tenant, but the first answer does: all of them would be empty, so the run ends."""
    router = respx.MockRouter()
    empty = httpx.Response(200, json={"meta": {"orgId": said}, "data": []})
    router.get(f"{BASE}/tasks").mock(return_value=empty)
    router.post(f"{BASE}/captures/query").mock(return_value=empty)
    async with world(router, org_id=OURS) as w:
        asked = w.client.tasks_page(WINDOW, from_ms=MS) if call == "tasks" else w.client.captures(["a"])
        if not stops:
            await asked
            return
        with pytest.raises(AuthError, match=f"organisation {THEIRS}, not for {OURS}"):
            await asked
    assert len(router.calls) == 1


@pytest.mark.fault("W34")
async def test_clock_that_is_off_is_told_once_or_refused() -> None:
    """A minute is worth a warning, a quarter of an hour ends the run; a cached answer proves nothing."""
    router = respx.MockRouter()

    def dated(offset_s: float, **headers: str) -> httpx.Response:
        return httpx.Response(200, json={"data": []}, headers={"Date": formatdate(time.time() + offset_s), **headers})

    answers = [dated(5), dated(-120), dated(120), dated(5000, Age="5000"), dated(-1000), dated(-1000)]
    router.get(f"{BASE}/tasks").mock(side_effect=answers)
    async with world(router) as w:
        await w.client.tasks_page(WINDOW, from_ms=MS)
        assert w.codes() == []
        for _ in range(3):
            await w.client.tasks_page(WINDOW, from_ms=MS)
        assert w.codes() == ["clock_skew"]
        with pytest.raises(RunStopped, match="clock is"):
            await w.client.tasks_page(WINDOW, from_ms=MS)


@pytest.mark.fault("W34")
async def test_one_wrong_date_is_nobodys_clock() -> None:
    """The clock is judged by two answers: one of a server that is an hour off among others costs one call."""
    router = respx.MockRouter()
    dates = [time.time() - 3600, time.time(), time.time()]
    answers = [httpx.Response(200, json={"data": []}, headers={"Date": formatdate(each)}) for each in dates]
    route = router.get(f"{BASE}/tasks").mock(side_effect=answers)
    async with world(router) as w:
        for _ in range(2):
            await w.client.tasks_page(WINDOW, from_ms=MS)
        assert (w.codes(), len(route.calls)) == ([], 3)


async def test_captures_are_asked_for_with_every_field() -> None:
    """One call for ten ids, with the organisation and the longest lease."""
    router = respx.MockRouter()
    route = router.post(f"{BASE}/captures/query").mock(side_effect=answered(lambda _: None))
    async with world(router, include_va=True) as w:
        before = anyio.current_time()
        answer = await w.client.captures(IDS)
    assert json.loads(route.calls.last.request.content) == {
        "query": {
            "taskIds": IDS, "urlExpiration": 60, "includeSegments": False, "includeVARecordings": True,
            "includeScreenRecordings": True, "orgId": "org-1",
        }
    }  # fmt: skip
    assert list(answer.captures) == IDS
    assert answer.failed == {}
    (got,) = answer.captures["id-3"].recordings
    assert before <= got.leased_at <= anyio.current_time()
    assert (got.lease_s, got.problem, got.url is not None) == (3600.0, None, True)
    assert len(router.calls) == 1


async def test_transcripts_are_asked_for_in_every_form() -> None:
    """Without it those of chats come in the older form alone."""
    router = respx.MockRouter()
    route = router.post(f"{BASE}/captures/query").mock(side_effect=answered(lambda _: None))
    async with world(router, include_transcripts=True) as w:
        await w.client.captures(IDS)
    assert json.loads(route.calls.last.request.content)["query"]["includeAllDigitalVersions"] is True


async def test_where_the_question_for_screens_is_refused_audio_is_asked_for_alone() -> None:
    """It serves to count them only; who asked to have them is refused."""

    def refusing(request: httpx.Request) -> httpx.Response:
        if "includeScreenRecordings" in json.loads(request.content)["query"]:
            return httpx.Response(400, json={"error": {"key": "400"}})
        return answered(lambda _: None)(request)

    router = respx.MockRouter()
    router.post(f"{BASE}/captures/query").mock(side_effect=refusing)
    async with world(router) as w:
        assert list((await w.client.captures(["id-1", "id-2"])).captures) == ["id-1", "id-2"]
        calls = len(router.calls)
        await w.client.captures(["id-3"])
        assert len(router.calls) == calls + 1
    async with world(router, include_screen=True) as w:
        assert set((await w.client.captures(["id-1"])).failed.values()) == {"http_400"}


@pytest.mark.fault("W25")
@pytest.mark.parametrize("ids", [[], [str(n) for n in range(11)], ["a", "a"]])
async def test_wrong_batches_are_never_sent(ids: list[str]) -> None:
    """None, eleven, or the same id twice is a mistake of the caller."""
    async with world(respx.MockRouter()) as w:
        with pytest.raises(ValueError, match="1 to 10"):
            await w.client.captures(ids)


@pytest.mark.fault("W09", "W25")
@pytest.mark.parametrize(
    ("status", "bad", "calls_at_most"),
    [
        (400, {"id-3"}, 9),
        (404, {"id-0", "id-9"}, 17),
        (500, {"id-3"}, 18),
        (500, {"id-2", "id-3"}, 22),
        (403, {"id-3"}, 9),
        (403, {"id-0", "id-1"}, 9),
        (403, {"id-0", "id-9"}, 17),
    ],
)
async def test_poisonous_ids_are_found_and_take_no_other_with_them(
    status: int, bad: set[str], calls_at_most: int
) -> None:
    """A batch that fails as a whole is halved: nine are answered, the one at fault fails alone, at a bounded cost."""
    router = respx.MockRouter()
    poison = answered(lambda ids: httpx.Response(status) if bad & set(ids) else None)
    router.post(f"{BASE}/captures/query").mock(side_effect=poison)
    async with world(router) as w:
        answer = await w.client.captures(IDS)
    assert answer.failed == dict.fromkeys(bad, f"http_{status}")
    assert sorted(answer.captures) == sorted(set(IDS) - bad)
    assert len(router.calls) <= calls_at_most


@pytest.mark.fault("W09", "W11")
async def test_id_that_spoils_the_answer_is_found_too() -> None:
    """Nonsense under status 200 is halved like an error."""
    router = respx.MockRouter()
    poison = answered(lambda ids: httpx.Response(200, text="{oops") if "id-5" in ids else None)
    router.post(f"{BASE}/captures/query").mock(side_effect=poison)
    async with world(router) as w:
        answer = await w.client.captures(IDS)
    assert answer.failed == {"id-5": "nonsense"}


@pytest.mark.fault("W06")
@pytest.mark.parametrize(("ids", "calls_at_most"), [(IDS, 12), (IDS[:3], 5), (IDS[:1], 2)])
async def test_a_permission_that_is_missing_ends_the_run(ids: list[str], calls_at_most: int) -> None:
    """When every id is refused and none was ever answered, it is not the ids: a few calls show it."""
    router = respx.MockRouter()
    refusal = httpx.Response(403, headers={"trackingid": "TRACK-9"})
    router.post(f"{BASE}/captures/query").mock(return_value=refusal)
    async with world(router) as w:
        with pytest.raises(AuthError) as caught:
            await w.client.captures(ids)
    assert caught.value.tracking_id == "TRACK-9"
    assert len(router.calls) <= calls_at_most


@pytest.mark.fault("W06")
@pytest.mark.parametrize("lost", [False, True])
async def test_many_refusals_in_a_row_are_held_against_an_id_that_was_answered(lost: bool) -> None:
    """A team of tasks that is not ours to see fails by name; a permission that is gone ends the run."""
    router = respx.MockRouter()
    now = {"lost": False}
    poison = answered(lambda ids: httpx.Response(403) if now["lost"] or any(n.startswith("no") for n in ids) else None)
    router.post(f"{BASE}/captures/query").mock(side_effect=poison)
    async with world(router) as w:
        await w.client.captures(IDS)
        now["lost"] = lost
        forbidden = [f"no-{number}" for number in range(10)]
        if lost:
            with pytest.raises(AuthError, match="permission"):
                await w.client.captures(forbidden)
        else:
            assert set((await w.client.captures(forbidden)).failed.values()) == {"http_403"}
            assert (await w.client.captures(["id-1"])).failed == {}


@pytest.mark.fault("W08")
async def test_server_that_is_down_is_not_bisected_to_the_end() -> None:
    """When everything fails, one batch costs at most twenty calls, and every id is named."""
    router = respx.MockRouter()
    router.post(f"{BASE}/captures/query").mock(side_effect=lambda _: httpx.Response(500))
    async with world(router) as w:
        answer = await w.client.captures(IDS)
    assert sorted(answer.failed) == IDS
    assert set(answer.failed.values()) <= {"http_500", "retries_exhausted"}
    assert len(router.calls) <= 20


@pytest.mark.fault("W09")
async def test_batch_is_halved_early_while_others_succeed() -> None:
    """When other batches are answered meanwhile, three failures show that this one is at fault."""
    router = respx.MockRouter()
    poisoned: list[list[str]] = []

    def poison(ids: list[str]) -> httpx.Response | None:
        if "id-3" not in ids:
            return None
        poisoned.append(ids)
        return httpx.Response(500)

    router.post(f"{BASE}/captures/query").mock(side_effect=answered(poison))
    async with world(router) as w:

        async def others() -> None:
            while len(poisoned) < 4:
                await w.client.captures(["other"])
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(others)
            answer = await w.client.captures(IDS)
    assert answer.failed == {"id-3": "http_500"}
    assert [len(ids) for ids in poisoned] == [10, 10, 10, 5, 3, 2, 1, 1, 1] or len(poisoned) <= 10


@pytest.mark.fault("W10")
async def test_unreachable_server_is_not_bisected() -> None:
    """Halving a batch does not mend a connection."""
    router = respx.MockRouter()
    router.post(f"{BASE}/captures/query").mock(side_effect=httpx.ConnectError("no"))
    async with world(router) as w:
        answer = await w.client.captures(IDS)
    assert answer.failed == dict.fromkeys(IDS, "retries_exhausted")
    assert len(router.calls) == 8


async def test_transient_error_costs_one_more_call() -> None:
    """One 503 is tried again as a whole."""
    router = respx.MockRouter()
    replies = iter([httpx.Response(503), None])
    router.post(f"{BASE}/captures/query").mock(side_effect=answered(lambda _: next(replies)))
    async with world(router) as w:
        assert len((await w.client.captures(IDS)).captures) == 10
    assert len(router.calls) == 2


async def test_renewal_returns_the_same_recording_with_a_fresh_url() -> None:
    """The fresh URL is that of the same recording id."""
    router = respx.MockRouter()
    router.post(f"{BASE}/captures/query").mock(
        side_effect=[
            page({"taskId": "task-1", "recording": [_rec("other"), _rec("task-1")]}),
            page({"taskId": "task-1", "recording": [_rec("other")]}),
            page({"taskId": "task-1", "recording": [{"id": "task-1"}]}),
            httpx.Response(400),
        ]
    )
    async with world(router) as w:
        old = recording("https://b.s3.amazonaws.com/old")
        fresh = await w.client.renew(old)
        assert fresh.url is not None
        assert "task-1" in fresh.url.reveal()
        for reason in ("missing", "no_url", "http_400"):
            with pytest.raises(OperationFailed) as caught:
                await w.client.renew(old)
            assert caught.value.decision == GiveUp(reason)


async def test_unusual_media_hosts_are_refused_and_told() -> None:
    """A URL outside media_hosts never becomes a download."""
    router = respx.MockRouter()
    bad = {"id": "r", "attributes": {"filePath": "https://evil.test/?s=CANARY"}}
    router.post(f"{BASE}/captures/query").mock(return_value=page({"taskId": "a", "recording": [bad]}))
    async with world(router) as w:
        (got,) = (await w.client.captures(["a"])).captures["a"].recordings
        assert (got.url, got.problem, w.codes()) == (None, "bad_url", ["bad_url"])


@asynccontextmanager
async def over_sockets(url: str, **limits: Any) -> AsyncIterator[World]:
    async with transport(timeouts=Timeouts(2.0, 0.6, 0.3)) as made:
        w = World(made, base_url=url, **limits)
        async with w.http:
            yield w


@pytest.mark.fault("W30")
async def test_answer_that_drips_meets_its_deadline() -> None:
    """A body that comes too slowly for the whole call is a timeout, however regular its bytes are."""

    async def drip(connection: Connection, request: Request) -> None:
        await connection.send(head("200 OK", length=1000))
        for _ in range(1000):
            await connection.send(b" ")
            await anyio.sleep(0.02)

    async with serving(drip, whole(b'{"data":[]}')) as server, over_sockets(server.url("/v1"), deadline_s=0.3) as w:
        started = time.monotonic()
        assert (await w.client.tasks_page(WINDOW, from_ms=MS)).rows == 0
        assert 0.25 < time.monotonic() - started < 10.0  # all of it would take 20 s
        assert [type(retry[3]).__name__ for retry in w.told.retries] == ["TimedOut"]


@pytest.mark.fault("W30", "W10")
async def test_answer_that_stops_is_tried_again() -> None:
    """Headers that never come, a body that stops and a reset are all tried again."""

    async def silent(connection: Connection, request: Request) -> None:
        await connection.until_gone()

    body = b'{"data":[]}'
    scripts = [silent, cut(body, 3, end="stall"), cut(body, 3, end="rst"), cut(body, 3), whole(body)]
    async with serving(*scripts) as server, over_sockets(server.url("/v1")) as w:
        assert (await w.client.tasks_page(WINDOW, from_ms=MS)).rows == 0
        assert len(w.told.retries) == 4


@pytest.mark.fault("W29", "X19")
async def test_answers_beyond_the_cap_are_given_up() -> None:
    """A giant body, and a small one that inflates to one, end at the cap without being tried again."""
    clear = b'{"data":[' + b" " * 30_000_000 + b"]}"
    bomb = whole(gzip.compress(clear), "Content-Encoding: gzip")
    for script in (bomb, whole(clear[:2_000_000])):
        async with serving(script) as server, over_sockets(server.url("/v1"), body_cap=1 << 20) as w:
            with pytest.raises(OperationFailed) as caught:
                await w.client.tasks_page(WINDOW, from_ms=MS)
            assert caught.value.decision == GiveUp("answer_too_large")
            assert len(server.requests) == 1


@pytest.mark.fault("W29", "X19")
@pytest.mark.parametrize("kind", ["bomb", "plain"])
async def test_memory_stays_flat_under_a_giant_answer(kind: str) -> None:
    """Sixty megabytes announced and sent, or hidden in sixty kilobytes: what is held is the cap and little more."""

    async def giant(connection: Connection, request: Request) -> None:
        piece = b" " * (1 << 20)
        await connection.send(head("200 OK", length=60 << 20))
        for _ in range(60):
            await connection.send(piece)

    script = whole(gzip.compress(bytes(60 << 20)), "Content-Encoding: gzip") if kind == "bomb" else giant
    async with serving(script) as server, over_sockets(server.url("/v1"), body_cap=2 << 20) as w:
        tracemalloc.start()
        try:
            with pytest.raises(OperationFailed):
                await w.client.tasks_page(WINDOW, from_ms=MS)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 10 << 20


@pytest.mark.fault("W29")
async def test_compressed_answers_are_inflated_in_small_steps() -> None:
    """One received piece that inflates a thousandfold is never held inflated as a whole."""

    async def once() -> AsyncIterator[bytes]:
        yield gzip.compress(bytes(20_000_000))

    sizes = [len(piece) async for piece in _inflated(once())]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= READ_PIECE


@pytest.mark.fault("W29")
async def test_compressed_answers_are_inflated_and_cut_ones_refused() -> None:
    """gzip that nobody asked for is read; gzip that breaks off or is damaged is no answer."""
    packed = gzip.compress(b'{"data":[{"id":"t1"}]}')
    encoded = "Content-Encoding: gzip"
    scripts = [whole(packed[:-9], encoded), whole(b"\x1f\x8bgarbage", encoded), whole(packed, encoded)]
    async with serving(*scripts) as server, over_sockets(server.url("/v1")) as w:
        assert (await w.client.tasks_page(WINDOW, from_ms=MS)).rows == 1
        assert [type(retry[3]).__name__ for retry in w.told.retries] == ["InvalidResponse", "InvalidResponse"]


async def test_error_body_already_read_by_the_auth_flow_is_read_again() -> None:
    """An auth flow may look into an error's body; its words still reach the failure."""

    class Nosy(httpx.Auth):
        async def async_auth_flow(self, request: httpx.Request) -> Any:
            response = yield request
            await response.aread()

    body = json.dumps({"message": "too wide"}).encode()
    async with serving(whole(body, status="400 Bad Request")) as server, over_sockets(server.url("/v1")) as w:
        w.http.auth = Nosy()
        with pytest.raises(OperationFailed) as caught:
            await w.client.tasks_page(WINDOW, from_ms=MS)
        assert "too wide" in str(caught.value)


async def test_recordings_carry_the_tracking_id_of_their_answer() -> None:
    """Support asks for it, years later: it goes with every recording the answer named."""
    router = respx.MockRouter()
    row = {"taskId": "t1", "recording": [{"id": "r1", "attributes": {"filePath": "https://media.test/a"}}]}
    router.post(f"{BASE}/captures/query").mock(
        return_value=httpx.Response(200, json={"data": [row]}, headers={"trackingid": "TRACK-7"})
    )
    async with world(router) as w:
        answer = await w.client.captures(["t1"])
    assert [each.tracking_id for each in answer.captures["t1"].recordings] == ["TRACK-7"]
