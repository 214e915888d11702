"""What an answer says beyond what is read of it stays with the task and the recording it is said of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.webex_contract.samples import SAMPLES
from wxrec_async.model import Recording, Task
from wxrec_async.rules.said import read
from wxrec_async.webex.parse import UrlLease, read_captures, read_tasks

FULL = {
    "owner": {"id": "a", "name": "Agent"}, "queue": {"id": "q", "name": "Sales"}, "channelType": "telephony",
    "status": "completed", "createdTime": 1780000060000, "lastUpdatedTime": "1780000400000", "captureRequested": None,
    "origin": "+15550100001", "destination": None, "direction": "inbound", "reasonCode": "Credit",
    "endedTime": "2026-06-01T10:00:00Z", "totalDuration": 12.5, "isActive": "false",
}  # fmt: skip
HEARD: dict[str, Any] = {
    "fileName": "combinedRecordings.wav", "filePath": "https://h/x?X-Amz-Signature=0", "startTime": 1780000060000,
    "stopTime": "1780000120000", "participants": ["a", "+155****0001"], "channel1": "Caller", "channel2": "Agent",
    "callType": "main", "sensitive": False,
}  # fmt: skip


def task(row: dict[str, object]) -> Task:
    page, _ = read_tasks(json.dumps({"data": [row]}).encode())
    return page.tasks[0]


def recording(row: dict[str, object]) -> Recording:
    body = json.dumps({"data": [{"taskId": "t", "recording": [row]}]}).encode()
    found, _ = read_captures(body, ["t"], UrlLease(0.0, 60.0), lambda _: None)
    return found["t"].recordings[0]


def test_a_task_that_is_as_documented_says_nothing_more() -> None:
    """And then nothing is written down of it, which costs nothing."""
    found = task({"id": "t", "attributes": FULL})
    assert (found.said, found.reason_code) == (None, "Credit")
    assert task({"id": "t", "attributes": {}}).said is None
    assert task({"id": "t"}).said is None


@pytest.mark.parametrize("sample", [each for each in SAMPLES if each.name.startswith(("tasks-", "captures-"))])
def test_the_contract_s_samples_say_nothing_more(sample: Any) -> None:
    """What Cisco documents has its own column, all of it."""
    if sample.status != 200:
        pytest.skip("no answer")
    body = json.dumps(sample.body).encode()
    if sample.name.startswith("tasks-"):
        assert [each.said for each in read_tasks(body)[0].tasks if each.said] == []
    else:
        found, _ = read_captures(body, sample.asked["query"]["taskIds"], UrlLease(0.0, 60.0), lambda _: None)
        assert [each.said for of in found.values() for each in of.recordings if each.said] == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mood": "fine", "queue": None}, {"mood": "fine"}),
        ({"mood": None}, {"mood": None}),
        ({"createdTime": "soon"}, {"createdTime": "soon"}),
        ({"captureRequested": "perhaps"}, {"captureRequested": "perhaps"}),
        ({"queue": {"id": "q", "team": "t"}}, {"queue": {"id": "q", "team": "t"}}),
        ({"queue": {"id": ["q"]}}, {"queue": {"id": ["q"]}}),
        ({"queue": "Sales"}, {"queue": "Sales"}),
        ({"queue": None, "lastQueue": {"id": "q", "name": "Sales"}}, {}),
        ({"lastQueue": {"id": "other"}}, {"lastQueue": {"id": "other"}}),
        ({"status": ["a", "b"]}, {"status": ["a", "b"]}),
    ],
)
def test_what_is_new_or_unreadable_in_a_task_is_kept(changed: dict[str, object], said: dict[str, object]) -> None:
    """Whole and under its own name; what is read has its column."""
    assert read(task({"id": "t", "attributes": FULL | changed}).said) == said


def test_what_stands_beside_the_attributes_is_kept_too() -> None:
    """Under its own name as long as that is free."""
    assert read(task({"id": "t", "links": [1], "attributes": FULL}).said) == {"links": [1]}
    row: dict[str, object] = {"id": "t", "x": 1, "attributes": FULL | {"x": 2}}
    assert read(task(row).said) == {"x": 2, "row.x": 1}
    assert read(task({"id": "t", "attributes": "none"}).said) == {"attributes": "none"}


def test_a_recording_that_is_as_documented_says_nothing_more() -> None:
    """Its URL is read, and kept nowhere else."""
    found = recording({"id": "r", "segment": False, "attributes": HEARD})
    assert found.said is None
    assert recording({"id": "r"}).said is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"codec": "g711", "filePath": ["https://h/x?X-Amz-Signature=0"]}, {"codec": "g711"}),
        ({"fileName": ["a"]}, {"fileName": ["a"]}),
        ({"fileName": None, "participants": None}, {}),
        ({"participants": ["a", {"id": "b"}]}, {"participants": ["a", {"id": "b"}]}),
        ({"participants": "a"}, {"participants": "a"}),
        ({"sensitive": "very"}, {"sensitive": "very"}),
        ({"startTime": 5}, {"startTime": 5}),
    ],
)
def test_what_is_new_or_unreadable_in_a_recording_is_kept(changed: dict[str, object], said: dict[str, object]) -> None:
    """As of a task; never the signed URL, wherever it lies."""
    assert read(recording({"id": "r", "segment": False, "attributes": HEARD | changed}).said) == said


def test_a_segment_that_is_no_flag_is_kept() -> None:
    """And what stands beside the attributes."""
    assert read(recording({"id": "r", "segment": "part", "attributes": HEARD}).said) == {"segment": "part"}
    assert read(recording({"id": "r", "of": 2, "attributes": HEARD}).said) == {"of": 2}
    assert read(recording({"id": "r", "attributes": ["a"], "segment": None}).said) == {"attributes": ["a"]}
