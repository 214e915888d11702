"""Search as webex-api describes it, seen by a plain client; and what a test may do behind everybody's back."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.sandbox.graphql import QueryError, read_query

from .kit import DAY_MS, Webex, http_client, s3_client

pytestmark = pytest.mark.anyio

NOW = int(time.time() * 1000)
PAGED = """
query pages($from: Long!, $to: Long!, $cursor: String = "0") {  # a comment
  found: taskDetails(from: $from, to: $to, pagination: { cursor: $cursor }) {
    tasks { id channelType queue: lastQueue { name } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


@pytest.fixture
def options() -> Options:
    return Options(organisation=Organisation(600, 1, disagreeing=True), requests_per_minute=0)


async def ask(webex: Webex, query: str, **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer = await webex.http.post(f"{webex.sandbox.api_root}/search", json=body, headers=webex.bearer)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_pages_follow_a_cursor_to_the_end(webex: Webex) -> None:
    """250 rows a page, by variables, with aliases; every contact once."""
    seen: list[str] = []
    cursor, pages = "NA", 0
    while cursor:
        answer = await ask(webex, PAGED, **{"from": NOW - 8 * DAY_MS, "to": str(NOW), "cursor": cursor})
        found = answer["data"]["found"]
        seen += [row["id"] for row in found["tasks"]]
        assert set(found["tasks"][0]) == {"id", "channelType", "queue"}
        pages += 1
        assert (found["pageInfo"]["endCursor"] is None) is not found["pageInfo"]["hasNextPage"]
        cursor = found["pageInfo"]["endCursor"]
    planted = webex.sandbox.organisation.planted()
    everybody = {task.id for task in webex.sandbox.organisation.tasks}
    assert pages == 3
    assert len(seen) == len(set(seen))
    assert set(seen) == everybody - set(planted["only_in_list"])
    listed = (await webex.tasks(**{"from": NOW - 8 * DAY_MS})).json()["data"]
    assert {row["id"] for row in listed} == everybody - set(planted["only_in_search"])


async def test_literals_and_filters_are_understood(webex: Webex) -> None:
    """Values may stand in the query, and a channel may be asked for."""
    span = f"from: {NOW - 8 * DAY_MS}, to: {NOW}"
    answer = await ask(
        webex, f"{{task({span} filter: {{and: [{{channelType: {{equals: telephony}}}}]}}) {{tasks {{channelType}}}}}}"
    )
    assert {row["channelType"] for row in answer["data"]["task"]["tasks"]} == {"telephony"}
    counted = await ask(
        webex,
        f'{{taskDetails({span} aggregations: [{{field: "id", type: count, name: "n"}}, '
        f'{{field: "recordingFileSize", type: max, name: "m"}}]) {{tasks {{aggregation {{name value}}}}}}}}',
    )
    (row,) = counted["data"]["taskDetails"]["tasks"]
    count, largest = row["aggregation"]
    assert count == {"name": "n", "value": 600 - len(webex.sandbox.organisation.planted()["only_in_list"])}
    assert largest["value"] > 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{taskDetails(from: WEEK, to: NOW) {tasks {ani}}}", "Field 'ani' in type 'TaskDetails' is undefined"),
        ("{taskDetails(from: WEEK, to: NOW) {tasks {lastQueue}}}", "takes a selection"),
        ("{taskDetails(from: WEEK, to: NOW) {tasks {id {name}}}}", "is a scalar"),
        (
            '{taskDetails(from: WEEK, to: NOW, filter: {channelType: {equals: "telephony"}}) {tasks {id}}}',
            "ChannelType",
        ),
        ("{taskDetails(from: WEEK, to: NOW, filter: {createdTime: {gt: 1}}) {tasks {id}}}", "no field 'createdTime'"),
        ("{taskDetails(from: WEEK, to: NOW, size: 1) {tasks {id}}}", "Unknown field argument"),
        ("{agents {id}}", "undefined"),
        ("{taskDetails(from: 1", "breaks off"),
        ("{}", "empty selection"),
        ("nonsense %", "offset"),
    ],
)
async def test_what_is_wrong_comes_with_status_200(webex: Webex, query: str, words: str) -> None:
    """Errors are in the body, as GraphQL has it."""
    for window in (7, 800):  # the second one has no contacts: what is asked for is looked at all the same
        moments = {"NOW": NOW - (window - 7) * DAY_MS, "WEEK": NOW - window * DAY_MS}
        answer = await ask(webex, at(query, moments))
        assert words in answer["errors"][0]["message"]
        assert "data" not in answer


def at(query: str, moments: dict[str, int]) -> str:
    for name, moment in moments.items():
        query = query.replace(name, str(moment))
    return query


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{taskDetails(from: 1) {tasks {id}}}", "Missing field argument 'to'"),
        ("{taskDetails {tasks {id}}}", "Missing field argument 'from'"),
        ("{taskDetails(from: YEAR, to: NOW) {tasks {id}}}", "365 days"),
        ("{taskDetails(from: AGES, to: YEAR) {tasks {id}}}", "36 months"),
        ("{taskDetails(from: MONTHS, to: NOW) {tasks {activities {totalCount}}}}", "30 days"),
        ('{taskDetails(from: WEEK, to: NOW, pagination: {cursor: "%"}) {tasks {id}}}', "cursor"),
    ],
)
async def test_limits_and_missing_arguments_are_a_400(webex: Webex, query: str, words: str) -> None:
    """In the gateway's form, as one was met."""
    days = {"NOW": 0, "WEEK": 7, "MONTHS": 31, "YEAR": 1094, "AGES": 1100}
    query = at(query, {name: NOW - days * DAY_MS for name, days in days.items()})
    answer = await webex.http.post(f"{webex.sandbox.api_root}/search", json={"query": query}, headers=webex.bearer)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"][0]["description"]


async def test_groups_intervals_sums_and_order(webex: Webex) -> None:
    """One query instead of hundreds of pages."""
    span = f"from: {NOW - 8 * DAY_MS}, to: {NOW}"
    sums = '[{field: "id", type: cardinality, name: "n"}, {field: "recordingFileSize", type: average, name: "b"}]'
    asked = f"{span}, aggregations: {sums}, aggregationInterval: {{interval: DAILY}}"
    query = f"{{taskDetails({asked}) {{tasks {{intervalStartTime channelType aggregation {{name value}}}}}}}}"
    groups = (await ask(webex, query))["data"]["taskDetails"]["tasks"]
    assert len({(row["intervalStartTime"], row["channelType"]) for row in groups}) == len(groups) > 7
    there = 600 - len(webex.sandbox.organisation.planted()["only_in_list"])
    assert sum(row["aggregation"][0]["value"] for row in groups) == there
    wanted = "filter: {or: [{isActive: {equals: true}}, {recordingCount: {gte: 1}}]}"
    query = f"{{taskDetails({span}, {wanted}) {{tasks {{createdTime(sort: desc) recordingCount}}}}}}"
    rows = (await ask(webex, query))["data"]["taskDetails"]["tasks"]
    times = [row["createdTime"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert all(row["recordingCount"] for row in rows)


async def test_events_tell_when_a_recording_became_available(webex: Webex) -> None:
    """Activities come newest first, in pages of their own; contacts can be chosen by them."""
    task = next(each for each in webex.sandbox.organisation.tasks if each.recordings)
    span = f'from: {NOW - 8 * DAY_MS}, to: {NOW}, filter: {{id: {{equals: "{task.id}"}}}}'
    special = 'extFilter: {activities: {nodes: {eventName: {equals: "recording-available"}}}}'
    inner = "totalCount nodes {eventName createdTime} pageInfo {hasNextPage endCursor}"
    query = f"{{taskDetails({span}, {special}) {{tasks {{activities(first: 2) {{{inner}}}}}}}}}"
    (row,) = (await ask(webex, query))["data"]["taskDetails"]["tasks"]
    assert [each["eventName"] for each in row["activities"]["nodes"]] == ["recording-available", "ended"]
    assert row["activities"]["pageInfo"]["hasNextPage"] is True


def test_a_required_variable_must_be_there() -> None:
    """The type says so, unless there is a default."""
    with pytest.raises(QueryError, match="'to'"):
        read_query("query ($from: Long = 1, $to: [Long!]!) {a(from: $from, to: $to) {b}}", {})
    (found,) = read_query(
        'query ($from: Long = 1) {a(from: $from, on: true, off: null, s: "a\\"b", e: NAME, f: -1.5) {b}}', {}
    )
    assert found.arguments == {"from": 1, "on": True, "off": None, "s": 'a"b', "e": "NAME", "f": -1.5}


async def test_a_tenant_without_it_answers_404() -> None:
    """Some organisations have no Search."""
    async with Sandbox(Options(tasks=1, searches=False)) as sandbox, http_client() as http:
        webex = Webex(sandbox, http)
        answer = await http.post(f"{sandbox.api_root}/search", json={"query": "{}"}, headers=webex.bearer)
    assert answer.status_code == 404


async def test_no_query_gets_further_than_it_may() -> None:
    """The list just stops, and nothing says so."""
    async with Sandbox(Options(tasks=60, max_search_rows=20, requests_per_minute=0)) as sandbox, http_client() as http:
        answer = await ask(Webex(sandbox, http), PAGED, **{"from": NOW - 8 * DAY_MS, "to": NOW})
    found = answer["data"]["found"]
    assert len(found["tasks"]) == 20
    assert found["pageInfo"]["hasNextPage"] is False


async def test_the_control_port_changes_the_truth(webex: Webex, s3: Any) -> None:
    """Objects vanish or are replaced by others of the same size, recordings are deleted, captures come earlier."""
    sandbox = webex.sandbox
    for key in ("a", "b"):
        await s3.put_object(Bucket=sandbox.bucket, Key=key, Body=b"0123456789", ChecksumAlgorithm="CRC32")
    before = await s3.head_object(Bucket=sandbox.bucket, Key="b", ChecksumMode="ENABLED")

    async def post(path: str, wanted: object) -> httpx.Response:
        return await webex.http.post(f"{sandbox.control_url}/{path}", content=json.dumps(wanted))

    assert (await post("objects", {"remove": ["a"], "replace": ["b"]})).status_code == 200
    assert set(sandbox.store.objects) == {"b"}
    after = await s3.head_object(Bucket=sandbox.bucket, Key="b", ChecksumMode="ENABLED")
    assert after["ContentLength"] == before["ContentLength"]
    assert after["ChecksumCRC32"] != before["ChecksumCRC32"]
    assert sandbox.store.replaced == []
    task = next(task for task in sandbox.organisation.tasks if task.recordings)
    planted = (await post("organisation", {"days_ahead": 2, "delete": [task.id]})).json()
    assert planted["days_ahead"] == 2
    assert task.id in planted["deleted"]
    assert (await post("organisation", {"delete": ["nobody"]})).status_code == 404
    assert (await post("objects", {"remove": ["nothing"]})).status_code == 404
    assert (await post("objects", [1])).status_code == 400


def test_late_captures_come_with_the_days() -> None:
    """Half of them were promised; none is there today, all are two days from now."""
    now = time.time()
    organisation = Organisation(20, 1, late=4, now=now)
    late = [organisation.get(task_id) for task_id in organisation.planted()["late"]]
    assert [task.capture_requested for task in late if task].count(True) == 2
    assert not any(organisation.recordings(task, int(now * 1000)) for task in late if task)
    organisation.ahead_ms = 2 * DAY_MS
    assert all(organisation.recordings(task, int(now * 1000)) for task in late if task)
    assert organisation.planted()["late"] == []


async def test_days_can_pass_that_the_aws_sdk_knows_nothing_of() -> None:
    """The organisation's clock is two days ahead, captures come, and S3 still takes what is signed today."""
    organisation = Organisation(20, 1, late=2)
    late = organisation.planted()["late"]
    options = Options(
        organisation=organisation,
        requests_per_minute=0,
        clock=lambda: time.time() + 2 * 86_400,
        s3_clock=time.time,
    )
    async with Sandbox(options) as sandbox, http_client() as http, s3_client(sandbox) as s3:
        webex = Webex(sandbox, http)
        answer = (await webex.captures(*late)).json()
        assert sorted(entry["taskId"] for entry in answer["data"] if entry.get("recording")) == sorted(late)
        await s3.put_object(Bucket=sandbox.bucket, Key="a", Body=b"x")
