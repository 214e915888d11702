"""Search, a GraphQL interface: the query that is sent, and its answers.

The query carries its values in itself: Cisco documents variables for persisted
queries only.  Neither telephone numbers nor anything else of the caller is asked for.
"""

from __future__ import annotations

import json

from wxrec_async.errors import Nonsense
from wxrec_async.model import SearchPage, Task, Window, Witness
from wxrec_async.webex.coerce import as_count, as_dict, as_flag, as_id, as_ms, as_text
from wxrec_async.webex.wire import answer_of, cut_words

FIRST = "0"  # the cursor of the first page
FIELDS = (
    "id status isActive createdTime endedTime totalDuration channelType captureRequested recordingCount "
    "recordingFileSize recordingErrorCount isRecordingDeleted lastQueue{name} lastAgent{name}"
)


class SearchRefused(Nonsense):
    """Search answered 200 with errors; the message is its own words, cut and redacted."""


def search_body(window: Window, cursor: str) -> bytes:
    """Write the request for one page of the contacts created in ``window``."""
    place = json.dumps(cursor or FIRST)  # GraphQL quotes text as JSON does
    span = f"from:{window.from_ms},to:{window.to_ms}"
    query = (
        f"{{taskDetails({span},pagination:{{cursor:{place}}}){{tasks{{{FIELDS}}}pageInfo{{hasNextPage endCursor}}}}}}"
    )
    return json.dumps({"query": query}, separators=(",", ":")).encode()


def read_search(body: bytes) -> SearchPage:
    """Read an answer.

    Raises `SearchRefused` for one that speaks of errors, whatever else it holds,
    and `Nonsense` for one that is none or does not say whether more rows follow.
    """
    answer = answer_of(body)
    if answer.get("errors"):
        raise SearchRefused(f"Search answered with an error: {_errors(answer['errors'])}")
    found = as_dict(as_dict(answer.get("data")).get("taskDetails"))
    rows, info = found.get("tasks"), as_dict(found.get("pageInfo"))
    more = as_flag(info.get("hasNextPage"))
    if more is None or not (rows is None or isinstance(rows, list)):
        raise Nonsense("the answer of Search is not a page of tasks")
    witnesses = [each for each in map(_witness, rows or ()) if each]
    cursor = as_id(info.get("endCursor")) if more else ""
    if cursor is None:
        raise Nonsense("Search has a next page and does not say where")
    return SearchPage(tuple(witnesses), len(rows or ()), cursor, len(rows or ()) - len(witnesses))


def _witness(row: object) -> Witness | None:
    said = as_dict(row)
    task_id = as_id(said.get("id"))
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
    )
    return Witness(
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
