"""The API answers as webex-api describes it, seen by a plain client."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from wxrec_async.sandbox import Options, Organisation, Sandbox

from .kit import DAY_MS, Webex, http_client

pytestmark = pytest.mark.anyio


def description(answer: httpx.Response) -> str:
    assert answer.headers["trackingid"] == answer.json()["trackingId"]
    return str(answer.json()["error"]["message"][0]["description"])


async def test_tasks_come_in_order_and_channel_types_filters(webex: Webex) -> None:
    """Ascending by creation time; channelTypes is honoured, the singular is ignored."""
    everything = (await webex.tasks(channelType="telephony")).json()["data"]
    times = [row["attributes"]["createdTime"] for row in everything]
    assert len(everything) == 60
    assert times == sorted(times)
    calls = (await webex.tasks(channelTypes="telephony")).json()["data"]
    assert len(calls) < 60
    assert {row["attributes"]["channelType"] for row in calls} == {"telephony"}


async def test_the_window_is_half_open_and_the_page_is_cut(webex: Webex) -> None:
    """``from`` is included, ``to`` is not, and there is no cursor."""
    rows = webex.sandbox.organisation.tasks
    first, last = rows[0].created_ms, rows[-1].created_ms
    ids = [row["id"] for row in (await webex.tasks(**{"from": first, "to": last})).json()["data"]]
    assert ids == [task.id for task in rows if task.created_ms < last]
    page = (await webex.tasks(pageSize=7)).json()
    assert len(page["data"]) == 7
    assert set(page) == {"meta", "data"}
    default = await webex.http.get(f"{webex.sandbox.api_url}/tasks", params={"from": first}, headers=webex.bearer)
    assert len(default.json()["data"]) == 60


async def test_seconds_for_milliseconds_give_a_silent_empty_answer(webex: Webex) -> None:
    """The trap is there to be fallen into."""
    answer = await webex.tasks(**{"from": int(time.time()) - 7 * 86_400})
    assert (answer.status_code, answer.json()["data"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"from": ""}, "'from' is missing"),
        ({"pageSize": 1001}, "pageSize"),
        ({"pageSize": 0}, "pageSize"),
        ({"from": int(time.time() * 1000) - 190 * DAY_MS}, "184 days"),
        ({"from": int(time.time() * 1000) - 400 * DAY_MS, "to": int(time.time() * 1000) - 390 * DAY_MS}, "12 months"),
    ],
)
async def test_what_the_documentation_forbids_is_a_400(webex: Webex, query: dict[str, Any], words: str) -> None:
    """Limits are refused in Webex's error shape."""
    answer = await webex.tasks(**query)
    assert answer.status_code == 400
    assert words in description(answer)


async def test_captures_match_the_truth_and_say_nothing_in_three_ways(webex: Webex) -> None:
    """Every recording is named once; a task without one is missing, null or empty; order is not promised."""
    ids = [task.id for task in webex.sandbox.organisation.tasks]
    found, shapes, orders = set(), set(), []
    for at in range(0, 60, 10):
        data = (await webex.captures(*ids[at : at + 10])).json()["data"]
        orders.append(
            [row["taskId"] for row in data] == [i for i in ids[at : at + 10] if i in {r["taskId"] for r in data}]
        )
        for row in data:
            shapes.add(str(row.get("recording", "gone"))[:4])
            found |= {(row["taskId"], item["id"]) for item in row.get("recording") or []}
    assert found == {(item.task_id, item.recording_id) for item in webex.sandbox.truth()}
    assert shapes >= {"[{'i"}
    assert not all(orders)


@pytest.mark.parametrize("query", [{"urlExpiration": 0}, {"urlExpiration": 61}, {"urlExpiration": "60"}])
async def test_url_expiration_is_one_to_sixty_minutes(webex: Webex, query: dict[str, Any]) -> None:
    """Longer leases are refused, not shortened."""
    assert (await webex.captures("a", **query)).status_code == 400


@pytest.mark.parametrize("ids", [[], ["a", "a"], [str(n) for n in range(11)]])
async def test_captures_take_one_to_ten_unique_ids(webex: Webex, ids: list[str]) -> None:
    """Nothing, repeats and an eleventh id fail the batch."""
    answer = await webex.captures(*ids)
    assert answer.status_code == 400
    assert "1 to 10 unique" in description(answer)


async def test_another_organisation_is_refused_and_its_token_sees_nothing(webex: Webex) -> None:
    """A foreign orgId is a 403; a token of another tenant gets empty answers."""
    assert (await webex.tasks(orgId="other")).status_code == 403
    organisation = f"{webex.sandbox.api_url}/organization"
    assert (await webex.http.get(f"{organisation}/{webex.sandbox.org_id}", headers=webex.bearer)).status_code == 200
    webex.sandbox.tokens = webex.sandbox.desk.issue(org_id="other-tenant")
    assert (await webex.tasks()).json()["data"] == []
    assert (await webex.http.get(f"{organisation}/{webex.sandbox.org_id}", headers=webex.bearer)).status_code == 403


async def test_an_expired_token_is_a_401_with_a_tracking_id(webex: Webex) -> None:
    """Tokens end when the desk says so."""
    webex.sandbox.desk.expire_access()
    answer = await webex.tasks()
    assert answer.status_code == 401
    assert "expired" in description(answer)


async def test_the_budget_refuses_and_coming_back_early_earns_another_429() -> None:
    """A sliding minute: N pass, the next is told how long to wait, and earlier comers are refused again."""
    now = 1000.0
    organisation = Organisation(3, 1)
    async with (
        Sandbox(Options(organisation=organisation, requests_per_minute=5, budget_clock=lambda: now)) as sandbox,
        http_client() as http,
    ):
        webex = Webex(sandbox, http)
        statuses = []
        for _ in range(5):
            statuses.append((await webex.tasks()).status_code)
            now += 1
        assert statuses == [200] * 5
        refused = await webex.tasks()
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "55")
        now += 30
        assert (await webex.tasks()).headers["Retry-After"] == "25"
        assert sandbox.budget.early == 1
        now += 25
        assert (await webex.tasks()).status_code == 200


async def test_bodies_that_are_no_answers_come_with_a_200(webex: Webex) -> None:
    """Cut JSON, HTML, nothing, null and not-ready are played on demand."""
    sandbox = webex.sandbox
    for attempt, kind in enumerate(("truncated_json", "html", "empty_body", "json"), 1):
        sandbox.faults.add("tasks", kind, attempts=(attempt,))
    answers = [(await webex.tasks(**{"from": sandbox.organisation.tasks[0].created_ms})).text for _ in range(5)]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        httpx.Response(200, text=answers[0]).json()
    assert answers[1].startswith("<!DOCTYPE html>")
    assert answers[2:4] == ["", "null"]
    assert answers[4].startswith('{"meta"')
    assert sandbox.faults.unhit() == []
    item = sandbox.truth()[0]
    sandbox.faults.add("captures", "not_ready", key=f"*{item.task_id}*")
    first, second = [(await webex.captures(item.task_id)).json()["data"] for _ in range(2)]
    assert not any(row.get("recording") for row in first)
    assert second[0]["recording"]


@pytest.mark.parametrize(
    ("kind", "status"), [("token_401", 401), ("token_403", 403), ("token_400", 400), ("throttle", 429), ("error", 500)]
)
async def test_refusals_have_the_apis_shape(webex: Webex, kind: str, status: int) -> None:
    """Token and server trouble looks like Webex's."""
    webex.sandbox.faults.add("tasks", kind)
    answer = await webex.tasks()
    assert answer.status_code == status
    assert description(answer)
    assert ("retry-after" in answer.headers) == (kind == "throttle")


@pytest.mark.parametrize("value", ["date", "abc", "-5", None])
async def test_retry_after_can_be_odd_or_missing(webex: Webex, value: str | None) -> None:
    """Every form a client must survive can be asked for."""
    webex.sandbox.faults.add("tasks", "throttle", retry_after=value)
    sent = (await webex.tasks()).headers.get("retry-after")
    assert sent == value or (value == "date" and sent is not None and sent.endswith("GMT"))


@pytest.mark.parametrize("kind", ["reset_before", "close_before", "reset_after"])
async def test_connections_break_on_demand(webex: Webex, kind: str) -> None:
    """RST and FIN come before or after the work, and the next attempt is answered."""
    webex.sandbox.faults.add("captures", kind)
    with pytest.raises(httpx.TransportError):
        await webex.captures("a")
    assert (await webex.captures("a")).status_code == 200
    assert [entry.status for entry in webex.sandbox.log.of("captures")] == [-1, 200]


async def test_the_log_knows_every_request_and_no_secret(webex: Webex) -> None:
    """Operation, key, attempt and header names are kept; tokens and signatures are not."""
    item = webex.sandbox.truth()[0]
    await webex.http.get(await webex.url(item.task_id))
    await webex.refresh()
    text = (await webex.http.get(f"{webex.sandbox.control_url}/log")).text
    assert "CANARY" not in text
    assert '"operation": "media.get"' in text
    assert item.recording_id in text
    assert webex.sandbox.log.of("captures")[0].header_names.count("authorization") == 1
