"""What may be wrong with the answers of Webex: tasks, captures, Search, tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.worlds.scene import COMMON, HTML, Scene, Trouble, empty_body
from tests.worlds.truth import Call
from tests.worlds.webex_door import json_answer, refused
from tests.worlds.wire import Answer


def _html(scene: Scene, _: Answer) -> Answer:
    return Answer(scene.dice.choice((200, 200, 502)), (("Content-Type", "text/html"),), HTML)


def _not_json(scene: Scene, answer: Answer) -> Answer:
    return replace(answer, body=answer.body[: scene.dice.randrange(len(answer.body) or 1)])


def _other_type(_: Scene, answer: Answer) -> Answer:
    return answer.with_header("Content-Type", "text/plain")


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
    names = ((row, str(row.get("id", row.get("taskId"))).lower()) for row in rows)
    return next((row for row, name in names if wanted in (None, name)), None)


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


def _seconds(value: dict[str, Any], _: Scene) -> None:
    for row in value["data"]:
        said = row["attributes"]
        said["createdTime"] = int(said["createdTime"]) // 1000


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
    if row is None or scene.call is None or scene.call.requested is not True or _is_denied(scene.call):
        return False
    row["recording"] = []
    return True


def _is_denied(call: Call) -> bool:
    return any(each.denied for each in call.recordings)


def _fewer(value: dict[str, Any], scene: Scene) -> bool:
    """Name fewer recordings than an earlier answer did, but for those of which the media host says so, too.

    Both together are what a recording is that was deleted: no voice contradicts them.
    """
    row = _row(value, scene)
    if row is None or scene.call is None or not scene.call.named or not row["recording"]:
        return False
    if _is_denied(scene.call):
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


def _witness(value: dict[str, Any], scene: Scene) -> dict[str, Any] | None:
    wanted = scene.call.id if scene.call else ""
    rows: list[dict[str, Any]] = value["data"]["taskDetails"]["tasks"]
    return next((row for row in rows if str(row.get("id")).lower() == wanted), None)


def _deleted_beside(value: dict[str, Any], scene: Scene) -> bool:
    """Say that the recordings of a call were deleted while captures names them."""
    row = _witness(value, scene)
    if row is None or "isRecordingDeleted" not in row:
        return False
    row["isRecordingDeleted"] = True
    return True


def _counts_more(value: dict[str, Any], scene: Scene) -> bool:
    row = _witness(value, scene)
    if row is None or "recordingCount" not in row:
        return False
    row["recordingCount"] += 1
    return True


def _other_entry(row: dict[str, Any], _: Scene, value: dict[str, Any]) -> None:
    """Answer for a call that nobody asked for in place of one that was."""
    row["taskId"], row["recording"] = "00000000-0000-4000-8000-000000000000", []


def _twice_in_list(row: dict[str, Any], _: Scene, __: dict[str, Any]) -> None:
    row["recording"] = [each for each in row["recording"] for _ in range(2)]


def _short_lived(value: dict[str, Any], scene: Scene) -> None:
    value["expires_in"] = scene.dice.choice((1, "30", 60))


def _no_refresh_token(value: dict[str, Any], _: Scene) -> None:
    value.pop("refresh_token", None)


def _invalid_grant(_: Scene, __: Answer) -> Answer:
    return json_answer({"error": "invalid_grant", "error_description": "refresh token refused"}, 400)


JSON: dict[str, Trouble] = COMMON | {
    "html": _html, "empty_body": empty_body, "not_json": _not_json, "other_type": _other_type,
    "no_data": _changed(_no_data), "data_null": _changed(_data_null), "errors_beside": _changed(_errors_beside),
    "errors_beside_empty": _changed(_errors_beside_empty), "error_member": _changed(_error_member),
    "row_without_id": _changed(_row_without_id), "row_null": _changed(_row_null),
    "partial_with_error": _changed(_partial_with_error),
    "repeated_rows": _changed(_repeated_rows), "refuses_token": _refuses_token,
    "seconds": _changed(_seconds),
    "entry_missing": _with_row(_entry_missing), "list_null": _with_row(_list_null),
    "list_absent": _with_row(_list_absent), "error_in_entry": _with_row(_error_in_entry),
    "entry_not_object": _with_row(_entry_not_object), "list_not_list": _with_row(_list_not_list),
    "empty_but_promised": _changed(_empty_but_promised), "fewer": _changed(_fewer), "no_url": _each_recording(_no_url),
    "dead_url": _each_recording(_dead_url), "no_recording_id": _each_recording(_no_recording_id),
    "refused_id": _refused_id(400), "forbidden_id": _refused_id(403), "entry_twice": _changed(_entry_twice),
    "search.errors_beside": _changed(_search_errors), "details_null": _changed(_search_details_null),
    "unknown_field": _unknown_field, "no_page_info": _changed(_no_page_info), "endless": _changed(_endless),
    "deleted_beside": _changed(_deleted_beside), "counts_more": _changed(_counts_more),
    "other_entry": _with_row(_other_entry), "twice_in_list": _with_row(_twice_in_list),
    "short_lived": _changed(_short_lived), "no_refresh_token": _changed(_no_refresh_token),
    "no_token": _changed(_no_data), "invalid_grant": _invalid_grant,
}  # fmt: skip
