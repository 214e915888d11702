"""api.wxcc-….cisco.com: tasks, captures, the organisation; with token, tenant and budget checked first."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from wxrec_async.sandbox.budget import Budget
from wxrec_async.sandbox.draw import Draw
from wxrec_async.sandbox.front import Call, Problem, waits
from wxrec_async.sandbox.kinds import ENTRIES, TASKS, Fault
from wxrec_async.sandbox.organisation import (
    DAY_MS,
    Organisation,
    SandboxTask,
)
from wxrec_async.sandbox.presign import Presigner
from wxrec_async.sandbox.recordings import SandboxRecording, participants
from wxrec_async.sandbox.search import SearchDesk
from wxrec_async.sandbox.tokens import Grant, TokenDesk

Row = dict[str, Any]
NOTHING = Fault("not_ready")
BAD_URL = "http://169.254.169.254/latest/recording.wav?X-Amz-Signature=CANARY-SIG"
MAX_SPAN_MS = 184 * DAY_MS
MAX_LOOK_BACK_MS = 366 * DAY_MS
SECONDS_NOT_MS = 100_000_000_000  # anything below this was meant as seconds, or is 1973
MAX_TASK_IDS = 10
MAX_URL_MINUTES = 60


@dataclass(slots=True)
class WebexService:
    """The service on the API port.  ``untrusted`` are the origins of media ports with a bad certificate, by what it is.

    They are looked up when a URL is handed out, so they may be filled in later.
    """

    organisation: Organisation
    desk: TokenDesk
    budget: Budget
    presigner: Presigner
    clock: Callable[[], float]
    searches: bool = True
    max_search_rows: int = 100_000
    untrusted: dict[str, str] = field(default_factory=dict)
    name: str = "api"

    @property
    def search(self) -> SearchDesk:
        return SearchDesk(self.organisation, self.max_search_rows)

    async def classify(self, call: Call) -> tuple[str, str]:
        request = call.request
        match request.method, request.path.removeprefix("/v1").strip("/").split("/"):
            case "GET", ["tasks"]:
                return "tasks", f"{request.query.get('from', '')}-{request.query.get('to', '')}"
            case "POST", ["captures", "query"]:
                call.body = await request.read()
                return "captures", ",".join(sorted(_readable_ids(call.body)))
            case "POST", ["search"]:
                call.body = await request.read()
                return "search", hashlib.blake2b(call.body, digest_size=8).hexdigest()
            case "GET", ["organization", org_id]:
                return "organization", org_id
        raise Problem(404, "404", "Resource not found")

    async def answer(self, call: Call) -> web.StreamResponse:
        if call.fault is not None:
            self._refuse_on_purpose(call.fault)
        grant = self.desk.check(call.request.headers.get("Authorization", ""))
        if grant is None:
            raise Problem(401, "401", "The access token is expired, revoked, or invalid.")
        wait = self.budget.spend(self.desk.client_id)
        if wait is not None:
            raise Problem(429, "429", "Too many requests", {"Retry-After": str(wait)})
        body = json.dumps(self._body(call, grant))
        if wrong := call.wrong("json", "truncated_json"):
            body = wrong.get("text", "null") if wrong.kind == "json" else body[: max(1, len(body) * 2 // 3)]
        return web.Response(text=body, content_type="application/json", headers={"trackingid": tracking_id(call)})

    def _body(self, call: Call, grant: Grant) -> dict[str, Any]:
        if call.operation == "organization":
            if call.key != grant.org_id:
                raise Problem(403, "403", "The token does not belong to this organization")
            return {"id": call.key, "name": "Sandbox Organisation", "timezone": "UTC"}
        if call.operation == "tasks":
            return self._tasks(call, grant)
        if call.operation == "search":
            return self._search(call, grant)
        return self._captures(call, grant)

    def _refuse_on_purpose(self, fault: Fault) -> None:
        match fault.kind:
            case "token_401":
                raise Problem(401, "401", "The access token is expired, revoked, or invalid.")
            case "token_403":
                raise Problem(403, "403", "Access token is expired or does not have the required scope")
            case "token_400":
                raise Problem(400, "400", "Invalid access token")
            case "expire_token":
                self.desk.expire_access()
            case "throttle":
                wait = Fault("throttle", {"retry_after": "1"} | dict(fault.parameters))
                if wait.get("window"):
                    self.budget.shut(self.desk.client_id, float(wait.get("retry_after")))
                raise Problem(429, "429", "Too many requests", waits(wait))

    # POST /v1/search

    def _search(self, call: Call, grant: Grant) -> dict[str, Any]:
        self._check_org(call.request.query.get("orgId"), grant)
        if not self.searches:
            raise Problem(404, "404", "Resource not found")
        mine = grant.org_id == self.organisation.id
        return self.search.answer(call.body, int(self.clock() * 1000)) if mine else self.search.empty()

    # GET /v1/tasks

    def _tasks(self, call: Call, grant: Grant) -> dict[str, Any]:
        query = call.request.query
        self._check_org(query.get("orgId"), grant)
        now_ms = int(self.clock() * 1000)
        from_ms, to_ms = _integer(query.get("from"), "from"), _integer(query.get("to", str(now_ms)), "to")
        size = _integer(query.get("pageSize", "100"), "pageSize")
        if not 1 <= size <= 1000:
            raise Problem(400, "400", "pageSize must be between 1 and 1000")
        rows = self._rows(from_ms, to_ms, now_ms, grant)
        wanted = {name for name in query.get("channelTypes", "").lower().split(",") if name}
        if wanted:  # the singular channelType is ignored, as it is today
            rows = [task for task in rows if task.channel in wanted]
        odd = call.wrong(*TASKS)
        if odd is not None and odd.kind == "short_page":
            size = max(1, size // 2)
        data = [{"id": task.id, "attributes": self.organisation.attributes(task)} for task in rows[:size]]
        if odd is not None and data:
            sought = not wanted or "telephony" in wanted  # what appears is a call: who lists other channels looks away
            data = self._odd_page(odd.kind, data, call.key, more=len(rows) > size and sought)
        return {"meta": {"orgId": grant.org_id}, "data": data}

    def _odd_page(self, kind: str, data: list[Row], key: str, *, more: bool) -> list[Row]:
        """Return a page as it comes on a bad day, or let one more task appear where the reader has still to come."""
        if kind == "unsorted":
            return sorted(data, key=lambda row: Draw("unsorted", key, row["id"]).unit(0))
        if kind == "duplicate_rows":
            older = {**data[0], "attributes": {**data[0]["attributes"], "lastUpdatedTime": 1, "status": "connected"}}
            return [data[0], older, *data[1:]]
        if kind == "task_appears" and more:
            self.organisation.add(data[-1]["attributes"]["createdTime"] + 1)
        return data

    def _rows(self, from_ms: int, to_ms: int, now_ms: int, grant: Grant) -> list[SandboxTask]:
        if from_ms < SECONDS_NOT_MS or grant.org_id != self.organisation.id:
            return []
        if to_ms < from_ms:
            raise Problem(400, "400", "'to' must not be before 'from'")
        if to_ms - from_ms > MAX_SPAN_MS:
            raise Problem(400, "400", "The time range must not exceed 184 days")
        if from_ms < now_ms - MAX_LOOK_BACK_MS:
            raise Problem(400, "400", "'from' must be within the last 12 months")
        return list(self.organisation.listed_between(from_ms, min(to_ms, now_ms + 1)))

    # POST /v1/captures/query

    def _captures(self, call: Call, grant: Grant) -> dict[str, Any]:
        ids, query = _checked_query(call.body)
        self._check_org(query.get("orgId"), grant)
        minutes = query.get("urlExpiration", MAX_URL_MINUTES)
        if type(minutes) is not int or not 1 <= minutes <= MAX_URL_MINUTES:
            raise Problem(400, "400", "urlExpiration must be between 1 and 60")
        whole, single = call.wrong(*ENTRIES), call.wrong("per_entry")
        odd = dict.fromkeys(ids, whole) if whole else dict(single.get("entries")) if single else {}
        if grant.org_id != self.organisation.id:
            odd = dict.fromkeys(ids, NOTHING)
        more = {"segments": query.get("includeSegments") is True, "virtual": query.get("includeVARecordings") is True}
        entries = [self._entry(task_id, minutes * 60, more, odd.get(task_id)) for task_id in ids]
        if call.wrong("foreign_entry"):
            entries.append({"taskId": Draw("foreign", call.key).uuid(), "recording": [], "transcription": []})
        named = sorted(
            (e for e in entries if e is not None), key=lambda e: Draw("order", call.key, e["taskId"]).unit(0)
        )
        return {"meta": {"orgId": grant.org_id}, "data": named}

    def _entry(self, task_id: str, seconds: int, more: dict[str, bool], odd: Fault | None) -> dict[str, Any] | None:
        """Return one answer; without a recording it is missing, null or empty, whichever this id always gets."""
        task = self.organisation.get(task_id)
        empty = odd is not None and odd.kind == "not_ready"
        found = [] if task is None or empty else self.organisation.recordings(task, int(self.clock() * 1000))
        if not found:
            choices: list[dict[str, Any] | None] = [None, {"recording": None}, {"recording": []}, {}]
            chosen = choices[Draw("empty", task_id).pick(0, len(choices))]
            return None if chosen is None else {"taskId": task_id, **chosen}
        if task is not None:
            found = [*self.organisation.extras(task, **more, now_ms=int(self.clock() * 1000)), *found]
        recordings = [self._with_url(self._recording(recording, seconds), odd) for recording in found]
        beside = self.organisation.attachments(task) if task is not None else {}
        return {"taskId": task_id, "recording": recordings, "transcription": [], **beside}

    def _with_url(self, row: Row, odd: Fault | None) -> Row:
        """Take the URL away, or let it point where nobody should go."""
        attributes = row["attributes"]
        match odd.kind if odd is not None else "":
            case "no_url":
                del attributes["filePath"]
            case "bad_url":
                attributes["filePath"] = odd.get("url", BAD_URL) if odd is not None else ""
            case "certificate":
                origin = self.untrusted.get(odd.get("which", "unknown") if odd is not None else "", "")
                attributes["filePath"] = origin + attributes["filePath"].removeprefix(self.presigner.origin)
        return row

    def _recording(self, recording: SandboxRecording, seconds: int) -> dict[str, Any]:
        texts = Draw("times", recording.id).unit(0) < 0.1
        start, stop = recording.start_ms, recording.stop_ms
        path = f"/recordings/{recording.task_id}/{recording.own_id}.wav"
        attributes = {
            "fileName": recording.file_name,
            "filePath": self.presigner.sign(path, seconds),
            "startTime": str(start) if texts else start,
            "stopTime": str(stop) if texts else stop,
            "participants": participants(recording),
            "channel1": "agent",
            "channel2": "customer",
            "callType": recording.call_type,
            "sensitive": False,
        }
        return {"id": recording.id, "segment": recording.segment, "attributes": attributes}

    def _check_org(self, asked: object, grant: Grant) -> None:
        if asked is not None and asked != grant.org_id:
            raise Problem(403, "403", "The orgId does not belong to the token")

    def refusal(self, problem: Problem, call: Call) -> web.Response:
        return webex_error(problem, call)


def webex_error(problem: Problem, call: Call) -> web.Response:
    """Write an error as the Contact Center APIs do."""
    tracking = tracking_id(call)
    key = problem.code or str(problem.status)
    body = {"trackingId": tracking, "error": {"key": key, "message": [{"description": problem.message or "Error"}]}}
    return web.json_response(body, status=problem.status, headers={"trackingid": tracking})


def tracking_id(call: Call) -> str:
    """Return what support would ask for."""
    return f"SANDBOX_{uuid.uuid5(uuid.NAMESPACE_URL, f'{call.entry.server}/{call.entry.number}')}"


def _integer(text: str | None, name: str) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise Problem(400, "400", f"'{name}' is missing or not a number") from None


def _readable_ids(body: bytes) -> list[str]:
    """Return the task ids of a body for the log; an unreadable body has none."""
    try:
        ids = json.loads(body)["query"]["taskIds"]
    except (ValueError, TypeError, KeyError, IndexError):
        return []
    return [item for item in ids if isinstance(item, str)] if isinstance(ids, list) else []


def _checked_query(body: bytes) -> tuple[list[str], dict[str, Any]]:
    ids = _readable_ids(body)
    if not 1 <= len(ids) <= MAX_TASK_IDS or len(set(ids)) != len(ids) or not all(ids):
        raise Problem(400, "400", "taskIds must contain 1 to 10 unique ids")
    query: dict[str, Any] = json.loads(body)["query"]
    if len(ids) != len(query["taskIds"]):
        raise Problem(400, "400", "taskIds must be strings")
    return ids, query
