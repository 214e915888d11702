"""Webex as Cisco documents it: tasks, captures, Search and tokens, without any trouble."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.worlds.clock import SKY
from tests.worlds.truth import NUMBER, OPEN, ORG, OVER, SIGNATURE, Call, Recording, Truth
from tests.worlds.wire import Answer, Request, now_ms

MEDIA_HOST = "cjp-ccone-produs1-media-storage-recording.s3.amazonaws.com"
SPAN = re.compile(r"from:\s*(\d+),?\s*to:\s*(\d+)")
CURSOR = re.compile(r'cursor:\s*"([^"]*)"')
CHANNEL = re.compile(r"channelType:\s*\{\s*equals:\s*(\w+)")
LEASE_S = 3600


def json_answer(value: object, status: int = 200, **more: Any) -> Answer:
    """Answer with JSON as the gateway writes it."""
    headers = (("Content-Type", "application/json"), ("TrackingId", "ROUTERGW_0f1e2d3c"))
    return Answer(status, headers, json.dumps(value).encode(), **more)


def refused(status: int, words: str) -> Answer:
    """Answer with an error in the gateway's form."""
    error = {"key": str(status), "message": [{"description": words}]}
    return json_answer({"trackingId": "ROUTERGW_0f1e2d3c", "error": error}, status)


@dataclass(slots=True)
class Ways:
    """What Webex may do one way or the other, and be right: none of it is a trouble."""

    strict: bool = False
    page_cap: int = 1000
    search_page: int = 250
    reverse_captures: bool = False
    text_times: bool = False
    sparse_rows: bool = False
    shuffled_search: bool = False
    refuses_future: bool = False
    has_search: bool = True
    upper_captures: bool = False
    upper_search: bool = False
    no_status: bool = False
    filter_last: bool = False


@dataclass(slots=True)
class Webex:
    """The organisation's side; ``tokens`` are those that pass."""

    truth: Truth
    ways: Ways = field(default_factory=Ways)
    number: int = 1
    tokens: set[str] = field(default_factory=set)
    leases: dict[str, float] = field(default_factory=dict)
    expires_in: int = 1209599

    def new_token(self) -> str:
        """Make an access token that names its organisation at its end."""
        self.number += 1
        token = f"CANARY-AT-{self.number:04d}b7e1_PF84_{ORG}"
        self.tokens.add(token)
        return token

    def token(self, request: Request) -> Answer:
        """Renew."""
        if request.method != "POST":
            return refused(405, "Method not allowed")
        grant = {"access_token": self.new_token(), "expires_in": self.expires_in, "token_type": "Bearer"}
        return json_answer(
            {**grant, "refresh_token": f"CANARY-RT-{self.number:04d}", "refresh_token_expires_in": 7775999}
        )

    def tasks(self, request: Request, *, newest_first: bool = False) -> Answer:
        """List one page."""
        asked = request.query
        try:
            first, last = int(asked["from"]), int(asked.get("to", now_ms()))
            size = min(int(asked.get("pageSize", 100)), self.ways.page_cap)
        except (KeyError, ValueError):
            return refused(400, "Invalid parameter")
        if self.ways.refuses_future and last > now_ms() + 1000:
            return refused(400, "to must not lie in the future")
        channels = [name for name in asked.get("channelTypes", "").split(",") if name]
        rows = [call for call in self.listed() if self._within(call, first, last)]
        if self.ways.filter_last:
            rows = rows[:size]
        rows = [call for call in rows if not channels or call.channel in channels]
        if newest_first:
            rows.reverse()
        return json_answer({"meta": {"orgId": ORG}, "data": [self.row(call) for call in rows[:size]]})

    def listed(self) -> list[Call]:
        """Everything that has begun and is on the list, oldest first."""
        return [call for call in self._known() if call.listed]

    def _known(self) -> list[Call]:
        return [call for call in self.truth.calls if max(call.created_ms, call.appears_ms) <= now_ms()]

    def _within(self, call: Call, first: int, last: int) -> bool:
        if self.ways.strict:
            return first < call.created_ms < last
        return first <= call.created_ms <= last

    def row(self, call: Call) -> dict[str, Any]:
        """Write a row of tasks."""
        over = call.ended_ms <= now_ms()
        times: dict[str, Any] = {"createdTime": call.created_ms, "lastUpdatedTime": min(call.ended_ms, now_ms())}
        if self.ways.text_times:
            times = {name: str(value) for name, value in times.items()}
        named: dict[str, Any] = {
            "owner": {"id": "a-1", "name": "Agent"}, "queue": {"id": "q-1", "name": "Sales"},
            "origin": f"{NUMBER}123", "destination": f"{NUMBER}199", "direction": "inbound",
        }  # fmt: skip
        if self.ways.sparse_rows:
            named = {"owner": None, "origin": None}
        state = {"channelType": call.channel, "status": OVER if over else OPEN, "isActive": not over}
        if self.ways.no_status:
            state = {"channelType": call.channel, "status": None}
        promised = call.requested if over else None
        return {"id": call.id, "attributes": {**times, **named, **state, "captureRequested": promised}}

    def captures(self, request: Request) -> Answer:
        """Name the recordings of up to ten tasks."""
        try:
            query = json.loads(request.body)["query"]
            ids = list(query["taskIds"])
        except (ValueError, KeyError, TypeError):
            return refused(400, "Invalid body")
        if not 1 <= len(ids) <= 10:
            return refused(400, "taskIds must hold 1 to 10 ids")
        entries = [self.entry(task_id) for task_id in ids]
        if self.ways.reverse_captures:
            entries.reverse()
        return json_answer({"meta": {"orgId": ORG, "urlExpiration": 60}, "data": entries})

    def entry(self, task_id: str) -> dict[str, Any]:
        """Write what captures has of a task; unknown ones have empty lists."""
        call = self.truth.call(task_id)
        ready = [self.capture(each) for each in call.recordings if each.ready_ms <= now_ms()] if call else []
        named = task_id.upper() if self.ways.upper_captures else task_id
        return {"taskId": named, "recording": ready, "transcription": []}

    def has_named(self, request: Request) -> None:
        """Note which recordings an answer named that nothing troubled: what a later one can contradict."""
        for call in map(self.truth.call, ids_asked(request)):
            if call and call.ended_ms <= now_ms() and any(each.ready_ms <= now_ms() for each in call.recordings):
                call.named = True

    def capture(self, recording: Recording) -> dict[str, Any]:
        """Write one recording with a fresh URL."""
        self.number += 1
        lease = f"{SIGNATURE}{self.number:08d}"
        self.leases[lease] = SKY.now + LEASE_S
        path = f"/{ORG}/{recording.call_id}/{recording.place or recording.id}/combinedRecordings.wav"
        url = f"https://{MEDIA_HOST}{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={lease}"
        times: dict[str, Any] = {"startTime": recording.start_ms, "stopTime": min(recording.stop_ms, now_ms())}
        if self.ways.text_times:
            times = {name: str(value) for name, value in times.items()}
        said = {"fileName": "combinedRecordings.wav", "filePath": url, "participants": [f"{NUMBER}123"], **times}
        more = {"channel1": "Caller", "channel2": "Agent", "callType": recording.call_type}
        return {"id": recording.id, "segment": False, "attributes": {**said, **more}}

    def search(self, request: Request) -> Answer:
        """Answer a query for tasks, as the program's own may be written; its values are all that is read of it."""
        if not self.ways.has_search:
            return refused(404, "Not found")
        try:
            query = json.loads(request.body)["query"]
            first, last = map(int, SPAN.search(query).groups())  # type: ignore[union-attr]
        except (ValueError, KeyError, TypeError, AttributeError):
            return refused(400, "Missing field argument")
        rows = [call for call in self._known() if self._within(call, first, last)]
        if channel := CHANNEL.search(query):
            rows = [call for call in rows if call.channel == channel[1]]
        if self.ways.shuffled_search:
            rows.sort(key=lambda call: call.id)
        found = CURSOR.search(query)
        begin = int(found[1]) if found and found[1].isdigit() else 0
        page = rows[begin : begin + self.ways.search_page]
        more = begin + len(page) < len(rows)
        info = {"hasNextPage": more, "endCursor": str(begin + len(page)) if more else None}
        tasks = [self.witness(call, query) for call in page]
        return json_answer({"data": {"taskDetails": {"tasks": tasks, "pageInfo": info}}})

    def witness(self, call: Call, query: str) -> dict[str, Any]:
        """Write a row of Search, with the fields that were asked for."""
        over = call.ended_ms <= now_ms()
        ready = [each for each in call.recordings if each.ready_ms <= now_ms()]
        row = {
            "id": call.id.upper() if self.ways.upper_search else call.id, "status": "ended" if over else OPEN,
            "isActive": not over, "createdTime": call.created_ms,
            "endedTime": call.ended_ms if over else None, "channelType": call.channel,
            "totalDuration": call.ended_ms - call.created_ms if over else None, "captureRequested": call.requested,
            "recordingCount": len(ready), "recordingFileSize": sum(len(each.body) for each in ready),
            "recordingErrorCount": 0, "isRecordingDeleted": False, "direction": "INBOUND",
            "lastQueue": {"name": "Sales"}, "lastAgent": {"name": "Agent"},
        }  # fmt: skip
        return {name: value for name, value in row.items() if re.search(rf"\b{name}\b", query)}


def ids_asked(request: Request) -> Iterable[str]:
    """Return the task ids of a captures request."""
    try:
        return [str(each) for each in json.loads(request.body)["query"]["taskIds"]]
    except (ValueError, KeyError, TypeError):
        return []
