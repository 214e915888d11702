"""POST /v1/captures/query: what lies at the media host for up to ten tasks, under URLs signed a moment ago."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from wxrec_async.sandbox.extra_media import ExtraMedia
from wxrec_async.sandbox.fault_kinds import ENTRIES, Fault
from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.gateway import check_org
from wxrec_async.sandbox.organisation import Organisation, SandboxTask
from wxrec_async.sandbox.presign import Presigner
from wxrec_async.sandbox.seeded import Draw
from wxrec_async.sandbox.token_service import IssuedToken
from wxrec_async.sandbox.truth import SandboxRecording, participants

Row = dict[str, Any]
NOTHING = Fault("not_ready")
# Where clouds keep the credentials of their machines: what a forged URL would be after.
BAD_URL = "http://169.254.169.254/latest/recording.wav?X-Amz-Signature=CANARY-SIG"
# As documented, like the 400 for urlExpiration 0.
MAX_TASK_IDS = 10
MAX_URL_MINUTES = 60
FLAGS = ("includeSegments", "includeVARecordings", "includeScreenRecordings", "includeAllDigitalVersions")
FIELDS = frozenset({"taskIds", "orgId", "urlExpiration", *FLAGS})
# A main call has the customer on one side; a consultation has two agents.
SIDES = {"main": ("Caller", "Agent"), "consult": ("Agent", "Agent"), "va-main": ("Caller", "VA")}


@dataclass(frozen=True, slots=True)
class CapturesQuery:
    """A body that was found right."""

    ids: list[str]
    org_id: str | None
    minutes: int
    flags: frozenset[str]


@dataclass(slots=True)
class CapturesService:
    """Answers for one organisation; ``untrusted`` are the origins of media ports with a bad certificate."""

    organisation: Organisation
    presigner: Presigner
    clock: Callable[[], float]
    untrusted: Mapping[str, str] = field(default_factory=dict)

    def answer(self, call: Call, grant: IssuedToken) -> Row:
        """Return the answer; raises Refusal."""
        query = read_query(call.body)
        check_org(query.org_id, grant)
        odd = self._odd(call, query.ids)
        # To a token of another organisation all tasks are unknown, and those have empty lists: no 403 tells it.
        if grant.org_id != self.organisation.id:
            odd = dict.fromkeys(query.ids, NOTHING)
        entries = [self._entry(task_id, query, odd.get(task_id)) for task_id in query.ids]
        if call.wrong("foreign_entry"):
            entries.append({"taskId": Draw("foreign", call.key).uuid(), "recording": [], "transcription": []})
        there = (each for each in entries if each is not None)
        # In no order that means anything: whose an entry is says its taskId alone.
        data = sorted(there, key=lambda each: Draw("order", call.key, each["taskId"]).unit(0))
        return {"meta": {"orgId": grant.org_id, "urlExpiration": query.minutes}, "data": data}

    def _odd(self, call: Call, ids: Iterable[str]) -> dict[str, Fault]:
        """Return what goes wrong, by task."""
        if whole := call.wrong(*ENTRIES):
            return dict.fromkeys(ids, whole)
        single = call.wrong("per_entry")
        return dict(single.get("entries")) if single else {}

    def _entry(self, task_id: str, query: CapturesQuery, odd: Fault | None) -> Row | None:
        """Return the entry of one task, with empty lists when there is nothing; None stands for no entry at all."""
        kind = odd.kind if odd is not None else ""
        # Without its flag the third list is not there at all, with it an empty one is.
        lists = ("recording", "transcription") + ("screenRecordings",) * ("includeScreenRecordings" in query.flags)
        # These three are not documented: what Webex has nothing for is an entry with empty lists.
        if kind == "missing_entry":
            return None
        if kind in ("null_lists", "no_lists"):
            return {"taskId": task_id} | (dict.fromkeys(lists) if kind == "null_lists" else {})
        task, now_ms = self.organisation.get(task_id), int(self.clock() * 1000)
        found: Row = {"taskId": task_id} | {name: [] for name in lists}
        # Unknown, purged, never recorded, not ready yet: Webex answers all of them alike, on purpose.
        if task is None or kind == "not_ready" or now_ms + self.organisation.ahead_ms < task.ready_ms:
            return found
        found["recording"] = [
            self._with_url(self._recording(each, query.minutes, as_text=kind == "text_times"), odd)
            for each in self._recordings(task, query, now_ms)
        ]
        found["transcription"] = self._transcripts(task, query)
        if "screenRecordings" in found:
            found["screenRecordings"] = self._screens(task, query)
        return found

    def _recordings(self, task: SandboxTask, query: CapturesQuery, now_ms: int) -> list[SandboxRecording]:
        segments, virtual = "includeSegments" in query.flags, "includeVARecordings" in query.flags
        extras = self.organisation.extras(task, segments=segments, virtual=virtual, now_ms=now_ms)
        # What was asked for besides comes first: whoever takes the first entry for the main recording is wrong.
        return [*extras, *self.organisation.recordings(task, now_ms)]

    def _recording(self, recording: SandboxRecording, minutes: int, *, as_text: bool) -> Row:
        one, two = SIDES[recording.call_type]
        moment: Callable[[int], int | str] = str if as_text else int
        attributes = {
            "fileName": recording.file_name,
            "filePath": self._url(recording.task_id, recording.own_id, recording.file_name, minutes),
            "startTime": moment(recording.start_ms),
            "stopTime": moment(recording.stop_ms),
            "participants": participants(recording),
            "channel1": one,
            "channel2": two,
            "callType": recording.call_type,
            "sensitive": False,
        }
        return {"id": recording.id, "segment": recording.segment, "attributes": attributes}

    def _transcripts(self, task: SandboxTask, query: CapturesQuery) -> list[Row]:
        found = self.organisation.transcripts(task, every_version="includeAllDigitalVersions" in query.flags)
        return [{"id": each.id, **self._attached(task, each, query.minutes)} for each in found]

    def _screens(self, task: SandboxTask, query: CapturesQuery) -> list[Row]:
        found = self.organisation.screens(task)
        return [{"id": each.id, "attributes": self._attached(task, each, query.minutes)} for each in found]

    def _attached(self, task: SandboxTask, attachment: ExtraMedia, minutes: int) -> Row:
        url = self._url(task.id, attachment.id, attachment.file_name, minutes)
        return {"fileName": attachment.file_name, "filePath": url, **attachment.told}

    def _url(self, task_id: str, own_id: str, file_name: str, minutes: int) -> str:
        """Sign ``/{organisation}/{task}/{recording}/{name}``, the form that was seen."""
        parts = (self.organisation.id, task_id, own_id, file_name)
        return self.presigner.sign("".join(f"/{quote(part, safe='')}" for part in parts), minutes * 60)

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


def read_query(body: bytes) -> CapturesQuery:
    """Read a body; raises Refusal with what is wrong with it."""
    try:
        query = json.loads(body)["query"]
        ids = query["taskIds"]
        unknown = query.keys() - FIELDS
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refusal(400, "400", "query.taskIds is required") from None
    # Cisco may ignore it; here a misspelt flag must not pass for one that was not given.
    if unknown:
        raise Refusal(400, "400", f"Unknown field '{min(unknown)}'")
    minutes = query.get("urlExpiration", MAX_URL_MINUTES)
    _check_ids(ids)
    # type, as True is an int to isinstance.
    if type(minutes) is not int or not 1 <= minutes <= MAX_URL_MINUTES:
        raise Refusal(400, "400", "urlExpiration should be greater than 0 and at most 60.")
    if not all(isinstance(query.get(flag, False), bool) for flag in FLAGS):
        raise Refusal(400, "400", "The include flags are true or false")
    return CapturesQuery(ids, query.get("orgId"), minutes, frozenset(flag for flag in FLAGS if query.get(flag)))


def _check_ids(ids: object) -> None:
    if not isinstance(ids, list) or not all(isinstance(each, str) and each for each in ids):
        raise Refusal(400, "400", "taskIds must be strings")
    if not 1 <= len(ids) <= MAX_TASK_IDS or len(set(ids)) != len(ids):
        raise Refusal(400, "400", "taskIds must contain 1 to 10 unique ids")


def readable_ids(body: bytes) -> list[str]:
    """Return the task ids of a body for the log; an unreadable body has none."""
    try:
        ids = json.loads(body)["query"]["taskIds"]
    except (ValueError, TypeError, KeyError, IndexError):
        return []
    return [item for item in ids if isinstance(item, str)] if isinstance(ids, list) else []
