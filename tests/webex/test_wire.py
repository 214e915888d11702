"""Answers of the API in all the shapes they come in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import InvalidResponse
from wxrec_async.model import Recording, Task
from wxrec_async.webex.lenient import as_count, as_flag, as_id, as_ms, as_text
from wxrec_async.webex.parse import UrlLease, read_captures, read_error, read_s3_error, read_tasks

LEASE = UrlLease(leased_at=12.0, lease_s=3600.0)
MS = 1_700_000_000_123


def tasks(body: object) -> tuple[Task, ...]:
    return read_tasks(json.dumps(body).encode())[0].tasks


def row(task_id: object = "t1", **attributes: object) -> dict[str, object]:
    return {"id": task_id, "attributes": attributes}


def check(url: str) -> str | None:
    return None if url.startswith("https://ok/") else "evil is not in media_hosts"


def recordings(*rows: object, task_id: str = "t1") -> tuple[Recording, ...]:
    body = json.dumps({"meta": {}, "data": [{"taskId": task_id, "recording": list(rows)}]}).encode()
    return read_captures(body, ["t1"], LEASE, check)[0]["t1"].recordings


def rec(rec_id: object = "r1", path: object = "https://ok/x", **attributes: object) -> dict[str, object]:
    return {"id": rec_id, "attributes": {"filePath": path, **attributes}}


def test_every_field_of_a_task_is_kept() -> None:
    """A full row becomes a full task."""
    full = row(
        channelType="telephony", status="completed", direction="inbound", origin="+15550100123", destination="+1999",
        createdTime=MS, endedTime=MS + 2, lastUpdatedTime=MS + 3, captureRequested=True, totalDuration=61_000,
        queue={"id": "q", "name": "Sales"}, owner={"id": "a", "name": "Ann"}, somethingNew={"x": [1]},
    )  # fmt: skip
    assert tasks({"meta": {"orgId": "o"}, "data": [full]}) == (
        Task(
            "t1", "telephony", "completed", "inbound", "+15550100123", "+1999", MS, MS + 2, MS + 3,
            "q", "Sales", "a", "Ann", 61_000, True, said='{"somethingNew":{"x":[1]}}',
        ),
    )  # fmt: skip


@pytest.mark.fault("W13")
@pytest.mark.parametrize(
    "bare",
    [
        {"id": "t1"},
        {"id": "t1", "attributes": None},
        {"id": "t1", "attributes": []},
        row(owner=None, queue=None, createdTime=None, captureRequested=None),
        row(owner="Ann", queue=[1], createdTime={}, status=True, captureRequested="maybe", totalDuration=-1),
    ],
)
def test_only_the_id_is_required(bare: dict[str, object]) -> None:
    """Missing, null and mistyped fields leave a task with an id, and at most the word for what could not be read."""
    assert [replace(each, said=None) for each in tasks({"data": [bare]})] == [Task("t1")]


@pytest.mark.fault("W12", "W13")
@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (MS, MS), (float(MS), MS), (str(MS), MS), (f" {MS} ", MS), ("2023-11-14T22:13:20.123Z", MS),
        ("2023-11-14T22:13:20.123", MS), ("2023-11-15T00:13:20.123+02:00", MS), (MS / 1000, None), (0, None),
        (-MS, None), (True, None), ("", None), ("soon", None), (float("nan"), None), (float("inf"), None),
        (10**400, None), (10**16, None), ("9" * 5000, None), ([MS], None), ("0001-01-01T00:00:00Z", None),
    ],
)  # fmt: skip
def test_times_come_in_many_clothes(value: object, ms: int | None) -> None:
    """Milliseconds as number, digits or ISO text are understood; seconds and nonsense are no time."""
    assert as_ms(value) == ms


@pytest.mark.fault("W12")
@pytest.mark.parametrize(
    ("value", "text_id"),
    [
        ("load-bulk-api-Contact-1", "load-bulk-api-Contact-1"), ("ä/../\x00", "ä/../\x00"), (7, "7"), ("", None),
        ("x" * 1024, "x" * 1024), ("x" * 1025, None), ("\ud83d", None), (None, None), (True, None), (1.5, None),
        (10**400, None), ([], None), ({}, None),
    ],
)  # fmt: skip
def test_ids_are_opaque_text(value: object, text_id: str | None) -> None:
    """Any text is an id, unless it is empty, too long, or cannot be written down as UTF-8."""
    assert as_id(value) == text_id


def test_loose_values() -> None:
    """Flags, counts and texts are taken from what they are likely meant to be."""
    flags: tuple[object, ...] = (True, "True", "false", 1, None, "")
    counts: tuple[object, ...] = (5, "5", 5.9, -1, "-1", True, "\u0663")
    texts: tuple[object, ...] = ("a\ud800b", 5, 1.5, None, True, [])
    assert [as_flag(value) for value in flags] == [True, True, False, None, None, None]
    assert [as_count(value) for value in counts] == [5, 5, 5, None, None, None, None]
    assert [as_text(value) for value in texts] == ["a?b", "5", "1.5", None, None, None]


@pytest.mark.fault("W12")
def test_encodings_and_odd_numbers_are_read() -> None:
    """A byte order mark, UTF-16, NaN, numbers without end and repeated keys do not hide a page."""
    text = '{"data":[{"id":"a","id":"t1","attributes":{"createdTime":NaN,"n":%s}}]}' % ("9" * 5000)
    for body in (text.encode("utf-8-sig"), text.encode("utf-16"), b" \n" + text.encode()):
        assert read_tasks(body)[0].tasks == (Task("t1", said='{"n":"inf"}'),)


@pytest.mark.fault("W11")
@pytest.mark.parametrize(
    "body",
    [
        b" ", b"null", b"[]", b"{}",
        b'"text"', b"5", b"<html>CANARY</html>", b'{"data":[{"id":"CANARY', b"\xff\xfe\xff",
        b'{"data":"x"}', b'{"data":{}}', b'{"data":null}', b'{"meta":{},"error":{"key":1}}', b'{"message":"CANARY"}',
        b'{"meta":{"orgId":"o"}}', b'{"meta":{},"data":null}', b'{"data":[],"errors":[{"code":"CANARY"}]}',
        b'{"meta":{"status":503},"data":[]}', b'{"meta":{"orgId":"o","status":503}}', b'{"data":[],"status":"PARTIAL"}',
        b'{"data":[],"_shards":{"failed":2}}', b'{"data":[],"partial":true}', b'{"data":[],"success":false}',
        b'{"data":[],"warnings":["CANARY: upstream timed out"]}', b'{"data":[],"hasErrors":true}',
        b"[" * 100_000, b'{"data":[{"attributes":{}},5,null]}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_never_an_empty_page(body: bytes) -> None:
    """Cut, foreign and empty answers are failures without a byte of the body in their text."""
    for read in (read_tasks, lambda b: read_captures(b, ["t1"], LEASE, check)):
        if read is not read_tasks and body.startswith(b'{"data":[{"attributes"'):
            continue
        with pytest.raises(InvalidResponse) as caught:
            read(body)
        assert "CANARY" not in str(caught.value)
        assert caught.value.__context__ is None


def test_empty_pages_are_pages() -> None:
    """Only a sound list says that there is nothing; a success without a body (204) is one."""
    sound = b'{"meta":{"orgId":"o","status":200},"data":[],"errors":[],"error":null,"partial":false,"message":"OK"}'
    for body in (b'{"data":[]}', sound, b""):
        page, odd = read_tasks(body)
        assert (page.tasks, page.rows, odd) == ((), 0, [])


@pytest.mark.fault("W12")
def test_rows_without_an_id_are_counted_and_told() -> None:
    """An unusable row is left out, stays in the count, and somebody hears of it."""
    page, odd = read_tasks(json.dumps({"data": [row(), row(None), 5, row("")]}).encode())
    assert (len(page.tasks), page.rows) == (1, 4)
    assert [(event.code, "(3)" in event.message) for event in odd] == [("row_without_id", True)]


@pytest.mark.fault("W17")
@pytest.mark.parametrize("newest_first", [True, False])
def test_of_two_rows_with_one_id_the_newest_stands(newest_first: bool) -> None:
    """The order on the page does not matter."""
    rows = [row(lastUpdatedTime=MS + 1, status="completed"), row(lastUpdatedTime=MS, status="created")]
    page, odd = read_tasks(json.dumps({"data": rows if newest_first else rows[::-1]}).encode())
    assert [task.status for task in page.tasks] == ["completed"]
    assert [event.code for event in odd] == ["row_repeated"]


@pytest.mark.parametrize(
    ("more", "link"),
    [
        ({"meta": {"links": {"next": "https://h/n"}}}, "https://h/n"),
        ({"links": {"next": "https://h/n"}}, "https://h/n"),
        ({"links": {"next": {"href": "https://h/n"}}}, "https://h/n"),
        ({"links": {"next": None}, "meta": None}, None),
        ({"links": []}, None),
    ],
)
def test_next_links_are_found_where_they_may_be(more: dict[str, object], link: str | None) -> None:
    """A next link is read from both places, as text or as an object."""
    assert read_tasks(json.dumps({"data": [], **more}).encode())[0].next_link == link


def test_every_field_of_a_recording_is_kept() -> None:
    """A full row becomes a full recording, its URL a secret."""
    full = rec(
        fileName="combinedRecordings.wav", startTime=str(MS), stopTime=MS + 1, callType="main", sensitive="true",
        channel1="c1", channel2="c2", participants=["p1", None, "p2"],
    )  # fmt: skip
    (got,) = recordings({**full, "segment": "true"})
    assert got.url is not None
    assert got.url.reveal() == "https://ok/x"
    assert "https" not in repr(got)
    assert (got.id, got.task_id, got.start_ms, got.stop_ms, got.call_type) == ("r1", "t1", MS, MS + 1, "main")
    assert (got.segment, got.sensitive, got.participants) == (True, True, ("p1", "p2"))
    assert (got.leased_at, got.lease_s, got.problem) == (12.0, 3600.0, None)


@pytest.mark.fault("W14")
@pytest.mark.parametrize(
    ("data", "unsettled"),
    [
        ([], "entry_missing"), ([{"taskId": "t2", "recording": None}], "list_missing"),
        ([{"taskId": "t2"}], "list_missing"), ([{"taskId": "t2", "recording": "text"}], "list_missing"),
        ([{"taskId": "t2", "recording": 5}], "list_missing"), ([{"taskId": "t2", "recording": [None]}], "list_missing"),
        ([{"taskId": "t2", "recording": [], "error": {"code": 500}}], "error_beside"),
        ([{"taskId": "t2", "recording": [], "status": 500}], "error_beside"),
        ([{"taskId": "t2", "recording": []}], ""), ([{"taskId": "t2", "recording": [], "transcription": None}], ""),
        ([None, 5, {"taskId": None}], "entry_missing"), ([{"taskId": "t2 ", "recording": []}], "entry_missing"),
    ],
)  # fmt: skip
def test_only_an_entry_with_its_list_settles(data: object, unsettled: str) -> None:
    """Every id asked for gets a capture; what an answer leaves out is no "there is none"."""
    found, _ = read_captures(json.dumps({"meta": {}, "data": data}).encode(), ["t1", "t2"], LEASE, check)
    assert list(found) == ["t1", "t2"]
    assert all(capture.recordings == () for capture in found.values())
    assert (found["t1"].unsettled, found["t2"].unsettled) == ("entry_missing", unsettled)


@pytest.mark.fault("W14")
def test_no_body_settles_nothing() -> None:
    """A 204 of captures names no task at all."""
    found, _ = read_captures(b"", ["t1", "t2"], LEASE, check)
    assert [each.unsettled for each in found.values()] == ["entry_missing"] * 2


@pytest.mark.fault("W14")
@pytest.mark.parametrize(
    ("beside", "doubtful"),
    [
        ({"errors": [{"taskId": "00000000-0000-4000-8000-00000000000A", "code": 500}]}, {"a"}),
        ({"errors": [{"message": "cannot read 00000000-0000-4000-8000-00000000000a now"}]}, {"a"}),
        ({"errors": [{"code": 500}]}, {"a", "b"}),
        ({"errors": [{"taskId": "00000000-0000-4000-8000-00000000000a"}, {"code": "UPSTREAM"}]}, {"a", "b"}),
        ({"error": "timeout"}, {"a", "b"}),
        ({"meta": {"status": 503}}, {"a", "b"}),
        ({"errors": []}, set()),
    ],
)
def test_an_error_beside_entries_unsettles_whom_it_concerns(beside: dict[str, object], doubtful: set[str]) -> None:
    """Those it names, everybody when it names none; what the entries name is there all the same."""
    ids = {name: f"00000000-0000-4000-8000-00000000000{name}" for name in "ab"}
    data = [{"taskId": ids["a"], "recording": [rec("r")]}, {"taskId": ids["b"].upper(), "recording": []}]
    found, _ = read_captures(json.dumps({"data": data, **beside}).encode(), list(ids.values()), LEASE, check)
    assert {name for name in ids if found[ids[name]].unsettled} == doubtful
    assert [len(found[each].recordings) for each in ids.values()] == [1, 0]


@pytest.mark.parametrize("data", [[], None, {}, "x"])
def test_errors_in_place_of_entries_are_no_answer(data: object) -> None:
    """Asked again like a 5xx; an answer about nobody settles nobody."""
    with pytest.raises(InvalidResponse):
        read_captures(json.dumps({"data": data, "errors": [{"code": 1}]}).encode(), ["t1"], LEASE, check)


def test_a_uuid_is_the_same_in_any_case() -> None:
    """An entry in capitals is that of the id asked for, whichever way that was written; other ids are opaque."""
    upper = "ABCDEF00-0000-4000-8000-00000000000A"
    data = [{"taskId": upper, "recording": [rec("r")]}, {"taskId": "ODD-ID", "recording": []}]
    asked = [upper.lower(), "odd-id"]
    found, _ = read_captures(json.dumps({"data": data}).encode(), asked, LEASE, check)
    assert [len(found[each].recordings) for each in asked] == [1, 0]
    assert found["odd-id"].unsettled == "entry_missing"
    page, _ = read_tasks(json.dumps({"data": [row(upper), row("ODD-ID")]}).encode())
    assert [task.id for task in page.tasks] == [upper.lower(), "ODD-ID"]


@pytest.mark.parametrize(("said", "active"), [({"isActive": True}, True), ({"active": "false"}, False), ({}, None)])
def test_a_task_says_whether_it_goes_on(said: dict[str, object], active: bool | None) -> None:
    """isActive is what decides whether what captures names is all there will be."""
    page, _ = read_tasks(json.dumps({"data": [row(**said)]}).encode())
    assert page.tasks[0].active is active


def test_a_page_may_say_that_it_is_not_the_last() -> None:
    """However it says so; a page in the middle may be short or empty."""
    for said in ({"hasMore": True}, {"meta": {"isTruncated": True}}, {"pagination": {"nextCursor": "x"}}):
        assert read_tasks(json.dumps({"data": [], **said}).encode())[0].more
    assert not read_tasks(json.dumps({"data": [], "hasMore": False, "meta": {"nextCursor": None}}).encode())[0].more


@pytest.mark.fault("W14")
def test_entries_are_matched_by_task_and_foreign_ones_told() -> None:
    """Order means nothing, several entries are put together, and what was not asked for is left out and counted."""
    data = [
        {"taskId": "t2", "recording": [rec("b")]},
        {"taskId": "foreign", "recording": [rec("x")]},
        {"taskId": "t1", "recording": [rec("a")]},
        {"taskId": "t2", "recording": [rec("c")]},
    ]
    found, odd = read_captures(json.dumps({"data": data}).encode(), ["t1", "t2"], LEASE, check)
    assert {task: [r.id for r in capture.recordings] for task, capture in found.items()} == {
        "t1": ["a"], "t2": ["b", "c"],
    }  # fmt: skip
    assert [event.code for event in odd] == ["capture_not_asked_for"]


@pytest.mark.fault("W15")
@pytest.mark.parametrize(
    ("path", "problem"),
    [(None, "no_url"), ("", "no_url"), (5, "no_url"), ("/relative", "bad_url"), ("http://ok/x", "bad_url")],
)
def test_recordings_without_a_usable_url_say_so(path: object, problem: str) -> None:
    """Such a recording is kept, without a URL and with the reason."""
    (got,) = recordings(rec(path=path))
    assert (got.url, got.problem) == (None, problem)


def test_refused_host_is_told() -> None:
    """The operator learns which host is missing from media_hosts."""
    body = json.dumps({"data": [{"taskId": "t1", "recording": [rec(path="https://evil/?s=CANARY")]}]}).encode()
    (event,) = read_captures(body, ["t1"], LEASE, check)[1]
    assert (event.code, "media_hosts" in event.message, "CANARY" in event.message) == ("bad_url", True, False)


def test_recordings_without_an_id() -> None:
    """Each is named by its start; where nothing tells it from another of the task it can only be reported."""
    (alone,) = recordings(rec(None, startTime=MS))
    assert (alone.id, alone.problem) == (f"unnamed-{MS}", None)
    (untimed,) = recordings(rec(None))
    assert (untimed.id, untimed.problem) == ("unnamed-1", None)
    first, second, third = recordings(rec("r1", startTime=MS), rec(None, startTime=MS + 60_000), 5)
    assert (first.problem, second.id, second.problem) == (None, f"unnamed-{MS + 60_000}", "no_id")
    assert (third.id, third.problem, second.url) == ("unnamed-3", "no_id", None)
    first, second = recordings(rec("r1", startTime=MS), rec(None, startTime=MS + 60_000))
    assert (first.problem, second.id, second.problem) == (None, f"unnamed-{MS + 60_000}", None)
    first, second = recordings(rec(None, startTime=MS), rec("r1", startTime=MS))
    assert (first.problem, second.problem) == ("no_id", None)


def test_recording_named_twice_is_one() -> None:
    """One row stands, that with a URL, if they agree in all that tells recordings apart."""
    assert len(recordings(rec(), rec())) == 1
    (one,) = recordings(rec(path=None), rec())
    assert one.url is not None


@pytest.mark.fault("W13")
@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"trackingId": "T", "error": {"key": 400, "message": [{"description": "bad range"}]}}, "400", "bad range"),
        ({"trackingId": "T", "error": {"key": "x", "message": "plain"}}, "x", "plain"),
        ({"message": "m", "errors": [{"description": "d"}], "trackingId": "T"}, "", "m"),
        ({"errors": [{"description": "d1"}, {"description": "d2"}], "trackingId": "T"}, "", "d1; d2"),
        ({"error": "invalid_grant", "error_description": "dead", "trackingId": "T"}, "invalid_grant", "dead"),
        ({"trackingId": "T", "error": {"reason": "r"}}, "", "r"),
        ({"trackingId": "T"}, "", ""),
    ],
)
def test_error_bodies_of_all_shapes(body: dict[str, Any], code: str, words: str) -> None:
    """Code, words and tracking id are found wherever they are."""
    error = read_error(json.dumps(body).encode())
    assert (error.code, error.words, error.tracking_id) == (code, words, "T")


def test_error_words_are_redacted_and_short() -> None:
    """No secret of an error body gets into a message, not even a half of one at the cut."""
    text = "call +15550100123 or ann@example.org Bearer CANARY-AT-123456\n" + "x" * 400
    words = read_error(json.dumps({"message": text}).encode(), "H").words
    assert not [bad for bad in ("15550100123", "ann@", "CANARY", "\n") if bad in words]
    assert len(words) == 300
    assert read_error(b"<html>CANARY</html>", "H").words == ""
    assert read_error(b"", "H").tracking_id == "H"


@pytest.mark.fault("D04", "X20")
def test_s3_errors_are_read_without_a_parser() -> None:
    """Code and message are found in the first 4 KiB; entities stay unexpanded (X20)."""
    xml = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    assert read_s3_error(xml) == ("AccessDenied", "Request has expired")
    bomb = b'<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]><Error><Code>&b;</Code><Message>&b;</Message></Error>'
    assert read_s3_error(bomb) == ("", "&b;")
    assert read_s3_error(b"x" * 5000 + xml) == ("", "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "id",
    "attributes",
    "data",
    "meta",
    "taskId",
    "recording",
    "filePath",
    "createdTime",
    "queue",
    "owner",
    "error",
]
SHAPED = st.recursive(
    JSON,
    lambda inner: st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6) | st.lists(inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.fault("W11", "W12", "W13")
@given(SHAPED | st.builds(lambda rows: {"data": rows}, st.lists(SHAPED, max_size=3)))
def test_any_json_is_read_or_refused(value: object) -> None:
    """No JSON makes the readers raise anything but Nonsense, and what they return can be written as UTF-8."""
    body = json.dumps(value).encode()
    read_error(body)
    try:
        page, _ = read_tasks(body)
        repr([(task, task.origin, task.agent_name) for task in page.tasks]).encode()
        assert page.rows >= len(page.tasks)
        assert all(task.id for task in page.tasks)
    except InvalidResponse:
        pass
    try:
        found, _ = read_captures(body, ["t1", ""], LEASE, check)
        assert list(found) == ["t1", ""]
        assert all(r.id for capture in found.values() for r in capture.recordings)
    except InvalidResponse:
        pass


@pytest.mark.fault("W11")
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Random bytes are never an empty page, an empty capture or a crash."""
    read_error(body)
    read_s3_error(body)
    if body:
        with pytest.raises(InvalidResponse):
            read_tasks(body)


@pytest.mark.fault("W12")
@pytest.mark.parametrize("rest", [b"x", b'"b":' + b"[" * 9000, b'"CANARY-AT-1'])
def test_endless_digits_before_broken_json_are_nonsense(rest: bytes) -> None:
    """Found by fuzzing: the second way of reading fails as the first does, without the body hanging on the failure."""
    with pytest.raises(InvalidResponse) as nonsense:
        read_tasks(b'{"a":' + b"9" * 5000 + b"," + rest)
    assert nonsense.value.__context__ is None
    assert nonsense.value.__cause__ is None
