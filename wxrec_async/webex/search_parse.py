"""Search, a GraphQL interface: the query that is sent, and its answers.

The query carries its values in itself: Cisco documents variables for persisted
queries only.  Neither telephone numbers nor anything else of the caller is asked for
where Search is only a witness; where it is the list itself, it is asked for what ``GET /v1/tasks`` would tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

from wxrec_async.errors import InvalidResponse
from wxrec_async.model import SearchCounts, SearchPage, SearchRow, Task, Window
from wxrec_async.webex.completeness import errors_in
from wxrec_async.webex.lenient import as_count, as_dict, as_flag, as_id, as_ms, as_task_id, as_text
from wxrec_async.webex.parse import answer_of, cut_words

FIRST = "0"  # the cursor of the first page
REQUIRED = ("id", "createdTime")
SORTED = "sort"  # no field, but left out as one where Search does not know it
WITNESS = {
    "status": "status",
    "isActive": "isActive",
    "endedTime": "endedTime",
    "totalDuration": "totalDuration",
    "channelType": "channelType",
    "captureRequested": "captureRequested",
    "recordingCount": "recordingCount",
    "recordingFileSize": "recordingFileSize",
    "recordingErrorCount": "recordingErrorCount",
    "isRecordingDeleted": "isRecordingDeleted",
    "lastQueue": "lastQueue{name}",
    "lastAgent": "lastAgent{name}",
}
LISTING = WITNESS | {
    "direction": "direction",
    "origin": "origin",
    "destination": "destination",
    "lastQueue": "lastQueue{id name}",
    "lastAgent": "lastAgent{id name}",
}
UNKNOWN_FIELD = (
    "undefined", "cannot query", "unknown field", "unknown argument", "not exist", "no field", "no such field",
    "not found in",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
MAX_ERROR_CHARS = 8192


class SearchRefused(InvalidResponse):
    """Search answered with errors; the message is its own words, cut and redacted, ``words`` more of them."""

    def __init__(self, message: str, words: str = "") -> None:
        super().__init__(message)
        self.words = words


def search_body(
    window: Window,
    cursor: str,
    left_out: Collection[str] = (),
    *,
    fields: Mapping[str, str] = WITNESS,
    ids: Collection[str] = (),
) -> bytes:
    """Write the request for one page of the contacts created in ``window``, without the fields ``left_out``.

    ``ids`` asks for those contacts only.  Whether the window's ends belong to it is not documented: a millisecond
    more on either side is asked for.  Rows come in order of creation, and of their ids where several share a moment.
    """
    arguments = f"from:{window.from_ms - 1},to:{window.to_ms + 1}"
    if ids:
        arguments += f",{among(ids)}"
    sort = "" if SORTED in left_out else "(sort:asc)"
    asked = " ".join(
        [*(name + sort for name in REQUIRED), *(text for name, text in fields.items() if name not in left_out)]
    )
    arguments += f",pagination:{{cursor:{json.dumps(cursor or FIRST)}}}"
    query = f"{{taskDetails({arguments}){{tasks{{{asked}}}pageInfo{{hasNextPage endCursor}}}}}}"
    return json.dumps({"query": query}, separators=(",", ":")).encode()


def among(ids: Collection[str]) -> str:
    """Write the argument that asks for the contacts of these ids only."""
    wanted = ",".join(f"{{id:{{equals:{json.dumps(each)}}}}}" for each in ids)  # GraphQL quotes text as JSON does
    return f"filter:{{or:[{wanted}]}}"


def unknown_fields(words: str, left_out: Collection[str] = (), asked: Collection[str] = (*LISTING, SORTED)) -> set[str]:
    """Return which of the fields that can be done without a refusal names as unknown to this Search."""
    if not any(phrase in words.lower() for phrase in UNKNOWN_FIELD):
        return set()
    named = set(_NAME.findall(words))
    return {name for name in asked if name in named and name not in left_out}


def read_search(body: bytes) -> SearchPage:
    """Read an answer; errors beside rows are its ``trouble``.

    Raises `SearchRefused` for one that has errors and no rows, and `InvalidResponse` for
    one that is none or does not say whether more rows follow.
    """
    answer = answer_of(body)
    errors = errors_in(answer)
    found = as_dict(as_dict(answer.get("data")).get("taskDetails"))
    rows, info = found.get("tasks"), as_dict(found.get("pageInfo"))
    # Errors and rows together are a page with a `trouble`: what is there may be better than nothing.
    if errors and not isinstance(rows, list):
        raise _refusal(errors)
    more = as_flag(info.get("hasNextPage"))
    # Where `hasNextPage` is missing: a null cursor marks the last page in all of Cisco's samples.
    if more is None and "endCursor" in info:
        more = info["endCursor"] is not None
    if more is None or not isinstance(rows, list):
        raise InvalidResponse("the answer of Search is not a page of tasks")
    witnesses = [each for each in map(_witness, rows) if each]
    cursor = as_id(info.get("endCursor")) if more else ""
    if cursor is None:
        raise InvalidResponse("Search has a next page and does not say where")
    trouble = f"Search answered with an error beside its rows: {_errors(errors)}" if errors else ""
    return SearchPage(tuple(witnesses), len(rows), cursor, len(rows) - len(witnesses), trouble)


def count_body(window: Window, channel_types: Collection[str]) -> bytes:
    """Write the request for how many contacts of these channels there are in ``window``, and how large they are.

    One row for each value of ``captureRequested``.  The words are "after" and "before"; should the ends belong to
    the span all the same, a contact created at one of them is counted twice, in a number that is an estimate anyway.
    """
    # A bare word in this language: what could be anything else must not get into the query.
    named = [name.lower() for name in channel_types if _NAME.fullmatch(name)]
    kinds = ",".join(f"{{channelType:{{equals:{name}}}}}" for name in named)
    query = (
        f"{{taskDetails(from:{window.from_ms - 1},to:{window.to_ms},filter:{{or:[{kinds}]}},aggregations:"
        '[{field:"id",type:count,name:"tasks"},{field:"recordingFileSize",type:sum,name:"bytes"}])'
        "{tasks{captureRequested aggregation{name value}}}}"
    )
    return json.dumps({"query": query}, separators=(",", ":")).encode()


def read_counts(body: bytes) -> SearchCounts:
    """Read an answer to `count_body`.

    Raises `SearchRefused` for one with errors, and `InvalidResponse` for one that is none.
    """
    answer = answer_of(body)
    if errors := errors_in(answer):
        raise _refusal(errors)
    rows = as_dict(as_dict(answer.get("data")).get("taskDetails")).get("tasks")
    if not isinstance(rows, list):
        raise InvalidResponse("the answer of Search is no list of counts")
    tasks: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    size = 0
    for row in map(as_dict, rows):
        told = row.get("aggregation")
        found = {as_text(each.get("name")): each.get("value") for each in map(as_dict, _items(told))}
        # Sums and counts are floats.
        count = _whole_number(found.get("tasks"))
        if count is None:
            raise InvalidResponse("Search was asked for a count, and told none")
        tasks[as_flag(row.get("captureRequested"))] += count
        size += _whole_number(found.get("bytes")) or 0
    return SearchCounts(tasks[True], tasks[None], tasks[False], size)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _whole_number(value: object) -> int | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return as_count(round(value)) if sound and isinstance(value, int | float) else None


def _witness(row: object) -> SearchRow | None:
    said = as_dict(row)
    task_id = as_task_id(said.get("id"))
    if task_id is None:
        return None
    queue, agent = as_dict(said.get("lastQueue")), as_dict(said.get("lastAgent"))
    recordings, requested = as_count(said.get("recordingCount")), as_flag(said.get("captureRequested"))
    task = Task(
        id=task_id,
        channel_type=as_text(said.get("channelType")),
        status=as_text(said.get("status")),
        direction=as_text(said.get("direction")),
        origin=as_text(said.get("origin")),
        destination=as_text(said.get("destination")),
        created_ms=as_ms(said.get("createdTime")),
        ended_ms=as_ms(said.get("endedTime")),
        queue_id=as_text(queue.get("id")),
        queue_name=as_text(queue.get("name")),
        agent_id=as_text(agent.get("id")),
        agent_name=as_text(agent.get("name")),
        duration_ms=as_count(said.get("totalDuration")),
        capture_requested=requested,
        active=as_flag(said.get("isActive")),
    )
    return SearchRow(
        task,
        recordings,
        as_count(said.get("recordingFileSize")),
        as_count(said.get("recordingErrorCount")),
        as_flag(said.get("isRecordingDeleted")),
        as_flag(said.get("isActive")),
    )


def _refusal(errors: object) -> SearchRefused:
    return SearchRefused(f"Search answered with an error: {_errors(errors)}", json.dumps(errors)[:MAX_ERROR_CHARS])


def _errors(errors: object) -> str:
    """Return the first few messages, harmless."""
    items = errors if isinstance(errors, list) else [errors]
    words = [as_text(as_dict(item).get("message")) or as_text(item) or "" for item in items[:3]]
    return cut_words("; ".join(filter(None, words))) or "without words"
