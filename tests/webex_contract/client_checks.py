"""The client's side: what a request has that the contract has not, and what it lacks.

Every check notes what it finds; what Cisco would refuse, it returns as a `Refusal`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from graphql import FieldNode, IntValueNode, OperationDefinitionNode, StringValueNode, ValueNode, VariableNode, parse

from tests.webex_contract.findings import Findings
from tests.webex_contract.spec import SPEC, Operation, mistakes, query_errors, unknown_fields

DAY_MS = 86_400_000
SECONDS_NOT_MS = 1e11
UUID = re.compile(r"[0-9a-fA-F-]{36}")
GRANTS = {"refresh_token": {"refresh_token"}, "authorization_code": {"code", "redirect_uri"}}
TOKEN_FIELDS = SPEC["components"]["schemas"]["TokenRequest"]["properties"].keys()


@dataclass(frozen=True, slots=True)
class Refusal:
    """How Cisco says no; ``graphql`` in the form that Search has."""

    status: int
    text: str
    graphql: bool = False


def token_org(headers: Mapping[str, str]) -> str | None:
    """Return the organisation that an access token names at its end."""
    last = headers.get("Authorization", "").rsplit("_", 1)[-1]
    return last if UUID.fullmatch(last) else None


@dataclass(frozen=True, slots=True)
class ClientChecks:
    """Judges requests by an operation of the contract."""

    findings: Findings

    def _error(self, text: str, where: str, example: object = "") -> None:
        self.findings.note("client", "error", text, where, example)

    def _warning(self, text: str, where: str, example: object = "") -> None:
        self.findings.note("client", "warning", text, where, example)

    def _note(self, text: str, where: str, example: object = "") -> None:
        self.findings.note("client", "note", text, where, example)

    def request(self, request: web.BaseRequest, operation: Operation, body: bytes) -> Refusal | None:
        """Judge a request of the APIs; return the first reason to refuse it."""
        return (
            self.headers(request, operation)
            or self.query(request, operation)
            or self.body(request, operation, body)
        )  # fmt: skip

    def headers(self, request: web.BaseRequest, operation: Operation) -> Refusal | None:
        where = operation.where
        if not re.fullmatch(r"Bearer \S+", request.headers.get("Authorization", "")):
            self._error('no "Authorization: Bearer <token>"', where)
            return Refusal(400, "Invalid Authorization header")
        if request.method in ("POST", "PATCH") and request.content_type != "application/json":
            self._error(f"Content-Type {request.content_type}, not application/json", where)
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            self._note("Accept-Encoding without gzip: answers above 1 MB are slower", where)
        if "TrackingId" not in request.headers and operation.template in ("/v1/tasks", "/search"):
            self._note("no TrackingId header (recommended: a UUID a request)", where)
        if "Cookie" in request.headers:
            self._warning("a Cookie was sent", where)
        return None

    # The query

    def query(self, request: web.BaseRequest, operation: Operation) -> Refusal | None:
        where, query = operation.where, request.query
        for name in dict.fromkeys(query):
            if name not in operation.query:
                self._warning(f"query parameter {name} is not in the contract (ignored by Cisco)", where)
            if len(query.getall(name)) > 1:
                self._warning(f"query parameter {name} sent more than once", where)
        found = (_bad_parameter(name, told, query.get(name)) for name, told in operation.query.items())
        bad = next((text for text in found if text), None)
        if operation.template == "/v1/tasks" and bad is None:
            bad = self._window(query, where)
        org, own = query.get("orgId"), token_org(request.headers)
        if org and own and org != own:
            self._error("orgId is not that of the token", where)
            return Refusal(403, "Forbidden")
        if bad is None:
            return None
        self._error(bad, where, request.query_string)
        return Refusal(400, bad)

    def _window(self, query: Mapping[str, str], where: str) -> str | None:
        now = time.time() * 1000
        low, high = int(query["from"]), int(query.get("to", now))
        if 0 < low < SECONDS_NOT_MS:
            self._error("from in seconds: silently empty", where, low)
            return None
        if high > now + 60_000:
            self._warning("to lies in the future", where, high - now)
        if high < low:
            self._warning("to is before from", where)
        if high - low > 184 * DAY_MS:
            return "the span is more than 184 days"
        return "from is more than 12 months ago" if low < now - 366 * DAY_MS else None

    # The body

    def body(self, request: web.BaseRequest, operation: Operation, raw: bytes) -> Refusal | None:
        where, schema = operation.where, operation.body_schema
        if schema is None:
            if raw:
                self._warning("a body where none is expected", where)
            return None
        try:
            body = json.loads(raw)
        except ValueError:
            self._error("the body is not JSON", where)
            return Refusal(400, "Malformed JSON")
        fatal = [str(each) for each in mistakes(schema, body)]
        for text in fatal:
            self._error(text, where, raw[:300].decode(errors="replace"))
        for name in set(unknown_fields(schema, body)):
            self._warning(f"field {name} is not in the contract", where)
        if fatal:
            return Refusal(400, fatal[0])
        if operation.template == "/v1/captures/query":
            return self._captures(body["query"], token_org(request.headers), where)
        return self._search(body, where) if operation.template == "/search" else None

    def _captures(self, query: Mapping[str, Any], own: str | None, where: str) -> Refusal | None:
        if query.get("urlExpiration", 1) <= 0:
            self._error("urlExpiration must be above 0", where)
            return Refusal(400, "urlExpiration should be greater than 0.")
        if not query["taskIds"]:
            self._error("no taskIds", where)
            return Refusal(400, "taskIds must not be empty")
        if not all(UUID.fullmatch(each) for each in query["taskIds"]):
            self._note("taskIds that are no UUID (the spec says uuid, other ids exist)", where, query["taskIds"])
        if "orgId" not in query:
            self._note("no orgId: a service app must send it", where)
        for flag in ("includeScreenRecordings", "includeVARecordings"):
            if not query.get(flag):
                self._note(f"{flag} is not asked for: such recordings are never seen", where)
        if own and query.get("orgId") not in (None, own):
            self._error("orgId is not that of the token", where)
            return Refusal(403, "Forbidden")
        return None

    # Search

    def _search(self, body: Mapping[str, Any], where: str) -> Refusal | None:
        query, variables = str(body.get("query") or ""), body.get("variables") or {}
        errors = query_errors(query)
        for text in errors[:5]:
            self._error(f"GraphQL: {text}", where, query)
        if errors:
            return Refusal(400, errors[0], graphql=True)
        if variables:
            self._note("variables: documented for persisted queries only (they are seen to work)", where)
        for root in _roots(query):
            if root.name.value == "task":
                self._note("task is the older query, taskDetails is recommended", where)
            if refusal := self._span(root, variables, "activities" in query, where):
                return refusal
        return None

    def _span(self, root: FieldNode, variables: Mapping[str, Any], activities: bool, where: str) -> Refusal | None:
        given = {each.name.value: _literal(each.value, variables) for each in root.arguments or ()}
        low, high, now = given.get("from") or 0, given.get("to") or 0, time.time() * 1000
        text = ""
        if low < SECONDS_NOT_MS:
            self._error("from in seconds: silently empty", where, low)
        elif high - low > 365 * DAY_MS:
            text = "The duration between to and from must not be more than 365 days"
        elif low < now - 1096 * DAY_MS:
            text = "from cannot be older than 36 months"
        elif activities and high - low > 30 * DAY_MS:
            text = "The duration between to and from must not be more than 30 days"
        if not text:
            return None
        self._error(text, where, (low, high))
        return Refusal(400, text)

    # Tokens and media

    def token(self, request: web.BaseRequest, raw: bytes, where: str) -> None:
        form = dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
        if request.content_type != "application/x-www-form-urlencoded":
            self._error(f"Content-Type {request.content_type}", where)
        needed = GRANTS.get(form.get("grant_type", ""))
        if needed is None:
            self._error(f"grant_type {form.get('grant_type')}", where)
        for name in sorted(({"client_id", "client_secret"} | (needed or set())) - form.keys()):
            self._error(f"token request without {name}", where)
        for name in sorted(form.keys() - TOKEN_FIELDS):
            self._warning(f"token request with {name}", where)
        if request.query_string:
            self._error("secrets in the query of the token request", where)

    def media(self, request: web.BaseRequest, handed_out: frozenset[str]) -> bool:
        """Judge a download; False when two kinds of credentials came, which S3 refuses."""
        where, headers = f"{request.method} media", request.headers
        if "Authorization" in headers:
            self._error("Authorization sent to the pre-signed URL", where)
            return False
        if request.method != "GET":
            self._error(f"{request.method}: the URL is signed for GET", where)
        if request.raw_path not in handed_out:
            path = request.raw_path.partition("?")[0]
            self._error("the URL is not the one that was handed out, letter by letter", where, path)
        if "Range" in headers and "If-Match" not in headers:
            self._note("Range without If-Match", where)
        if "gzip" in headers.get("Accept-Encoding", ""):
            self._note("Accept-Encoding gzip on media", where)
        return True


def _bad_parameter(name: str, told: Mapping[str, Any], value: str | None) -> str | None:
    """Say what is wrong with one query parameter."""
    schema = told["schema"]
    if value is None:
        return f"{name} is required" if told.get("required") else None
    if schema.get("type") == "integer":
        if not re.fullmatch(r"-?\d+", value):
            return f"{name} is no integer"
        if not schema.get("minimum", -1e18) <= int(value) <= schema.get("maximum", 1e18):
            return f"{name} out of range"
    if schema.get("type") == "array":
        allowed = schema["items"].get("enum", value.split(","))
        if wrong := set(value.split(",")) - set(allowed):
            return f"{name}: {sorted(wrong)} is not one of the listed values"
    return None


def _roots(query: str) -> list[FieldNode]:
    first = parse(query).definitions[0]
    if not isinstance(first, OperationDefinitionNode):
        return []
    return [each for each in first.selection_set.selections if isinstance(each, FieldNode)]


def _literal(node: ValueNode, variables: Mapping[str, Any]) -> int | None:
    """Return a number that stands in the query or in its variables."""
    value = variables.get(node.name.value) if isinstance(node, VariableNode) else None
    if isinstance(node, IntValueNode | StringValueNode):
        value = node.value
    return int(value) if isinstance(value, int | str) and str(value).lstrip("-").isdigit() else None
