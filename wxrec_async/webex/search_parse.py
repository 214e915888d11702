"""Search, a GraphQL interface: the query that is sent, and its answers.

The query carries its values in itself: Cisco documents variables for persisted
queries only.  Neither telephone numbers nor anything else of the caller is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from wxrec_async.errors import InvalidResponse
from wxrec_async.model import SearchPage, SearchRow, Task, Window
from wxrec_async.webex.completeness import errors_in
from wxrec_async.webex.lenient import as_count, as_dict, as_flag, as_id, as_ms, as_task_id, as_text
from wxrec_async.webex.parse import answer_of, cut_words

FIRST = "0"  # the cursor of the first page
REQUIRED = ("id", "createdTime")
OPTIONAL = {
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
UNKNOWN_FIELD = ("undefined", "cannot query", "unknown field", "not exist", "no field", "no such field", "not found in")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
MAX_ERROR_CHARS = 8192


class SearchRefused(InvalidResponse):
    """Search answered with errors; the message is its own words, cut and redacted, ``words`` more of them."""

    def __init__(self, message: str, words: str = "") -> None:
        super().__init__(message)
        self.words = words


def search_body(window: Window, cursor: str, left_out: Collection[str] = ()) -> bytes:
    """Write the request for one page of the contacts created in ``window``, without the fields ``left_out``.

    Whether its ends belong to it is not documented: a millisecond more on either side is asked for.
    """
    place = json.dumps(cursor or FIRST)  # GraphQL quotes text as JSON does
    span = f"from:{window.from_ms - 1},to:{window.to_ms + 1}"
    fields = " ".join([*REQUIRED, *(text for name, text in OPTIONAL.items() if name not in left_out)])
    query = (
        f"{{taskDetails({span},pagination:{{cursor:{place}}}){{tasks{{{fields}}}pageInfo{{hasNextPage endCursor}}}}}}"
    )
    return json.dumps({"query": query}, separators=(",", ":")).encode()


def unknown_fields(words: str, left_out: Collection[str] = (), asked: Collection[str] = OPTIONAL) -> set[str]:
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
        text = json.dumps(errors)[:MAX_ERROR_CHARS]
        raise SearchRefused(f"Search answered with an error: {_errors(errors)}", text)
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


def _witness(row: object) -> SearchRow | None:
    said = as_dict(row)
    task_id = as_task_id(said.get("id"))
    if task_id is None:
        return None
    recordings, requested = as_count(said.get("recordingCount")), as_flag(said.get("captureRequested"))
    task = Task(
        id=task_id,
        channel_type=as_text(said.get("channelType")),
        status=as_text(said.get("status")),
        created_ms=as_ms(said.get("createdTime")),
        ended_ms=as_ms(said.get("endedTime")),
        queue_name=as_text(as_dict(said.get("lastQueue")).get("name")),
        agent_name=as_text(as_dict(said.get("lastAgent")).get("name")),
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


def _errors(errors: object) -> str:
    """Return the first few messages, harmless."""
    items = errors if isinstance(errors, list) else [errors]
    words = [as_text(as_dict(item).get("message")) or as_text(item) or "" for item in items[:3]]
    return cut_words("; ".join(filter(None, words))) or "without words"
