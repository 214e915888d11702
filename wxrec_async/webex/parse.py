"""Answers of the API, bytes to values: the only place that knows its field names.

Strict where something could be lost in silence (an answer that is no answer, a
row without an id), lenient in everything else.  No function here keeps or
quotes a body in an error.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from wxrec_async.errors import AuthError, InvalidResponse
from wxrec_async.events import Warned
from wxrec_async.model import Attachment, Capture, Kind, Recording, Secret, Task, TaskPage
from wxrec_async.rules.finality import is_other
from wxrec_async.rules.identity import unnamed
from wxrec_async.rules.ids import canonical, is_uuid
from wxrec_async.rules.redact import one_line, redact_text
from wxrec_async.webex import unread
from wxrec_async.webex.attachments import (
    attachments,
    audio_and_other,
    file_name,
    lists_missing,
    named_id,
    other_rows,
    with_distinct_ids,
)
from wxrec_async.webex.completeness import concerned, errors_in, says_more
from wxrec_async.webex.lenient import as_count, as_dict, as_flag, as_id, as_ms, as_task_id, as_text, as_texts

MAX_WORDS_CHARS = 300
MAX_TRACKING_ID_CHARS = 128
S3_ERROR_HEAD = 4096

_S3_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_S3_MESSAGE = re.compile(rb"<Message>([^<]{0,300})")

UrlCheck = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class UrlLease:
    """When the URLs of an answer were handed out (monotonic seconds) and for how many seconds; its tracking id."""

    leased_at: float
    lease_s: float
    tracking_id: str | None = None


@dataclass(frozen=True, slots=True)
class ApiError:
    """What an error body says: short code, words (redacted, cut), tracking id."""

    code: str = ""
    words: str = ""
    tracking_id: str | None = None


# Tasks


def read_tasks(body: bytes, *, tracking_id: str | None = None, org_id: str = "") -> tuple[TaskPage, list[Warned]]:
    """Read an answer of ``GET /v1/tasks``.

    No body (204) is an empty list.  A row without a usable id is counted in
    ``rows``, left out and warned of; of rows with the same id the one updated
    last stands.  Raises `InvalidResponse` when the body is not such an answer, says in
    whatever way that something went wrong, or has rows and not one of them
    usable, and `AuthError` when it is one for another organisation than ``org_id``.
    """
    if not body:
        return TaskPage((), 0, tracking_id=tracking_id), []
    answer = answer_of(body, org_id)
    rows = _data(answer)
    # A list beside an error may lack any of its rows: none is taken, and it is asked for again.
    if errors_in(answer):
        raise InvalidResponse("the list of tasks says itself that something went wrong")
    found: dict[str, Task] = {}
    odd: Counter[str] = Counter()
    for row in rows:
        _add_task(found, row, odd)
    if rows and not found:
        raise InvalidResponse("the answer has rows, but none with an id")
    without_id, more = odd["row_without_id"], says_more(answer)
    page = TaskPage(tuple(found.values()), len(rows), _next_link(answer), tracking_id, without_id, more)
    return page, _warnings(odd)


def _add_task(found: dict[str, Task], row: object, odd: Counter[str]) -> None:
    task = _task(row) if isinstance(row, dict) else None
    if task is None:
        odd["row_without_id"] += 1
        return
    if (known := found.get(task.id)) is not None:
        odd["row_repeated"] += 1
        if (known.updated_ms or 0) > (task.updated_ms or 0):
            return
    found[task.id] = task


def _task(row: dict[str, object]) -> Task | None:
    task_id = as_task_id(row.get("id"))
    if task_id is None:
        return None
    said = as_dict(row.get("attributes"))
    # `lastQueue` is Search's name for it, and what some replies say here.
    queue, owner = as_dict(said.get("queue") or said.get("lastQueue")), as_dict(said.get("owner"))
    task = Task(
        id=task_id,
        channel_type=as_text(said.get("channelType")),
        status=as_text(said.get("status")),
        direction=as_text(said.get("direction")),
        origin=as_text(said.get("origin")),
        destination=as_text(said.get("destination")),
        created_ms=as_ms(said.get("createdTime")),
        ended_ms=as_ms(said.get("endedTime")),
        updated_ms=as_ms(said.get("lastUpdatedTime")),
        queue_id=as_text(queue.get("id")),
        queue_name=as_text(queue.get("name")),
        agent_id=as_text(owner.get("id")),
        agent_name=as_text(owner.get("name")),
        duration_ms=as_count(said.get("totalDuration")),
        capture_requested=as_flag(said.get("captureRequested")),
        active=as_flag(said.get("isActive", said.get("active"))),
        reason_code=as_text(said.get("reasonCode")),
    )
    beyond = unread.of_task(row, task)
    return replace(task, said=beyond) if beyond else task


def _next_link(answer: dict[str, object]) -> str | None:
    # No link is documented for this list; should one come, it stands in one of these.
    for place in (as_dict(answer.get("meta")), answer):
        link = as_dict(place.get("links")).get("next")
        if isinstance(link, dict):
            link = link.get("href")
        if isinstance(link, str) and link:
            return link
    return None


# Captures


def read_captures(
    body: bytes,
    asked: Sequence[str],
    lease: UrlLease,
    url_problem: UrlCheck,
    *,
    org_id: str = "",
    kinds: Collection[Kind] = (),
) -> tuple[dict[str, Capture], list[Warned]]:
    """Read an answer of ``POST /v1/captures/query``: one `Capture` for every id of ``asked``, in that order.

    ``kinds`` are those that are wanted besides audio; what there is of the others is counted.

    Entries for tasks not asked for are counted and left out, several for one
    task are put together.  Only an entry whose list is there says that there is
    nothing more than it names; `Capture.unsettled` says why another one does
    not, and so does an error anywhere in the answer, for the tasks it concerns.
    ``url_problem`` says why a URL must not be used; such a recording has no
    ``url`` but a ``problem``.  Raises `InvalidResponse` when the body is not such an
    answer, and `AuthError` when it is one for another organisation than ``org_id``.
    """
    entries, errors = _entries(body, org_id)
    heard = {task_id: _Heard(kinds) for task_id in asked}
    # Asked for in the spelling of a file of ids, and answered in any other: the case of a UUID is no difference.
    by_form: dict[str, list[str]] = {}
    for task_id in asked:
        by_form.setdefault(canonical(task_id), []).append(task_id)
    odd: Counter[str] = Counter()
    for entry in entries:
        said = as_task_id(as_dict(entry).get("taskId"))
        names = by_form.get(said, []) if said is not None else []
        if not names:
            odd["capture_not_asked_for"] += 1
        for task_id in names:
            heard[task_id].take(task_id, as_dict(entry))
    # An error beside entries puts in doubt what it names, or all of them.
    doubtful = concerned(errors, asked) if errors else set()
    found = {
        task_id: _capture(
            _recordings(task_id, its, lease, url_problem, odd),
            its,
            task_id,
            "error_beside" if task_id in doubtful else its.unsettled,
        )
        for task_id, its in heard.items()
    }
    return found, _warnings(odd)


def _capture(named: Sequence[Recording], heard: _Heard, task_id: str, unsettled: str) -> Capture:
    """Part what is wanted from what is only counted; both have the names they would have together."""
    left = [each for each in named if not heard.wants(each.kind)]
    beside = [*heard.beside, *(Attachment(each.id, each.kind.value) for each in left)]
    wanted = tuple(each for each in named if heard.wants(each.kind)) if left else tuple(named)
    return Capture(task_id, wanted, tuple(beside), unsettled)


def _entries(body: bytes, org_id: str) -> tuple[list[object], list[object]]:
    """Return the entries of an answer and what it says went wrong; errors without an entry are no answer."""
    if not body:
        return [], []
    answer = answer_of(body, org_id)
    entries, errors = _data(answer), errors_in(answer)
    if errors and not entries:
        raise InvalidResponse("the answer has errors in place of entries")
    return entries, errors


class _Heard:
    """What the entries of one task say, put together."""

    def __init__(self, kinds: Collection[Kind]) -> None:
        self._kinds = kinds
        self.rows: list[object] = []
        self.others: list[tuple[Kind, dict[str, object]]] = []
        self.beside: list[Attachment] = []
        self.unsettled = "entry_missing"
        self._entries = 0

    def wants(self, kind: Kind) -> bool:
        return kind is Kind.AUDIO or kind in self._kinds

    def take(self, task_id: str, entry: dict[str, object]) -> None:
        rows, missing = _recording_rows(entry)
        audio, other = audio_and_other(rows)
        self.rows += audio
        self.others += other_rows(entry)
        self.beside += attachments(task_id, entry, other)
        if self._kinds and lists_missing(entry, self._kinds):
            missing = "list_missing"
        said = "error_beside" if errors_in(entry, deep=False) else missing
        # The first entry takes the place of "entry_missing"; a further one cannot settle what one before left open.
        self.unsettled = said if not self._entries else self.unsettled or said
        self._entries += 1


def _recording_rows(entry: dict[str, object]) -> tuple[list[object], str]:
    """Return the rows of an entry, and ``list_missing`` when what is in their place is no list of them."""
    rows = entry.get("recording")
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list):
        return [], "list_missing"
    found = [row for row in rows if _names_something(row)]
    return found, "" if len(found) == len(rows) else "list_missing"


def _names_something(row: object) -> bool:
    """Say whether a row is of a recording; an empty one, or null, is none, and no proof that there is none."""
    return row is not None and (not isinstance(row, dict) or bool(row.get("id") or row.get("attributes")))


def _recordings(
    task_id: str, heard: _Heard, lease: UrlLease, url_problem: UrlCheck, odd: Counter[str]
) -> list[Recording]:
    rows = heard.rows
    read = [_recording(task_id, as_dict(row), lease, url_problem, odd) for row in rows]
    # First all get some id: only those that have one can be found to share it.
    named = [each if each.id else _named(each, number, read, odd) for number, each in enumerate(read, 1)]
    for kind, row in heard.others:
        # Nobody is warned of a URL that nobody would fetch.
        warned = odd if heard.wants(kind) else Counter()
        named.append(_artefact(task_id, kind, row, lease, url_problem, warned))
    found, repeated = with_distinct_ids(named)
    if repeated:
        odd["recording_repeated"] += repeated
    if changed := len({each.id for each in found} - {each.id for each in named}):
        odd["recording_id_shared"] += changed
    return found


def _named(recording: Recording, number: int, rows: Sequence[Recording], odd: Counter[str]) -> Recording:
    """Name a recording without an id by its start, by which it is known again (`rules.identity`).

    Where others of the task begin with it, or none says when it begins, nothing tells which is which
    the next time: it can only be reported, lest it is stored twice or under another's name.
    """
    odd["recording_without_id"] += 1
    found = replace(recording, id=unnamed(recording.start_ms, number))
    start = recording.start_ms
    others = (each for each in rows if each is not recording)
    if all(None not in (start, each.start_ms) and is_other(start, each.start_ms) for each in others):
        return found
    return replace(found, url=None, problem="no_id")


def _recording(
    task_id: str, row: dict[str, object], lease: UrlLease, url_problem: UrlCheck, odd: Counter[str]
) -> Recording:
    said = as_dict(row.get("attributes"))
    url, problem = _usable(said.get("filePath"), url_problem, odd)
    recording = Recording(
        task_id=task_id,
        id=as_id(row.get("id")) or "",
        file_name=as_text(said.get("fileName")) or "",
        url=url,
        start_ms=as_ms(said.get("startTime")),
        stop_ms=as_ms(said.get("stopTime")),
        call_type=as_text(said.get("callType")),
        segment=as_flag(row.get("segment")) or False,
        sensitive=as_flag(said.get("sensitive")),
        channel1=as_text(said.get("channel1")),
        channel2=as_text(said.get("channel2")),
        participants=as_texts(said.get("participants")),
        leased_at=lease.leased_at,
        lease_s=lease.lease_s,
        tracking_id=cut_words(lease.tracking_id or "", MAX_TRACKING_ID_CHARS) or None,
        problem=problem,
    )
    beyond = unread.of_recording(row, recording)
    return replace(recording, said=beyond) if beyond else recording


def _artefact(
    task_id: str, kind: Kind, row: dict[str, object], lease: UrlLease, url_problem: UrlCheck, odd: Counter[str]
) -> Recording:
    """Read a transcript, whose fields stand in the row and whose end is when it was made, or a screen recording."""
    said = as_dict(row.get("attributes")) or row
    url, problem = _usable(said.get("filePath"), url_problem, odd)
    return Recording(
        task_id=task_id,
        id=named_id(kind, row),
        file_name=file_name(row),
        url=url,
        start_ms=as_ms(said.get("startTime")),
        stop_ms=as_ms(said.get("stopTime") or said.get("createTime")),
        leased_at=lease.leased_at,
        lease_s=lease.lease_s,
        tracking_id=cut_words(lease.tracking_id or "", MAX_TRACKING_ID_CHARS) or None,
        problem=problem,
        kind=kind,
    )


def _usable(path: object, url_problem: UrlCheck, odd: Counter[str]) -> tuple[Secret | None, str | None]:
    if not isinstance(path, str) or not path:
        return None, "no_url"
    if (why := url_problem(path)) is not None:
        odd[f"bad_url: {why}"] += 1
        return None, "bad_url"
    return Secret(path), None


# Errors


def read_error(body: bytes, header_tracking_id: str | None = None) -> ApiError:
    """Read an error body of the API in any of its shapes; one that is none of them yields no words."""
    try:
        answer = as_dict(_parsed(body))
    except InvalidResponse:
        answer = {}
    error = answer.get("error")
    inner = as_dict(error)
    # The gateway's, OAuth's, and the configuration service's, in this order.
    code = as_text(inner.get("key") or inner.get("code")) or as_text(error) or as_text(answer.get("code")) or ""
    words = _words(inner) or _words(answer)
    tracking_id = header_tracking_id or as_text(answer.get("trackingId")) or as_text(inner.get("trackingId"))
    return ApiError(cut_words(code, 64), cut_words(words, MAX_WORDS_CHARS), cut_words(tracking_id or "", 128) or None)


def _words(said: dict[str, object]) -> str:
    for name in ("message", "error_description", "errors", "description", "reason"):
        value = said.get(name)
        items = value if isinstance(value, list) else [value]
        if words := "; ".join(filter(None, map(_sentence, items))):
            return words
    return ""


def _sentence(item: object) -> str | None:
    said = as_dict(item)
    return as_text(said.get("description") or said.get("message")) or as_text(item)


def read_s3_error(head: bytes) -> tuple[str, str]:
    """Find code and message in the first bytes of an S3 error, without an XML parser and its entities."""
    head = head[:S3_ERROR_HEAD]
    code, message = _S3_CODE.search(head), _S3_MESSAGE.search(head)
    words = message.group(1).decode("utf-8", "replace") if message else ""
    return (code.group(1).decode() if code else "", cut_words(words, MAX_WORDS_CHARS))


def cut_words(text: str, length: int = MAX_WORDS_CHARS) -> str:
    """Redact before cutting, so that no half of a secret gets past the patterns; one line, printable.

    What cannot be printed goes first: taken out later, it would join the halves of a secret it had hidden.
    """
    return redact_text(one_line(text))[:length]


# What every answer has


def answer_of(body: bytes, org_id: str = "") -> dict[str, object]:
    """Parse an answer; `InvalidResponse` when it is no JSON object, `AuthError` when it is another organisation's."""
    answer = _parsed(body)
    if not isinstance(answer, dict):
        raise InvalidResponse("the answer is not a JSON object")
    _refuse_other_org(as_text(as_dict(answer.get("meta")).get("orgId")) or "", org_id)
    return answer


def _refuse_other_org(said: str, wanted: str) -> None:
    """A token of another organisation is answered as if there were nothing at all; only ``meta`` tells."""
    # Compared only where both are UUIDs: organisations are written in other ways, too.
    if is_uuid(said) and is_uuid(wanted) and said.lower() != wanted.lower():
        raise AuthError(
            f"Webex answers for organisation {said}, not for {wanted}; run `wxrec-async login` in a browser that is "
            "signed in to the right one, or correct [webex] org_id"
        )


def _data(answer: dict[str, object]) -> list[object]:
    """Return the rows of an answer; only a list says that there are none."""
    data = answer.get("data")
    if isinstance(data, list):
        return data
    raise InvalidResponse("the answer has no data")


def _parsed(body: bytes) -> object:
    """Parse JSON in UTF-8, -16 or -32, with or without a byte order mark; not-a-number becomes null."""
    for integers in (int, float):  # more digits than Python converts are nobody's time or flag: float takes them
        try:
            return json.loads(body, parse_constant=_null, parse_int=integers)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            break
        except ValueError:
            continue
    raise InvalidResponse("the answer is not JSON")  # not inside an except block: the original carries the body


def _null(_: str) -> None:
    return None


def _warnings(odd: Counter[str]) -> list[Warned]:
    return [Warned(what.partition(":")[0], f"{_SENTENCES.get(what, what)} ({count})") for what, count in odd.items()]


_SENTENCES = {
    "row_without_id": "Webex listed a task without a usable id",
    "row_repeated": "Webex listed a task twice on one page; the newest stands",
    "capture_not_asked_for": "Webex answered for a task that was not asked for",
    "recording_repeated": "Webex named a recording twice; the first stands",
    "recording_id_shared": "Webex named different recordings under one id; they are told apart by their start",
    "recording_without_id": "Webex named a recording without an id",
}
