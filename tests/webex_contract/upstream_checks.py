"""The upstream's side: what an answer has that the contract has not, and what it lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from graphql import GraphQLError

from tests.webex_contract.findings import Findings
from tests.webex_contract.spec import ERROR, TOKENS, Json, Operation, answer_errors, mistakes, unknown_fields

BEYOND = frozenset({"429", "502", "504"})  # met everywhere, whatever an operation lists
AMZ = frozenset({
    "X-Amz-Algorithm", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires", "X-Amz-Credential", "X-Amz-Signature",
})  # fmt: skip
CALL_TYPES = ("main", "consult", "va-main", "va-consult", "")
S3_STATUSES = (200, 206, 400, 403, 404, 412, 416, 500, 503)
PAGE, GROUPS = 250, 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class UpstreamChecks:
    """Judges answers by an operation of the contract."""

    findings: Findings

    def _error(self, text: str, where: str, example: object = "") -> None:
        self.findings.note("upstream", "error", text, where, example)

    def _note(self, text: str, where: str, example: object = "") -> None:
        self.findings.note("upstream", "note", text, where, example)

    def value(self, where: str, schema: Json, value: object) -> None:
        """Judge a value by a schema."""
        for each in mistakes(schema, value):
            seen = " (seen live)" if each.live else ""
            tell = self._note if each.live else self._error
            tell(f"{each}{seen}", where, json.dumps(each.found)[:300])
        for name in set(unknown_fields(schema, value)):
            self._note(f"field {name} is not in the contract", where, name)

    def answer(
        self, operation: Operation, query: Mapping[str, str], asked: bytes, answer: Answer
    ) -> dict[str, Any] | None:
        """Judge an answer of the APIs; return its body when it is a good one of captures, whose URLs are to be seen."""
        where = operation.where
        if str(answer.status) not in operation.statuses | BEYOND:
            self._error(f"status {answer.status} is not documented", where, answer.data[:200])
        if "trackingid" not in answer.headers:
            self._note(f"no trackingid header with status {answer.status}", where)
        if answer.status == 429:
            self._throttled(answer, where)
            return None
        try:
            body = json.loads(answer.data)
        except ValueError:
            tell = self._error if answer.status < 500 else self._note
            tell(f"status {answer.status}: the body is not JSON", where, answer.data[:120])
            return None
        if answer.status >= 400:
            self._refusal(operation, body)
            return None
        return self._success(operation, query, asked, answer.status, body)

    def _throttled(self, answer: Answer, where: str) -> None:
        wait = answer.headers.get("Retry-After", "")
        if not wait.isdigit():
            self._error("a 429 without Retry-After in seconds (documented as always there)", where, wait)
        if answer.data:
            self._note('a 429 with a body ("will not have a body")', where, answer.data[:200])

    def _refusal(self, operation: Operation, body: object) -> None:
        where = operation.where
        if operation.template == "/search" and isinstance(body, dict) and "errors" in body:
            return
        for each in mistakes(ERROR, body):
            self._error(f"error body: {each}", where, body)
        if not isinstance(body, dict) or not body.keys() >= {"trackingId", "error"}:
            self._error("error body without trackingId and error", where, body)

    def _success(
        self, operation: Operation, query: Mapping[str, str], asked: bytes, status: int, body: Any
    ) -> dict[str, Any] | None:
        where = operation.where
        if operation.template == "/search":
            self.search(where, json.loads(asked), body)
            return None
        if schema := operation.answer_schema(status):
            self.value(where, schema, body)
        if operation.template == "/v1/tasks" and isinstance(body, dict):
            self.tasks(where, query, body)
        if operation.template == "/v1/captures/query" and isinstance(body, dict):
            self.captures(where, json.loads(asked)["query"], body)
            return body
        return None

    # GET /v1/tasks

    def tasks(self, where: str, query: Mapping[str, str], body: Mapping[str, Any]) -> None:
        rows = [each for each in body.get("data") or () if isinstance(each, dict)]
        told = [each["attributes"] for each in rows if isinstance(each.get("attributes"), dict)]
        times = [each.get("createdTime") or 0 for each in told]
        if times != sorted(times):
            self._error("not sorted by createdTime", where)
        if len(rows) > int(query.get("pageSize", 100)):
            self._error("more rows than pageSize", where, len(rows))
        low, high = int(query["from"]), int(query.get("to", 10**15))
        if not all(low <= each <= high for each in times):
            self._error("rows outside from..to", where)
        if "links" in body or "links" in (body.get("meta") or {}):
            self._note("links: no such thing is documented", where)
        channels = query.get("channelTypes", "")
        if channels and not all(each.get("channelType") in channels.split(",") for each in told):
            self._error("rows of other channels than channelTypes", where)
        if len({each.get("id") for each in rows}) < len(rows):
            self._error("the same id twice on one page", where)

    # POST /v1/captures/query

    def captures(self, where: str, query: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        data = [each for each in body.get("data") or () if isinstance(each, dict)]
        asked, named = set(query["taskIds"]), {each.get("taskId") for each in data}
        if foreign := named - asked:
            self._error("an entry nobody asked for", where, foreign)
        if missing := asked - named:
            self._error("no entry for a taskId (documented: an entry with empty lists)", where, missing)
        minutes = (body.get("meta") or {}).get("urlExpiration")
        if minutes != query.get("urlExpiration", 60):
            tell = self._note if minutes is None else self._error
            tell("meta.urlExpiration is missing, or not what was asked", where, body.get("meta"))
        for entry in data:
            self._entry(where, query, entry)
        for item in media_of(body):
            self._url(where, query, str(item["filePath"]))

    def _entry(self, where: str, query: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
        wanted, screens = query.get("includeScreenRecordings"), entry.get("screenRecordings")
        if wanted and screens is None:
            self._error("includeScreenRecordings and no screenRecordings list", where)
        if screens and not wanted:
            self._error("screenRecordings unasked", where)
        for recording in entry.get("recording") or ():
            for text in _wrong_recording(query, recording):
                self._error(text, where)

    def _url(self, where: str, query: Mapping[str, Any], url: str) -> None:
        parts = urlsplit(url)
        names = dict(parse_qsl(parts.query))
        if not names.keys() >= AMZ:
            self._error(f"filePath without {sorted(AMZ - names.keys())}", where, parts.path)
        elif int(names["X-Amz-Expires"]) > 60 * query.get("urlExpiration", 60):
            self._error("X-Amz-Expires is more than urlExpiration", where, names["X-Amz-Expires"])
        if names.get("X-Amz-SignedHeaders", "host") != "host":
            self._note("signed headers other than host", where)
        if len(parts.path.strip("/").split("/")) < 4:
            self._note("filePath is not {org}/{task}/{recording}/{name} as seen live", where, parts.path)

    # POST /search

    def search(self, where: str, asked: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        for error in body.get("errors") or ():
            self._note(f"errors in a 200: {str(error.get('message'))[:120]}", where, error)
        if body.keys() - {"data", "errors", "extensions"}:
            self._error("more than data and errors", where, list(body))
        data = body.get("data")
        if data is None:
            return
        try:
            wrong = answer_errors(str(asked["query"]), data, asked.get("variables"))
        except (GraphQLError, KeyError):
            wrong = ["an answer to what is no GraphQL"]
        for text in wrong:
            self._error(f"search answer: {text}", where, data)
        size = GROUPS if "aggregation" in asked["query"] else PAGE
        for found in data.values():
            for text in _wrong_page(found or {}, size):
                self._error(text, where, (found or {}).get("pageInfo"))

    # Tokens and media

    def token(self, where: str, answer: Answer) -> None:
        if answer.status != 200:
            return
        try:
            self.value(where, TOKENS, json.loads(answer.data))
        except ValueError:
            self._error("token reply is not JSON", where)

    def media(self, where: str, status: int, headers: Mapping[str, str]) -> None:
        kind = headers.get("Content-Type", "")
        if status not in S3_STATUSES:
            self._error(f"media status {status}: S3 has none such for a GET", where)
        if status == 200 and "text/html" in kind:
            self._note("HTML with status 200", where)
        if status in (200, 206) and "ETag" not in headers:
            self._note("media without ETag (S3 always sends one)", where)
        if status >= 400 and status not in (412, 416) and "xml" not in kind:
            self._error(f"media status {status} without S3's XML", where)

    def broke_off(self, where: str, error: BaseException) -> None:
        self._note(f"the connection broke: {type(error).__name__}", where)


def media_of(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield everything in an answer of captures that has a ``filePath``."""
    for entry in body.get("data") or ():
        lists = (entry.get("recording"), entry.get("screenRecordings"))
        items: Iterable[Any] = [each.get("attributes") or {} for found in lists for each in found or ()]
        for item in (*items, *(entry.get("transcription") or ())):
            if isinstance(item.get("filePath"), str):
                yield item


def _wrong_recording(query: Mapping[str, Any], recording: Mapping[str, Any]) -> Iterator[str]:
    told = recording.get("attributes") or {}
    kind = told.get("callType") or ""
    if kind not in CALL_TYPES:
        yield f"callType {kind}"
    if kind.startswith("va") and not query.get("includeVARecordings"):
        yield "a virtual agent recording unasked"
    if "consult" in kind and recording.get("segment"):
        yield "segment true on a consult recording (always false)"
    if recording.get("segment") and not query.get("includeSegments"):
        yield "a segment unasked"
    if told.get("sensitive") and not kind.startswith("va"):
        yield "sensitive on a recording that is no virtual agent's"
    start, stop = told.get("startTime"), told.get("stopTime")
    if all(re.fullmatch(r"\d+", str(each)) for each in (start, stop)) and int(str(stop)) < int(str(start)):
        yield "stopTime before startTime"


def _wrong_page(found: Mapping[str, Any], size: int) -> Iterator[str]:
    rows, info = found.get("tasks") or [], found.get("pageInfo") or {}
    if len(rows) > size:
        yield f"{len(rows)} rows a page ({size})"
    if not info:
        return
    if not info.get("hasNextPage", True) and info.get("endCursor") is not None:
        yield "endCursor is not null on the last page"
    if info.get("hasNextPage") and (("tasks" in found and not rows) or not info.get("endCursor", "?")):
        yield "hasNextPage without rows or cursor"
