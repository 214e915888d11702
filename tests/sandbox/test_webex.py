"""The API answers as webex-api describes it, seen by a plain client."""

from __future__ import annotations

import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import trustme

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


async def test_the_window_has_strict_bounds_and_the_page_is_cut(webex: Webex) -> None:
    """Created after ``from`` and before ``to``, as documented, and there is no cursor."""
    rows = webex.sandbox.organisation.tasks
    first, last = rows[0].created_ms, rows[-1].created_ms
    ids = [row["id"] for row in (await webex.tasks(**{"from": first, "to": last})).json()["data"]]
    assert ids == [task.id for task in rows if first < task.created_ms < last]
    page = (await webex.tasks(pageSize=7)).json()
    assert len(page["data"]) == 7
    assert set(page) == {"meta", "data"}
    default = await webex.http.get(f"{webex.sandbox.api_url}/tasks", params={"from": first - 1}, headers=webex.bearer)
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
        ({"channelTypes": "Telephony"}, "not a channel type"),
        ({"from": int(time.time() * 1000) - 190 * DAY_MS}, "184 days"),
        ({"from": int(time.time() * 1000) - 400 * DAY_MS, "to": int(time.time() * 1000) - 390 * DAY_MS}, "12 months"),
    ],
)
async def test_what_the_documentation_forbids_is_a_400(webex: Webex, query: dict[str, Any], words: str) -> None:
    """Limits are refused in Webex's error shape."""
    answer = await webex.tasks(**query)
    assert answer.status_code == 400
    assert words in description(answer)


async def test_captures_match_the_truth_and_name_every_task(webex: Webex) -> None:
    """Each recording is named once; a task without one, even an unknown one, has empty lists; in any order."""
    ids = [task.id for task in webex.sandbox.organisation.tasks]
    found, orders = set(), []
    for at in range(0, 60, 10):
        answer = (await webex.captures(*ids[at : at + 10], urlExpiration=7)).json()
        assert answer["meta"]["urlExpiration"] == 7
        orders.append([row["taskId"] for row in answer["data"]] == ids[at : at + 10])
        assert sorted(row["taskId"] for row in answer["data"]) == sorted(ids[at : at + 10])
        assert all(row.keys() == {"taskId", "recording", "transcription"} for row in answer["data"])
        found |= {(row["taskId"], item["id"]) for row in answer["data"] for item in row["recording"]}
    assert found == {(item.task_id, item.recording_id) for item in webex.sandbox.truth()}
    assert not all(orders)
    empty = {"taskId": "nobody", "recording": [], "transcription": []}
    assert (await webex.captures("nobody")).json()["data"] == [empty]
    asked = await webex.captures("nobody", includeScreenRecordings=True)
    assert asked.json()["data"] == [empty | {"screenRecordings": []}]


@pytest.mark.parametrize("kind", ["missing_entry", "null_lists", "no_lists", "text_times"])
async def test_what_the_documentation_rules_out_is_a_fault(webex: Webex, kind: str) -> None:
    """No entry, no lists, and times as text come only when a script says so."""
    webex.sandbox.faults.add("captures", kind)
    item = webex.sandbox.truth()[0]
    data = (await webex.captures(item.task_id)).json()["data"]
    if kind == "missing_entry":
        assert data == []
    elif kind == "text_times":
        assert data[0]["recording"][0]["attributes"]["startTime"].isdigit()
    else:
        assert data[0].get("recording") is None
        assert ("recording" in data[0]) is (kind == "null_lists")


async def test_the_header_is_looked_at_first_then_the_token_then_its_scope(webex: Webex) -> None:
    """400 without a header or with a malformed one, 401 for a token nobody knows, 403 for one that lacks the scope."""
    scoped = webex.sandbox.desk.issue(scope="spark:kms")["access_token"]
    headers: list[tuple[dict[str, str], int]] = [
        ({}, 400), ({"Authorization": "Bearer"}, 400), ({"Authorization": "Basic eA=="}, 400),
        ({"Authorization": "Bearer unknown"}, 401), ({"Authorization": f"Bearer {scoped}"}, 403),
    ]  # fmt: skip
    for given, status in headers:
        answer = await webex.http.get(f"{webex.sandbox.api_url}/tasks", params={"from": 1}, headers=given)
        assert answer.status_code == status
        assert description(answer)


@pytest.mark.parametrize(
    "path", ["tasks?from=1780000000000", "v1/search", "v1/organization/{org}", "search/v2", "v1/tasks/{org}", "v1"]
)
async def test_what_cisco_has_not_is_a_404(webex: Webex, path: str) -> None:
    """No path is served twice, with and without the version."""
    url = f"{webex.sandbox.api_root}/{path}".format(org=webex.sandbox.org_id)
    for method in ("GET", "POST"):
        answer = await webex.http.request(method, url, headers=webex.bearer)
        assert answer.status_code == 404
        assert description(answer) == "Not Found"


async def test_transcripts_and_screens_can_be_fetched() -> None:
    """With what may be beside a call, every URL that captures hands out leads to it."""
    organisation = Organisation(40, 1, beside=True, seconds=(0.2, 0.4), large=False)
    async with Sandbox(Options(organisation=organisation, requests_per_minute=0)) as sandbox, http_client() as http:
        webex, kinds = Webex(sandbox, http), set()
        for task in organisation.tasks:
            answer = await webex.captures(task.id, includeScreenRecordings=True, includeAllDigitalVersions=True)
            (entry,) = answer.json()["data"]
            screens = [each["attributes"] for each in entry["screenRecordings"]]
            for each in [*entry["transcription"], *screens]:
                got = await http.get(each["filePath"])
                assert got.status_code == 200
                kinds.add((got.headers["Content-Type"], each["fileName"]))
    assert {kind for kind, _ in kinds} == {"application/json", "video/mp4"}
    assert len(kinds) >= 4


@pytest.mark.parametrize("query", [{"urlExpiration": 0}, {"urlExpiration": 61}, {"urlExpiration": "60"}, {"more": 1}])
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
    organisation = f"{webex.sandbox.api_root}/organization"
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


@pytest.mark.shows_canaries("json's own error, over what the simulator sent")
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
    assert description(answer) if kind != "throttle" else answer.content == b""
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


async def test_pages_come_as_they_do_on_bad_days(webex: Webex) -> None:
    """Unsorted, with a row twice, shorter than asked for, and with a task that appears while it is read."""
    sandbox = webex.sandbox
    first = sandbox.organisation.tasks[0].created_ms
    for attempt, kind in enumerate(("unsorted", "duplicate_rows", "short_page", "task_appears"), 1):
        sandbox.faults.add("tasks", kind, attempts=(attempt,))
    pages = [(await webex.tasks(**{"from": first, "pageSize": 20})).json()["data"] for _ in range(5)]
    ids = [[row["id"] for row in page] for page in pages]
    assert ids[0] != ids[3]
    assert sorted(ids[0]) == sorted(ids[3])
    assert (ids[1][0], len(ids[1])) == (ids[1][1], 21)
    assert ids[2] == ids[3][:10]
    appeared = {task.id for task in sandbox.organisation.tasks} - {task.id for task in Organisation(60).tasks}
    assert len(appeared) == 1
    assert sandbox.organisation.get(appeared.pop()).created_ms > pages[3][-1]["attributes"]["createdTime"]  # type: ignore[union-attr]


async def test_entries_come_without_a_usable_url(webex: Webex) -> None:
    """No URL, one that leads into a private network, and an answer for somebody nobody asked for."""
    item = webex.sandbox.truth()[0]
    for attempt, kind in enumerate(("no_url", "bad_url", "foreign_entry"), 1):
        webex.sandbox.faults.add("captures", kind, attempts=(attempt,))
    none, bad, foreign = [(await webex.captures(item.task_id)).json()["data"] for _ in range(3)]
    assert "filePath" not in none[0]["recording"][0]["attributes"]
    assert bad[0]["recording"][0]["attributes"]["filePath"].startswith("http://169.254.169.254/")
    assert len({entry["taskId"] for entry in foreign}) == 2


async def test_every_token_can_die_at_once(webex: Webex) -> None:
    """The request that meets it is refused, and so is every other one until a new token is had."""
    webex.sandbox.faults.add("tasks", "expire_token")
    assert [(await webex.tasks()).status_code for _ in range(2)] == [401, 401]


async def test_a_throttled_window_is_shut_for_everybody(webex: Webex) -> None:
    """Until its time is over every request is refused, and counted as early; the log knows the wait."""
    sandbox = webex.sandbox
    sandbox.faults.add("tasks", "throttle", retry_after="2", window=True)
    answers = [await webex.tasks(), await webex.captures("a")]
    assert [answer.status_code for answer in answers] == [429, 429]
    assert sandbox.budget.early == 1
    assert [entry.asked_wait_s for entry in sandbox.log.entries] == [2.0, 2.0]


async def test_the_servers_clock_can_be_off(webex: Webex) -> None:
    """Its Date is minutes away, and a wait that is written as a date follows that clock."""
    webex.sandbox.faults.add("tasks", "skewed_date", seconds=300)
    webex.sandbox.faults.add("tasks", "throttle", attempts=(2,), retry_after="date", skew=-120)
    moment = webex.sandbox.organisation.tasks[0].created_ms
    first, second = [await webex.tasks(**{"from": moment}) for _ in range(2)]
    assert 290 < seconds_ahead(first.headers["Date"]) < 310
    assert -130 < seconds_ahead(second.headers["Date"]) < -110
    assert webex.sandbox.log.of("tasks")[1].asked_wait_s == 2.0


def seconds_ahead(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()


@pytest.mark.shows_canaries("httpx's own error, over what the simulator sent")
async def test_urls_can_lead_to_a_port_nobody_should_trust() -> None:
    """The fault names the certificate; the recording is there for whoever does not look."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with Sandbox(Options(tasks=20, untrusted={"unknown": context})) as sandbox, http_client() as http:
        webex, item = Webex(sandbox, http), sandbox.truth()[0]
        sandbox.faults.add("captures", "certificate", which="unknown")
        url = await webex.url(item.task_id)
        assert url.startswith("https://127.0.0.1:")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await http.get(url)
        async with httpx.AsyncClient(trust_env=False, verify=False) as careless:  # noqa: S501 - the point of it
            assert (await careless.get(url)).content == item.audio.slice()
