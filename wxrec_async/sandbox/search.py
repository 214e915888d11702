"""POST /v1/search: contacts by GraphQL, in pages of 250, and counts of them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wxrec_async.sandbox.graphql import Field, QueryError, parse
from wxrec_async.sandbox.organisation import DAY_MS, Organisation, SandboxTask

PAGE = 250
MAX_WIDE_MS = 365 * DAY_MS
MAX_BACK_MS = 36 * 31 * DAY_MS
ROOTS = ("task", "taskDetails")
ARGUMENTS = {"from", "to", "timeComparator", "filter", "pagination", "aggregations", "aggregation"}
Row = dict[str, Any]


@dataclass(slots=True)
class SearchDesk:
    """Answers queries about one organisation; no query gets further than ``max_rows`` rows, and none is told so."""

    organisation: Organisation
    max_rows: int = 100_000

    def empty(self) -> dict[str, Any]:
        """Answer a stranger."""
        return {"data": {"taskDetails": {"tasks": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}}}

    def answer(self, body: bytes, now_ms: int) -> dict[str, Any]:
        """Answer one request; what is wrong with it comes with status 200, as GraphQL has it."""
        try:
            asked = json.loads(body)
            variables = asked.get("variables") or {}
            roots = parse(asked["query"], variables)
            return {"data": {root.answer_name: self._root(root, now_ms) for root in roots}}
        except QueryError as error:
            return {"errors": [{"message": str(error), "extensions": {"classification": "ValidationError"}}]}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"errors": [{"message": "The request is not a GraphQL query"}]}

    def _root(self, root: Field, now_ms: int) -> dict[str, Any]:
        if root.name not in ROOTS:
            raise QueryError(f"Field '{root.name}' in type 'Query' is undefined")
        if unknown := root.arguments.keys() - ARGUMENTS:
            raise QueryError(f"Unknown field argument '{min(unknown)}'")
        tasks = self._tasks(root.arguments, now_ms)
        if aggregations := root.arguments.get("aggregations"):
            return self._aggregated(root, tasks, aggregations, now_ms)
        start = _offset(root.arguments.get("pagination"))
        served = tasks[: self.max_rows]
        page, end = served[start : start + PAGE], start + PAGE
        found: dict[str, Callable[[Field], Any]] = {
            "tasks": lambda asked: [
                _selected(self.organisation.search_row(task, now_ms), asked.selection) for task in page
            ],
            "pageInfo": lambda asked: _selected(
                {"hasNextPage": end < len(served), "endCursor": _cursor(end) if page else None}, asked.selection
            ),
        }
        return {each.answer_name: _known(found, each)(each) for each in root.selection}

    def _tasks(self, arguments: dict[str, Any], now_ms: int) -> Sequence[SandboxTask]:
        from_ms, to_ms = _long(arguments, "from"), min(_long(arguments, "to"), now_ms)
        if to_ms - from_ms > MAX_WIDE_MS:
            raise QueryError("The time range must not exceed 365 days")
        if from_ms < now_ms - MAX_BACK_MS:
            raise QueryError("'from' must not be older than 36 months")
        return _filtered(self.organisation.searched_between(from_ms, to_ms), arguments.get("filter"))

    def _aggregated(
        self, root: Field, tasks: Sequence[SandboxTask], aggregations: list[dict[str, Any]], now_ms: int
    ) -> dict[str, Any]:
        rows = [self.organisation.search_row(task, now_ms) for task in tasks]
        values = [{"name": each.get("name"), "value": _aggregate(each, rows)} for each in aggregations]
        return {
            each.answer_name: [_selected({"aggregation": values}, each.selection)] if each.name == "tasks" else None
            for each in root.selection
        }


def _filtered(tasks: Sequence[SandboxTask], wanted: object) -> Sequence[SandboxTask]:
    """Understand ``{channelType: {equals: telephony}}``, alone or in a list under ``and``."""
    if not wanted:
        return tasks
    if not isinstance(wanted, dict):
        raise QueryError("The filter is not an object")
    if "and" in wanted:
        for each in wanted["and"]:
            tasks = _filtered(tasks, each)
        return tasks
    channel = wanted.get("channelType")
    if set(wanted) != {"channelType"} or not isinstance(channel, dict) or "equals" not in channel:
        raise QueryError("Unknown filter")
    return [task for task in tasks if task.channel == channel["equals"]]


def _aggregate(asked: dict[str, Any], rows: Sequence[Row]) -> Any:
    values = [row[asked["field"]] for row in rows if row.get(asked["field"]) is not None]
    match asked.get("type"):
        case "count":
            return len(values)
        case "sum":
            return sum(values)
        case "max":
            return max(values, default=0)
    raise QueryError("Unknown aggregation")


def _selected(row: Row, selection: Sequence[Field]) -> Row:
    found: Row = {}
    for each in selection:
        value = _known(row, each)
        if isinstance(value, dict) and each.selection:
            value = _selected(value, each.selection)
        elif isinstance(value, list) and each.selection:
            value = [_selected(item, each.selection) for item in value]
        elif value is not None and (isinstance(value, dict | list) or each.selection):
            raise QueryError(f"Field '{each.name}' takes another selection")
        found[each.answer_name] = value
    return found


def _known(row: dict[str, Any], asked: Field) -> Any:
    if asked.name not in row:
        raise QueryError(f"Field '{asked.name}' is undefined")
    return row[asked.name]


def _long(arguments: dict[str, Any], name: str) -> int:
    value = arguments.get(name)
    try:
        return int(value)  # type: ignore[arg-type]  # a Long may come as text
    except (TypeError, ValueError):
        raise QueryError(f"Argument '{name}' is required") from None


def _cursor(offset: int) -> str:
    return base64.b64encode(f"rows:{offset}".encode()).decode()


def _offset(pagination: object) -> int:
    cursor = pagination.get("cursor", "0") if isinstance(pagination, dict) else "0"
    if cursor in ("0", "", None):
        return 0
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("rows:"))
    except (binascii.Error, ValueError, TypeError):
        raise QueryError("Invalid cursor") from None
