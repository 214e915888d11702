"""api.wxcc-….cisco.com: Cisco's paths and no others; with token, tenant and budget checked first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from wxrec_async.sandbox.budget import RequestBudget
from wxrec_async.sandbox.captures import CapturesService, readable_ids
from wxrec_async.sandbox.fault_kinds import TASKS, Fault
from wxrec_async.sandbox.front import Call, Refusal, waits
from wxrec_async.sandbox.gateway import admitted, check_org, tracking_id, webex_error
from wxrec_async.sandbox.organisation import DAY_MS, Bounds, Organisation, SandboxTask
from wxrec_async.sandbox.presign import Presigner
from wxrec_async.sandbox.search_metadata import metadata
from wxrec_async.sandbox.search_service import SearchService
from wxrec_async.sandbox.seeded import Draw
from wxrec_async.sandbox.token_service import IssuedToken, TokenService

Row = dict[str, Any]
# Found by users and confirmed by others; neither is documented.
MAX_SPAN_MS = 184 * DAY_MS
MAX_LOOK_BACK_MS = 366 * DAY_MS
SECONDS_NOT_MS = 100_000_000_000  # anything below this was meant as seconds, or is 1973
CHANNELS = frozenset({"telephony", "email", "chat", "social"})
EVENTS = ("capture:available", "task:new", "task:ended", "agent:login", "agent:logout")


@dataclass(slots=True)
class WebexService:
    """The service on the API port.  ``untrusted`` are the origins of media ports with a bad certificate, by what it is.

    They are looked up when a URL is handed out, so they may be filled in later.
    """

    organisation: Organisation
    desk: TokenService
    budget: RequestBudget
    presigner: Presigner
    clock: Callable[[], float]
    searches: bool = True
    max_search_rows: int = 100_000
    untrusted: dict[str, str] = field(default_factory=dict)
    bounds: Bounds = "strict"
    search_errors_as_400: bool = False
    name: str = "api"

    async def classify(self, call: Call) -> tuple[str, str]:
        request = call.request
        match request.method, request.path.strip("/").split("/"):
            # Paths carry their own version, and some have none.  There is no ``GET /v1/tasks/{id}``.
            case "GET", ["v1", "tasks"]:
                return "tasks", f"{request.query.get('from', '')}-{request.query.get('to', '')}"
            case "POST", ["v1", "captures", "query"]:
                call.body = await request.read()
                return "captures", ",".join(sorted(readable_ids(call.body)))
            case "POST", ["search"]:
                call.body = await request.read()
                return "search", hashlib.blake2b(call.body, digest_size=8).hexdigest()
            case "GET", ["search", "v2", "meta"]:
                return "search.meta", ""
            case "GET", ["organization", org_id]:
                return "organization", org_id
            case "GET", ["v2", "event-types"]:
                return "event_types", ""
            case "GET", ["v2", "subscriptions"]:
                return "subscriptions", ""
        raise Refusal(404, "404", "Not Found")

    async def answer(self, call: Call) -> web.StreamResponse:
        if call.fault is not None:
            self._refuse_on_purpose(call.fault)
        grant = admitted(call, self.desk)
        # One budget for all of these APIs, by the client id and not by the token.
        wait = self.budget.spend(self.desk.client_id)
        if wait is not None:
            raise Refusal(429, "429", "Too many requests", {"Retry-After": str(wait)})
        status, told = self._told(call, grant)
        body = json.dumps(told)
        if wrong := call.wrong("json", "truncated_json"):
            body = wrong.get("text", "null") if wrong.kind == "json" else body[: max(1, len(body) * 2 // 3)]
        headers = {"trackingid": tracking_id(call)}
        return web.Response(text=body, status=status, content_type="application/json", headers=headers)

    def _told(self, call: Call, grant: IssuedToken) -> tuple[int, Row]:
        """Return status and body."""
        match call.operation:
            case "tasks":
                return 200, self._tasks(call, grant)
            case "captures":
                desk = CapturesService(self.organisation, self.presigner, self.clock, self.untrusted)
                return 200, desk.answer(call, grant)
            case "search":
                return self._search(call, grant)
            case "search.meta":
                self._check_search(call.request.headers.get("X-ORGANIZATION-ID"), grant)
                return 200, metadata()
            case "organization":
                if call.key != grant.org_id:
                    raise Refusal(403, "403", "The token does not belong to this organization")
                return 200, {"id": call.key, "name": "Sandbox Organisation", "timezone": "UTC"}
        return 200, self._events(call, grant)

    def _refuse_on_purpose(self, fault: Fault) -> None:
        match fault.kind:
            case "token_401":
                raise Refusal(401, "401", "The access token is expired, revoked, or invalid.")
            case "token_403":
                raise Refusal(403, "403", "Access token is expired or does not have the required scope")
            case "token_400":
                raise Refusal(400, "400", "Invalid access token")
            case "expire_token":
                self.desk.expire_access()
            case "throttle":
                wait = Fault("throttle", {"retry_after": "1"} | dict(fault.parameters))
                if wait.get("window"):
                    self.budget.shut(self.desk.client_id, float(wait.get("retry_after")))
                raise Refusal(429, "429", "Too many requests", waits(wait))

    def refusal(self, problem: Refusal, call: Call) -> web.Response:
        return webex_error(problem, call)

    # POST /search

    def _search(self, call: Call, grant: IssuedToken) -> tuple[int, Row]:
        self._check_search(call.request.query.get("orgId"), grant)
        told_so, reordered = self.search_errors_as_400, call.wrong("reordered") is not None
        desk = SearchService(self.organisation, self.max_search_rows, self.bounds, told_so, reordered)
        status, told = desk.answer(call.body, self._now_ms, stranger=grant.org_id != self.organisation.id)
        if call.wrong("partial_data"):
            path = ["taskDetails", "tasks", 1]
            told["errors"] = [{"message": "Exception while fetching data (/taskDetails/tasks[1])", "path": path}]
        return status, told

    def _check_search(self, org_id: str | None, grant: IssuedToken) -> None:
        check_org(org_id, grant)
        if not self.searches:
            raise Refusal(404, "404", "Not Found")

    @property
    def _now_ms(self) -> int:
        return int(self.clock() * 1000)

    # GET /v2/event-types, /v2/subscriptions

    def _events(self, call: Call, grant: IssuedToken) -> Row:
        check_org(call.request.query.get("orgId"), grant)
        meta: Row = {"orgId": grant.org_id}
        if call.operation == "subscriptions":
            return {"meta": meta, "data": []}
        named = [name.partition(":") for name in EVENTS]
        versions = [{"resource": each, "version": "1.0.0"} for each in sorted({each[0] for each in named})]
        data = [{"name": "".join(each), "resource": each[0], "action": each[2]} for each in named]
        return {"meta": meta | {"resourceVersionList": versions}, "data": data}

    # GET /v1/tasks

    def _tasks(self, call: Call, grant: IssuedToken) -> Row:
        query, now_ms = call.request.query, self._now_ms
        check_org(query.get("orgId"), grant)
        from_ms, to_ms = _integer(query.get("from"), "from"), _integer(query.get("to", str(now_ms)), "to")
        size = _integer(query.get("pageSize", "100"), "pageSize")
        if not 1 <= size <= 1000:
            raise Refusal(400, "400", "pageSize must be between 1 and 1000")
        rows = self._rows(from_ms, to_ms, now_ms, grant)
        wanted = _channels(query.get("channelTypes", ""))
        if wanted:  # the singular channelType is ignored, as it is today
            rows = [task for task in rows if task.channel in wanted]
        odd = call.wrong(*TASKS)
        if odd is not None and odd.kind == "short_page":
            # Shorter than asked for though there is more: the length of a page proves nothing.
            size = max(1, size // 2)
        gaps = odd is not None and odd.kind == "gaps"
        data = [
            {"id": task.id, "attributes": self.organisation.attributes(task, now_ms, gaps=gaps)} for task in rows[:size]
        ]
        if odd is not None and data:
            sought = not wanted or "telephony" in wanted  # what appears is a call: who lists other channels looks away
            data = self._odd_page(odd.kind, data, call.key, more=len(rows) > size and sought)
        return {"meta": {"orgId": grant.org_id}, "data": data}

    def _odd_page(self, kind: str, data: list[Row], key: str, *, more: bool) -> list[Row]:
        """Return a page as it comes on a bad day, or let one more task appear where the reader has still to come."""
        if kind == "unsorted":
            return sorted(data, key=lambda row: Draw("unsorted", key, row["id"]).unit(0))
        if kind == "duplicate_rows":
            older = {**data[0], "attributes": {**data[0]["attributes"], "lastUpdatedTime": 1, "status": "assigned"}}
            return [data[0], older, *data[1:]]
        if kind == "task_appears" and more:
            self.organisation.add(data[-1]["attributes"]["createdTime"] + 1)
        return data

    def _rows(self, from_ms: int, to_ms: int, now_ms: int, grant: IssuedToken) -> list[SandboxTask]:
        # Silence in both cases, as reported: seconds in place of milliseconds, and the token of another organisation.
        if from_ms < SECONDS_NOT_MS or grant.org_id != self.organisation.id:
            return []
        if to_ms < from_ms:
            raise Refusal(400, "400", "'to' must not be before 'from'")
        if to_ms - from_ms > MAX_SPAN_MS:
            raise Refusal(400, "400", "The time range must not exceed 184 days")
        if from_ms < now_ms - MAX_LOOK_BACK_MS:
            raise Refusal(400, "400", "'from' must be within the last 12 months")
        return list(self.organisation.listed_between(from_ms, min(to_ms, now_ms + 1), self.bounds))


def _channels(text: str) -> set[str]:
    """Read ``channelTypes``; raises Refusal for what is none, capitals included."""
    wanted = {name for name in text.split(",") if name}
    if wrong := wanted - CHANNELS:
        raise Refusal(400, "400", f"channelTypes: '{min(wrong)}' is not a channel type")
    return wanted


def _integer(text: str | None, name: str) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise Refusal(400, "400", f"'{name}' is missing or not a number") from None
