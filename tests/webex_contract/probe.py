"""Ask a simulator, with the client's own token, for what Cisco does not have and for what it has."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import aiohttp

from tests.webex_contract.client_checks import DAY_MS, token_org
from tests.webex_contract.findings import Findings

NOT_THERE = (404,)
OK = (200,)
WRONG = (400,)


@dataclass(frozen=True, slots=True)
class Question:
    """One request: the statuses that Cisco answers with, and the reason.  ``must``/``never`` are parts of the body."""

    method: str
    path: str
    statuses: tuple[int, ...]
    why: str
    body: object = None
    authorised: bool = True
    must: str = ""
    never: str = ""

    @property
    def shown(self) -> str:
        text = re.sub(r"\d{6,}", "N", re.sub(r"[0-9a-f-]{36}", "{id}", self.path))
        return text if self.authorised else f"{text} without Authorization"


def questions(org_id: str | None, now_ms: int) -> Iterator[Question]:
    """Yield everything that is asked."""
    day = f"from={now_ms - DAY_MS}"
    search = {"query": _search(now_ms, "){tasks{id}pageInfo{hasNextPage endCursor}}}")}
    yield Question("POST", "/v1/search", NOT_THERE, "Search stands at the root", search)
    yield Question("GET", f"/v1/organization/{org_id}", NOT_THERE, "the organisation stands at the root")
    yield Question("GET", f"/tasks?{day}&to={now_ms}", NOT_THERE, "tasks stand below /v1")
    yield Question("POST", "/captures/query", NOT_THERE, "captures stand below /v1", _captures())
    yield Question("GET", f"/v1/tasks/{uuid.uuid4()}", (404, 405), "there is no item path")
    yield Question("GET", f"/organization/{org_id}", OK, "seen in samples")
    yield Question("GET", "/search/v2/meta", OK, "Search metadata, seen 2026-08")
    yield Question("GET", "/v2/event-types", OK, "subscriptions")
    yield from _searches(now_ms, search)
    yield from _of_captures()
    yield from _of_tasks(now_ms, day)


def _searches(now_ms: int, plain: object) -> Iterator[Question]:
    yield Question("POST", "/search", OK, "Search", plain, never='"errors"')
    unknown = {"query": _search(now_ms, "){tasks{id noSuchField}}}")}
    yield Question("POST", "/search", (200, 400), "an unknown field", unknown, must='"errors"')
    empty = {"query": _search(now_ms - 500 * DAY_MS, "){tasks{id noSuchField}}}")}
    yield Question("POST", "/search", (200, 400), "an unknown field, in an empty window", empty, must='"errors"')
    for rest in (
        (
            ',pagination:{cursor:"NA"},filter:{and:[{channelType:{equals:telephony}},{isActive:{equals:false}}]})'
            "{tasks{id createdTime(sort:asc) origin direction terminationType lastTeam{name} csatScore "
            "isTranscriptionAvailable}pageInfo{hasNextPage endCursor}}}"
        ),
        (
            ',timeComparator:endedTime,filter:{id:{equals:"x"}})'
            "{tasks{id activities(first:5){totalCount nodes{eventName createdTime}}}}}"
        ),
        (
            ',aggregations:[{field:"id",type:cardinality,name:"n"},{field:"recordingFileSize",type:average,name:"b"}],'
            "aggregationInterval:{interval:HOURLY}){tasks{intervalStartTime lastQueue{name} aggregation{name value}}}}"
        ),
    ):
        body = {"query": _search(now_ms, rest)}
        yield Question("POST", "/search", OK, "a query of the schema", body, never='"errors"')


def _of_captures() -> Iterator[Question]:
    path = "/v1/captures/query"
    yield Question("POST", path, WRONG, "urlExpiration must be above 0", _captures(urlExpiration=0))
    eleven = _captures(taskIds=[str(uuid.uuid4()) for _ in range(11)])
    yield Question("POST", path, WRONG, "11 ids", eleven)
    more = _captures(includeScreenRecordings=True, includeAllDigitalVersions=True)
    yield Question("POST", path, OK, "fields of 2026-09", more, must='"screenRecordings"')


def _of_tasks(now_ms: int, day: str) -> Iterator[Question]:
    path, refused = "/v1/tasks", (400, 413, 422)
    yield Question("GET", path, WRONG, "from is required")
    yield Question("GET", f"{path}?{day}&pageSize=1001", WRONG, "pageSize")
    yield Question("GET", f"{path}?{day}", WRONG, "no Authorization header is a 400", authorised=False)
    span = f"from={now_ms - 200 * DAY_MS}&to={now_ms}"
    yield Question("GET", f"{path}?{span}", refused, "span above 184 days")
    old = f"from={now_ms - 400 * DAY_MS}&to={now_ms - 390 * DAY_MS}"
    yield Question("GET", f"{path}?{old}", refused, "look-back above 12 months")


def _search(now_ms: int, rest: str) -> str:
    return f"{{taskDetails(from:{now_ms - DAY_MS},to:{now_ms}{rest}"


def _captures(**more: object) -> object:
    return {"query": {"taskIds": [str(uuid.uuid4())], "urlExpiration": 60, **more}}


async def probe(http: aiohttp.ClientSession, upstream: str, headers: Mapping[str, str], findings: Findings) -> None:
    """Ask everything and note what is answered otherwise than by Cisco."""
    bearer = {"Authorization": headers.get("Authorization", "")}
    for question in questions(token_org(headers), int(time.time() * 1000)):
        own = (bearer if question.authorised else {}) | {"Content-Type": "application/json"}
        data = None if question.body is None else json.dumps(question.body)
        try:
            async with http.request(question.method, f"{upstream}{question.path}", data=data, headers=own) as answer:
                _judge(question, answer.status, await answer.text(), findings)
        except aiohttp.ClientError:
            continue  # faults are the upstream's business; a storm is not probed


def _judge(question: Question, status: int, body: str, findings: Findings) -> None:
    name = f"probe {question.method} {question.shown}"
    if status == 429:
        findings.note("upstream", "note", f"{name}: 429, not judged", "probe")
        return
    if status not in question.statuses:
        wanted = "/".join(map(str, question.statuses))
        grave = 404 in question.statuses or question.statuses == WRONG or status >= 500
        text = f"{name}: {status}, Cisco {wanted} ({question.why})"
        findings.note("upstream", "error" if grave else "warning", text, "probe", body[:200])
        return
    if question.must and question.must not in body:
        findings.note("upstream", "error", f"{name}: no {question.must} ({question.why})", "probe", body[:200])
    if question.never and question.never in body:
        findings.note("upstream", "error", f"{name}: {question.never} ({question.why})", "probe", body[:200])
