"""What each production makes of a helpful answer."""

from __future__ import annotations

import codecs
import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from tests.worlds.clock import SKY
from tests.worlds.grammar import Choice
from tests.worlds.media_door import Media, s3_error
from tests.worlds.truth import Call, Recording
from tests.worlds.webex_door import json_answer, refused
from tests.worlds.wire import Answer, Request

WORDS = ("access", "token", "is", "invalid", "expired", "not", "the", " ", "  ", ",", ".", "\t", "refused", "a")
HTML = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>An error occurred</body></html>"


@dataclass(slots=True)
class Scene:
    """What a production may look at: the request, the choice, the call it is about, and what there is to draw."""

    request: Request
    choice: Choice
    dice: random.Random
    call: Call | None = None
    recording: Recording | None = None
    media: Media | None = None
    resumed: bool = False


Trouble = Callable[[Scene, Answer], Answer | None]


def apply(scene: Scene, answer: Answer) -> Answer | None:
    """Return what becomes of the answer, None when the production has nothing to do with it."""
    door, what = scene.choice.door, scene.choice.what
    family = JSON if door in ("tasks", "captures", "search", "token") else MEDIA if door == "media" else S3
    trouble = family.get(f"{door}.{what}") or family.get(what)
    if trouble is None:
        raise KeyError(scene.choice.kind)
    return trouble(scene, answer)


# any door


def _status(scene: Scene, _: Answer) -> Answer:
    status = scene.choice.status
    answer = refused(status, scene.dice.choice(("An error occurred", "Not available", "Try again later", "")))
    if scene.choice.door.startswith(("s3", "media")):
        answer = s3_error(status, {404: "NotFound", 403: "Forbidden"}.get(status, "UnexpectedError"))
    if status in (302, 307):
        answer = answer.with_header("Location", "https://login.example.com/")
    if status in (429, 503) and scene.dice.random() < 0.7:
        wait = scene.dice.choice(("1", "3", "30"))
        date = formatdate(SKY.now + int(wait), usegmt=True)
        answer = answer.with_header("Retry-After", scene.dice.choice((wait, date)))
    return replace(answer, framing=scene.dice.choice(("length", "length", "chunked")))


def _lost(_: Scene, answer: Answer) -> Answer:
    return replace(answer, lost=True)


def _stall(scene: Scene, answer: Answer) -> Answer:
    return replace(answer, stall=scene.dice.randrange(len(answer.body) or 1))


def _cut(scene: Scene, answer: Answer) -> Answer | None:
    if len(answer.body) < 2:
        return None
    return replace(answer, cut=scene.dice.randrange(1, len(answer.body)))


def _echo(scene: Scene, _: Answer) -> Answer:
    """Tell the client what it sent, as proxies and gateways do in their errors."""
    request, dice = scene.request, scene.dice
    sent = f"{request.method} https://{request.host}{request.target} {request.headers.get('authorization', '')}"
    said = dice.choice((sent, quote(sent), sent.replace("-", "\\u002d"), sent.replace("&", "&amp;")))
    status = dice.choice((400, 403, 404, 500, 502))
    if scene.choice.door == "media":
        return s3_error(status, "UnexpectedError", said.replace("&", "&amp;"))
    return refused(status, said)


def _wordy(scene: Scene, _: Answer) -> Answer:
    """Say little in many words."""
    dice = scene.dice
    few = [dice.choice(WORDS) for _ in range(dice.randint(1, 4))]
    text = (" ".join(few) + dice.choice(("", " ", "  "))) * 12_000
    return refused(dice.choice((400, 401, 403, 500)), text[: 64 << 10])


def _html(scene: Scene, _: Answer) -> Answer:
    return Answer(scene.dice.choice((200, 200, 502)), (("Content-Type", "text/html"),), HTML)


def _empty_body(_: Scene, answer: Answer) -> Answer:
    return replace(answer, body=b"", framing="length")


def _not_json(scene: Scene, answer: Answer) -> Answer:
    return replace(answer, body=answer.body[: scene.dice.randrange(len(answer.body) or 1)])


def _other_type(_: Scene, answer: Answer) -> Answer:
    return answer.with_header("Content-Type", "text/plain")


# JSON doors


def _changed(change: Callable[[dict[str, Any], Scene], bool | None]) -> Trouble:
    """Make a production of what changes the parsed answer; it does not apply when that returns False."""

    def trouble(scene: Scene, answer: Answer) -> Answer | None:
        if answer.status != 200:
            return None
        value = json.loads(answer.body)
        if change(value, scene) is False:
            return None
        return replace(answer, body=json.dumps(value).encode())

    return trouble


ERRORS = [{"message": "Partial failure", "code": 500}]


def _no_data(value: dict[str, Any], _: Scene) -> None:
    value.pop("data", None)
    value.pop("access_token", None)


def _data_null(value: dict[str, Any], _: Scene) -> None:
    value["data"] = None


def _errors_beside(value: dict[str, Any], scene: Scene) -> None:
    rows = value["data"]
    value["errors"] = ERRORS
    if isinstance(rows, list) and rows:
        value["data"] = rows[: scene.dice.randrange(len(rows))]


def _errors_beside_empty(value: dict[str, Any], _: Scene) -> None:
    value |= {"errors": ERRORS, "data": []}


def _error_member(value: dict[str, Any], _: Scene) -> None:
    value |= {"error": {"key": "500", "message": [{"description": "Backend unavailable"}]}, "data": []}


def _row(value: dict[str, Any], scene: Scene) -> dict[str, Any] | None:
    """Return the row or entry the choice is about."""
    rows = [row for row in value["data"] if isinstance(row, dict)]
    wanted = scene.call.id if scene.call else None
    return next((row for row in rows if wanted in (None, row.get("id"), row.get("taskId"))), None)


def _row_without_id(value: dict[str, Any], scene: Scene) -> bool:
    row = _row(value, scene)
    if row is None:
        return False
    row["id"] = scene.dice.choice((None, "", 7.5, {}))
    return True


def _row_null(value: dict[str, Any], scene: Scene) -> bool:
    row = _row(value, scene)
    if row is None:
        return False
    value["data"][value["data"].index(row)] = None
    return True


def _partial_with_error(value: dict[str, Any], scene: Scene) -> bool:
    row = _row(value, scene)
    if row is None:
        return False
    value["data"].remove(row)
    value["errors"] = ERRORS
    return True


def _repeated_rows(value: dict[str, Any], _: Scene) -> None:
    value["data"] = [row for row in value["data"] for _ in range(2)]


def _refuses_token(scene: Scene, _: Answer) -> Answer:
    return refused(scene.dice.choice((401, 401, 400)), "Invalid access token")


def _with_row(change: Callable[[dict[str, Any], Scene, dict[str, Any]], None]) -> Trouble:
    """Make a production of what changes the entry of one call."""

    def whole(value: dict[str, Any], scene: Scene) -> bool:
        row = _row(value, scene)
        if row is None:
            return False
        change(row, scene, value)
        return True

    return _changed(whole)


def _entry_missing(row: dict[str, Any], _: Scene, value: dict[str, Any]) -> None:
    value["data"].remove(row)


def _list_null(row: dict[str, Any], _: Scene, __: dict[str, Any]) -> None:
    row["recording"] = None


def _list_absent(row: dict[str, Any], _: Scene, __: dict[str, Any]) -> None:
    del row["recording"]


def _error_in_entry(row: dict[str, Any], scene: Scene, _: dict[str, Any]) -> None:
    row["recording"] = []
    row[scene.dice.choice(("error", "errors"))] = ERRORS


def _entry_not_object(row: dict[str, Any], _: Scene, value: dict[str, Any]) -> None:
    value["data"][value["data"].index(row)] = row["taskId"]


def _list_not_list(row: dict[str, Any], scene: Scene, _: dict[str, Any]) -> None:
    row["recording"] = scene.dice.choice(("", 0, False, "none", {}))


def _empty_but_promised(value: dict[str, Any], scene: Scene) -> bool:
    row = _row(value, scene)
    if row is None or scene.call is None or scene.call.requested is not True:
        return False
    row["recording"] = []
    return True


def _fewer(value: dict[str, Any], scene: Scene) -> bool:
    """Name fewer recordings than an earlier answer did."""
    row = _row(value, scene)
    if row is None or scene.call is None or not scene.call.named or not row["recording"]:
        return False
    row["recording"].pop()
    return True


def _each_recording(change: Callable[[dict[str, Any], Scene], None]) -> Trouble:
    def whole(value: dict[str, Any], scene: Scene) -> bool:
        row = _row(value, scene)
        if row is None or not row["recording"]:
            return False
        change(row["recording"][-1], scene)
        return True

    return _changed(whole)


def _no_url(recording: dict[str, Any], scene: Scene) -> None:
    recording["attributes"]["filePath"] = scene.dice.choice((None, "", "not a url", "http://127.0.0.1/x.wav"))


def _dead_url(recording: dict[str, Any], _: Scene) -> None:
    recording["attributes"]["filePath"] += "0"


def _no_recording_id(recording: dict[str, Any], _: Scene) -> None:
    recording["id"] = None


def _refused_id(status: int) -> Trouble:
    """Refuse the whole batch for the sake of one id."""

    def trouble(scene: Scene, answer: Answer) -> Answer | None:
        wanted = scene.call.id.encode() if scene.call else b""
        return refused(status, "Invalid task id") if wanted and wanted in scene.request.body else None

    return trouble


def _entry_twice(value: dict[str, Any], _: Scene) -> None:
    value["data"] += [{**row, "recording": []} for row in value["data"]]


def _search_details_null(value: dict[str, Any], _: Scene) -> None:
    value["data"] = {"taskDetails": None}


def _search_errors(value: dict[str, Any], scene: Scene) -> None:
    value["errors"] = ERRORS
    value["data"] = scene.dice.choice((None, value["data"]))


def _unknown_field(scene: Scene, _: Answer) -> Answer:
    words = "Validation error (FieldUndefined@[taskDetails/tasks/recordingErrorCount]) : Field is undefined"
    if b"recordingErrorCount" not in scene.request.body:
        return _
    body = {"errors": [{"message": words}], "data": None}
    return json_answer(body, scene.dice.choice((200, 400)))


def _no_page_info(value: dict[str, Any], _: Scene) -> None:
    value["data"]["taskDetails"].pop("pageInfo")


def _endless(value: dict[str, Any], _: Scene) -> None:
    value["data"]["taskDetails"]["pageInfo"] = {"hasNextPage": True, "endCursor": "0"}


def _invalid_grant(_: Scene, __: Answer) -> Answer:
    return json_answer({"error": "invalid_grant", "error_description": "refresh token refused"}, 400)


COMMON: dict[str, Trouble] = {
    "status": _status, "lost": _lost, "stall": _stall, "cut": _cut, "echo": _echo, "wordy": _wordy,
}  # fmt: skip
JSON: dict[str, Trouble] = COMMON | {
    "html": _html, "empty_body": _empty_body, "not_json": _not_json, "other_type": _other_type,
    "no_data": _changed(_no_data), "data_null": _changed(_data_null), "errors_beside": _changed(_errors_beside),
    "errors_beside_empty": _changed(_errors_beside_empty), "error_member": _changed(_error_member),
    "row_without_id": _changed(_row_without_id), "row_null": _changed(_row_null),
    "partial_with_error": _changed(_partial_with_error),
    "repeated_rows": _changed(_repeated_rows), "refuses_token": _refuses_token,
    "entry_missing": _with_row(_entry_missing), "list_null": _with_row(_list_null),
    "list_absent": _with_row(_list_absent), "error_in_entry": _with_row(_error_in_entry),
    "entry_not_object": _with_row(_entry_not_object), "list_not_list": _with_row(_list_not_list),
    "empty_but_promised": _changed(_empty_but_promised), "fewer": _changed(_fewer), "no_url": _each_recording(_no_url),
    "dead_url": _each_recording(_dead_url), "no_recording_id": _each_recording(_no_recording_id),
    "refused_id": _refused_id(400), "forbidden_id": _refused_id(403), "entry_twice": _changed(_entry_twice),
    "search.errors_beside": _changed(_search_errors), "details_null": _changed(_search_details_null),
    "unknown_field": _unknown_field, "no_page_info": _changed(_no_page_info), "endless": _changed(_endless),
    "no_token": _changed(_no_data), "invalid_grant": _invalid_grant,
}  # fmt: skip


# the media host

XML_ERROR = '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We encountered an error</Message></Error>'


def _body_now(scene: Scene, body: bytes, **more: Any) -> Answer:
    return Answer(200, (("Content-Type", "audio/wav"),), body, **more)


def _cut_media(framing: str | None, *, said: bool = False) -> Trouble:
    """Break the body off; ``said`` when the head gives the length of what is left for the whole."""

    def trouble(scene: Scene, answer: Answer) -> Answer | None:
        if answer.status not in (200, 206) or len(answer.body) < 100:
            return None
        mark = scene.dice.randrange(60, len(answer.body) - 1)
        if said:
            return replace(answer, body=answer.body[:mark], framing="length") if answer.status == 200 else None
        if framing == "close":
            return replace(answer, body=answer.body[:mark], framing="close") if answer.status == 200 else None
        return replace(answer, cut=mark, framing=framing or answer.framing)

    return trouble


def _error_page(scene: Scene, _: Answer) -> Answer:
    kind = scene.dice.choice(("text/html", "application/xml", "application/json"))
    body = {"text/html": HTML, "application/xml": XML_ERROR.encode()}.get(kind, b'{"message": "Internal error"}')
    return Answer(200, (("Content-Type", kind),), body)


def _error_typed(encode: Callable[[bytes], bytes]) -> Trouble:
    def trouble(scene: Scene, _: Answer) -> Answer:
        body = scene.dice.choice((HTML, XML_ERROR.encode(), b'{"message": "Internal error", "code": 500}'))
        return _body_now(scene, encode(body))

    return trouble


def _utf16(body: bytes) -> bytes:
    return codecs.BOM_UTF16_LE + body.decode().encode("utf-16-le")


def _iso2022(body: bytes) -> bytes:
    return body.decode().replace("error", "エラー").encode("iso-2022-jp", "replace")


def _encoded(_: Scene, answer: Answer) -> Answer | None:
    if answer.status != 200:
        return None
    return replace(answer, body=gzip.compress(answer.body), framing="length").with_header("Content-Encoding", "gzip")


def _unasked_range(scene: Scene, answer: Answer) -> Answer | None:
    """Send a first piece though the whole was asked for, and say so."""
    total = len(answer.body)
    if answer.status != 200 or total < 200:
        return None
    mark = scene.dice.randrange(60, total - 1)
    return replace(answer, status=206, body=answer.body[:mark]).with_header(
        "Content-Range", f"bytes 0-{mark - 1}/{total}"
    )


def _swap(*, resized: bool) -> Trouble:
    """Break the first answer off and have another version of the recording from then on."""

    def trouble(scene: Scene, answer: Answer) -> Answer | None:
        recording = scene.recording
        if recording is None or scene.media is None or answer.status not in (200, 206) or len(recording.body) < 300:
            return None
        if len(recording.bodies) > 1:
            return None
        size = len(recording.body) + (scene.dice.choice((-80, 120)) if resized else 0)
        body = bytearray(recording.body[:44] + scene.dice.randbytes(size - 44))
        body[4:8], body[40:44] = (size - 8).to_bytes(4, "little"), (size - 44).to_bytes(4, "little")
        recording.bodies.append(bytes(body))
        if len(answer.body) < 120:
            return None
        return replace(answer, cut=scene.dice.randrange(60, len(answer.body) - 50))

    return trouble


def _shrinks(scene: Scene, answer: Answer) -> Answer | None:
    """Break the body off, then say that there is no more of it."""
    begun = scene.request.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
    if begun and begun != "0":
        return s3_error(416, "InvalidRange").with_header("Content-Range", f"bytes */{begun}")
    return replace(answer, cut=scene.dice.randrange(60, len(answer.body) - 1)) if len(answer.body) > 100 else None


def _after_cut(then: Callable[[Scene, Answer], Answer | None]) -> Trouble:
    """Break the first answer off, and do ``then`` to those that go on."""

    def trouble(scene: Scene, answer: Answer) -> Answer | None:
        if answer.status == 206:
            return then(scene, answer)
        if answer.status != 200 or len(answer.body) < 100:
            return None
        return replace(answer, cut=scene.dice.randrange(60, len(answer.body) - 1))

    return trouble


def _other_total(_: Scene, answer: Answer) -> Answer:
    span, __, total = (answer.header("Content-Range") or "").partition("/")
    return answer.with_header("Content-Range", f"{span}/{int(total) + 7}")


def _wrong_range(scene: Scene, answer: Answer) -> Answer:
    """Send bytes from another place than asked for, and say so."""
    recording, first = scene.recording, scene.dice.randrange(44)
    body = recording.body[first:] if recording else answer.body
    total = first + len(body)
    return replace(answer, body=body).with_header("Content-Range", f"bytes {first}-{total - 1}/{total}")


def _no_range_head(_: Scene, answer: Answer) -> Answer:
    return answer.with_header("Content-Range", None)


MEDIA: dict[str, Trouble] = COMMON | {
    "missing": lambda _, __: Answer(404, (("Content-Type", "text/html"),), b"<html>Not Found</html>"),
    "missing_key": lambda _, __: s3_error(404, "NoSuchKey", "The specified key does not exist."),
    "expired": lambda _, __: s3_error(403, "AccessDenied", "Request has expired"),
    "denied": lambda _, __: s3_error(403, "AccessDenied", "Access Denied"),
    "cut": _cut_media(None), "cut_chunked": _cut_media("chunked"), "cut_close": _cut_media("close"),
    "cut_said": _cut_media("length", said=True), "error_page": _error_page,
    "error_typed_audio": _error_typed(lambda body: body), "error_utf16": _error_typed(_utf16),
    "error_iso2022": _error_typed(_iso2022), "error_gzip": _error_typed(gzip.compress),
    "empty_body": _empty_body, "encoded": _encoded, "unasked_range": _unasked_range,
    "swap": _swap(resized=False), "swap_resized": _swap(resized=True), "shrinks": _shrinks,
    "other_total": _after_cut(_other_total), "wrong_range": _after_cut(_wrong_range),
    "no_range_head": _after_cut(_no_range_head),
}  # fmt: skip


# S3


def _bare(_: Scene, answer: Answer) -> Answer:
    """Leave out what a store may leave out of the head of an object."""
    for name in ("x-amz-checksum-crc32", "x-amz-checksum-type", "Last-Modified"):
        answer = answer.with_header(name, None)
    return answer


S3: dict[str, Trouble] = COMMON | {
    "internal": lambda _, __: s3_error(500, "InternalError", "We encountered an internal error. Please try again."),
    "slow_down": lambda _, __: s3_error(503, "SlowDown", "Reduce your request rate."),
    "lost_after": _lost,
    "internal_after": lambda _, __: s3_error(500, "InternalError"),
    "conflict_409": lambda _, __: s3_error(409, "ConditionalRequestConflict"),
    "spurious_412": lambda _, __: s3_error(412, "PreconditionFailed"),
    "bad_digest": lambda _, __: s3_error(400, "BadDigest"),
    "denied": lambda _, __: s3_error(403, "AccessDenied", "Access Denied"),
    "no_etag": lambda _, answer: answer.with_header("ETag", None),
    "late": lambda _, __: Answer(404),
    "head_late": lambda _, __: Answer(404),
    "bare": _bare,
}  # fmt: skip
