"""POST /search: contacts by GraphQL, in pages of 250, and what they add up to."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wxrec_async.sandbox.contact_record import activities_of
from wxrec_async.sandbox.front import Refusal
from wxrec_async.sandbox.graphql import Field, QueryError, read_query
from wxrec_async.sandbox.organisation import DAY_MS, Bounds, Organisation, SandboxTask
from wxrec_async.sandbox.search_filters import aggregate, fits, fits_activities, interval_start
from wxrec_async.sandbox.search_schema import OBJECT_TYPES, QUERY, FieldType, check

# As documented: pages of fixed size, 365 days in one query (30 with activities), 36 months back.
PAGE = 250
GROUPS = 1000
MAX_WIDE_MS = 365 * DAY_MS
MAX_BACK_MS = 1096 * DAY_MS
ACTIVITIES_WIDE_MS = 30 * DAY_MS
# Our own figure: that an extFilter may end in 413 is documented, when it does is not.
EXT_FILTER_READS = 2500
# "NA" and "0" are what Cisco's samples say for the first page, where they say anything.
FIRST_PAGE = ("NA", "0", "", None)
Row = dict[str, Any]


@dataclass(slots=True)
class SearchService:
    """Answers queries about one organisation; no query gets further than ``max_rows`` rows, and none is told so.

    ``errors_as_400``: what the schema does not allow comes with status 400, not with the 200 that GraphQL has for it.
    ``reordered``: every page but the first is cut from the rows the other way round.
    """

    organisation: Organisation
    max_rows: int = 100_000
    bounds: Bounds = "strict"
    errors_as_400: bool = False
    reordered: bool = False

    def answer(self, body: bytes, now_ms: int, *, stranger: bool = False) -> tuple[int, Row]:
        """Return status and body; ``stranger`` is whoever asks with another organisation's token: nothing is there."""
        try:
            asked = json.loads(body)
            roots = read_query(asked["query"], asked.get("variables") or {})
            check(roots)
        except QueryError as error:
            # Seen in a live run; of everything else nobody knows whether it is a 400 or a 200 with errors.
            if error.missing:
                raise Refusal(400, "400", str(error)) from None
            return (400 if self.errors_as_400 else 200), {"errors": [_error(error)]}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refusal(400, "400", "The request is not a GraphQL query") from None
        return 200, {"data": {root.answer_name: self._root(root, now_ms, stranger=stranger) for root in roots}}

    def _root(self, root: Field, now_ms: int, *, stranger: bool) -> Row:
        arguments = root.arguments
        span = _span(root, now_ms)
        if root.name == "taskLegDetails" or stranger:  # legs are early access: empty for who is not in the programme
            return self._listed(root, [], cursor=None)
        rows = self._rows(arguments, span, now_ms)
        if summed := arguments.get("aggregations") or (arguments.get("aggregation") or {}).get("aggr"):
            rows = _grouped(root, rows, summed if isinstance(summed, list) else [summed])
            return self._page(root, rows, GROUPS)
        # Cut without a word: no cursor of Webex's reaches further, and none of them says so.
        return self._page(root, _sorted(root, rows)[: self.max_rows], PAGE)

    def _rows(self, arguments: Row, span: tuple[int, int], now_ms: int) -> list[Row]:
        """Return the rows that a query speaks of, oldest first."""
        wanted, special = arguments.get("filter"), arguments.get("extFilter")
        rows: list[Row] = []
        for number, task in enumerate(self._tasks(arguments, span, now_ms)):
            if special and number >= EXT_FILTER_READS and len(rows) < PAGE:
                raise Refusal(413, "413", "Content Too Large")
            row = self.organisation.search_row(task, now_ms)
            if fits(row, wanted) and (not special or fits_activities(activities_of(row), special)):
                rows.append(row)
        return rows

    def _tasks(self, arguments: Row, span: tuple[int, int], now_ms: int) -> Sequence[SandboxTask]:
        if arguments.get("timeComparator") != "endedTime":
            return self.organisation.searched_between(*span, self.bounds)
        low, high = span
        # No contact here lasts longer than a day.
        before = self.organisation.searched_between(low - DAY_MS, high, self.bounds)
        ended = [(self.organisation.search_row(task, now_ms).get("endedTime"), task) for task in before]
        return [task for moment, task in ended if moment is not None and low < moment < high]

    def _page(self, root: Field, rows: Sequence[Row], size: int) -> Row:
        start = _offset(root.arguments.get("pagination"))
        if self.reordered and start:
            rows = rows[::-1]
        end = start + size
        # endCursor is null behind the last page, as in every sample.
        return self._listed(root, rows[start:end], cursor=_cursor(end) if end < len(rows) else None)

    def _listed(self, root: Field, rows: Sequence[Row], *, cursor: str | None) -> Row:
        of = OBJECT_TYPES[QUERY[root.name].ref]
        page = {"hasNextPage": cursor is not None, "endCursor": cursor}
        return {
            each.answer_name: selected({each.name: page if each.name == "pageInfo" else rows}, each, of)
            for each in root.selection
        }


def selected(row: Mapping[str, Any], asked: Field, fields: Mapping[str, FieldType]) -> Any:
    """Return what was asked for of a row; composites without facts come with null leaves, lists without as null."""
    kind = fields[asked.name]
    if asked.name == "activities":
        return _activities(row, asked)
    value = row.get(asked.name)
    if not asked.selection:
        return value
    below = OBJECT_TYPES[kind.of]
    if kind.ref.startswith("["):
        return None if value is None else [_object(each, asked, below) for each in value]
    return _object(value or {}, asked, below)


def _object(row: Mapping[str, Any], asked: Field, fields: Mapping[str, FieldType]) -> Row:
    return {each.answer_name: selected(row, each, fields) for each in asked.selection}


def _activities(row: Mapping[str, Any], asked: Field) -> Row:
    """Return a page of a contact's events, newest first; the cursor is the time of the last one."""
    everything = activities_of(row)
    size = min(asked.arguments.get("first") or 25, 100)
    after = asked.arguments.get("after")
    left = [each for each in everything if after in FIRST_PAGE or each["createdTime"] < int(after)]
    page = left[:size]
    more = len(left) > len(page)
    cursor = str(page[-1]["createdTime"]) if more and page else None
    told = {"totalCount": len(everything), "nodes": page, "pageInfo": {"hasNextPage": more, "endCursor": cursor}}
    return _object(told, asked, OBJECT_TYPES["Activities"])


def _span(root: Field, now_ms: int) -> tuple[int, int]:
    low, high = (int(root.arguments[name]) for name in ("from", "to"))
    # A `to` in the future counts as now, as documented.
    high = min(high, now_ms + 1)
    wide = ACTIVITIES_WIDE_MS if _asks_activities(root) else MAX_WIDE_MS
    if high - low > wide:
        days = wide // DAY_MS
        raise Refusal(400, "400", f"The duration between to and from must not be more than {days} days")
    if low < now_ms - MAX_BACK_MS:
        raise Refusal(400, "400", "from cannot be older than 36 months")
    return low, high


def _asks_activities(root: Field) -> bool:
    named = (each.name for listed in root.selection for each in listed.selection)
    return "activities" in named or bool(root.arguments.get("extFilter"))


def _sorted(root: Field, rows: list[Row]) -> list[Row]:
    """Sort by the fields that say so, the first one first."""
    fields = [each for listed in root.selection if listed.name == "tasks" for each in listed.selection]
    # The last one first: sorting is stable, so each keeps the order of those after it among equals.
    for each in reversed([each for each in fields if each.arguments.get("sort")]):
        key: Callable[[Row], tuple[bool, Any]] = lambda row, name=each.name: (row.get(name) is None, row.get(name) or 0)  # type: ignore[misc]  # noqa: E731
        rows = sorted(rows, key=key, reverse=each.arguments["sort"] == "desc")
    return rows


def _grouped(root: Field, rows: Sequence[Row], summed: Sequence[Row]) -> list[Row]:
    """Group by every field asked for beside the sums, and by interval when one is named."""
    interval = (root.arguments.get("aggregationInterval") or {}).get("interval")
    fields = [each for listed in root.selection if listed.name == "tasks" for each in listed.selection]
    by = [each for each in fields if each.name not in ("aggregation", "intervalStartTime")]
    groups: dict[str, tuple[Row, list[Row]]] = {}
    for row in rows:
        head = {each.name: row.get(each.name) for each in by}
        if interval:
            head["intervalStartTime"] = interval_start(row["createdTime"], interval)
        told = {each.answer_name: selected(head, each, OBJECT_TYPES["TaskDetails"]) for each in by}
        groups.setdefault(json.dumps([told, head.get("intervalStartTime")]), (head, []))[1].append(row)
    # The sums of nothing are one row; groups of nothing are none.
    if not groups and not by and not interval:
        groups[""] = ({}, [])
    return [head | {"aggregation": _sums(summed, members)} for head, members in groups.values()]


def _sums(summed: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    return [{"name": each["name"], "value": aggregate(each, rows)} for each in summed]


def _error(error: QueryError) -> Row:
    told: Row = {"message": str(error), "extensions": {"classification": "ValidationError"}}
    line, column = error.at or (1, 1)
    return told | {"locations": [{"line": line, "column": column}]}


def _cursor(offset: int) -> str:
    return base64.b64encode(f"rows:{offset}".encode()).decode()


def _offset(pagination: object) -> int:
    cursor = pagination.get("cursor") if isinstance(pagination, dict) else None
    if cursor in FIRST_PAGE:
        return 0
    try:
        return int(base64.b64decode(str(cursor), validate=True).decode().removeprefix("rows:"))
    except (binascii.Error, ValueError):
        raise Refusal(400, "400", "Invalid cursor") from None
