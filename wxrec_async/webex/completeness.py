"""Does an answer that came as a success say itself that it is not the whole of it?

Gateways put a failure of what is behind them beside the rows they have: a list
of errors, a status, a word.  Which member it is differs, so that the names are
looked at in any spelling, in the answer and in what describes it (``meta`` and
the like), never in the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from wxrec_async.rules.ids import canonical
from wxrec_async.webex.lenient import as_count, as_text

ROWS = frozenset({"data", "recording", "transcription", "screenrecordings", "taskdetails"})
SPEAKS_OF_ERRORS = ("error", "exception", "failed", "failure", "fault")
# The word has "fault" in it, and tells of none.
NO_FAULT = ("default",)
STATUS = frozenset({"status", "statuscode", "httpstatus", "code", "state", "result", "outcome"})
BAD_WORDS = frozenset(
    {"error", "failed", "failure", "fail", "partial", "partialfailure", "partialsuccess", "partialcontent"}
    | {"incomplete", "degraded", "timeout", "timedout", "unavailable", "serviceunavailable", "internalerror"}
)
PARTIAL = frozenset(
    {"partial", "ispartial", "partialresult", "partialresults", "incomplete", "isincomplete", "degraded"}
    | {"timedout", "timeout"}
)
WHOLE = frozenset({"complete", "iscomplete", "success", "ok"})
MORE = frozenset({"truncated", "istruncated", "hasmore", "more", "hasnext", "hasnextpage"})
NEXT = frozenset({"nextcursor", "nextpagetoken", "nexttoken", "continuationtoken"})
SENTENCES = frozenset({"message", "messages", "warning", "warnings", "detail", "details", "reason"})
TELLING = ("partial", "incomplete", "truncated", "timed out", "timeout", "unavailable", "error", "failed")
# Beyond three digits it is some service's own number, and not known to be bad.
FIRST_ERROR, LAST_STATUS = 400, 999
ID_CHARS = 8
SENTENCE_CHARS = 2000


def errors_in(answer: dict[str, object], *, deep: bool = True) -> list[object]:
    """Return whatever says that something went wrong, one item each; none when nothing does.

    ``deep`` looks into the objects beside the rows, too.
    """
    found: list[object] = []
    for name, value in _members(answer, deep=deep):
        if _is_wrong(name, value):
            found += value if isinstance(value, list) else [value]
    return found


def says_more(answer: dict[str, object]) -> bool:
    """Say whether the answer says that more rows follow."""
    return any(
        (name in MORE and value is True) or (name in NEXT and isinstance(value, str) and value != "")
        for name, value in _members(answer, deep=True)
    )


def concerned(errors: Sequence[object], asked: Sequence[str]) -> set[str]:
    """Return which of the ids ``asked`` are in doubt: those that are named, all as soon as one error names none."""
    doubtful: set[str] = set()
    for error in errors:
        text = json.dumps(error).lower()
        named = {task_id for task_id in asked if f'"{canonical(task_id).lower()}"' in text or _within(task_id, text)}
        if not named:
            return set(asked)
        doubtful |= named
    return doubtful


def _within(task_id: str, text: str) -> bool:
    """Find an id in a sentence; a short one could be part of any word."""
    return len(task_id) >= ID_CHARS and task_id.lower() in text


def _members(answer: dict[str, object], *, deep: bool) -> Iterator[tuple[str, object]]:
    for name, value in answer.items():
        plain = name.replace("_", "").replace("-", "").lower()
        if plain in ROWS:
            continue
        yield plain, value
        if deep and isinstance(value, dict):
            yield from _members(value, deep=False)


def _is_wrong(name: str, value: object) -> bool:
    if any(word in name for word in SPEAKS_OF_ERRORS) and not any(word in name for word in NO_FAULT):
        # `"errors": []`, `"failed": 0` and `"error": "false"` say that all went well.
        return bool(value) and str(value).strip().lower() not in ("0", "false", "none", "null")
    if name in STATUS:
        return _is_bad_status(value)
    if name in PARTIAL:
        return value is True
    if name in WHOLE:
        return value is False
    return name in SENTENCES and _tells_of_trouble(value)


def _is_bad_status(value: object) -> bool:
    number = as_count(value)
    if number is not None:
        return FIRST_ERROR <= number <= LAST_STATUS
    word = (as_text(value) or "").strip().lower()
    return word.replace("_", "").replace("-", "").replace(" ", "") in BAD_WORDS


def _tells_of_trouble(value: object) -> bool:
    if isinstance(value, list):
        # The first ones tell enough: a list of warnings may be as long as that of the rows.
        return any(_tells_of_trouble(item) for item in value[:20])
    if isinstance(value, dict):
        value = json.dumps(value)
    text = (as_text(value) or "")[:SENTENCE_CHARS].lower()
    return any(word in text for word in TELLING)
