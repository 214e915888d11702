"""What captures names besides recordings, and segments that carry another recording's id."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import Attachment, Capture
from wxrec_async.webex.parse import UrlLease, read_captures

NOON, FIVE, NINE = 1_767_268_800_000, 1_767_268_800_005, 1_767_268_800_009


def read(*entries: dict[str, Any]) -> Capture:
    body = json.dumps({"meta": {}, "data": [{"taskId": "t", **entry} for entry in entries]}).encode()
    found, _ = read_captures(body, ["t"], UrlLease(0.0, 60.0), lambda _url: None)
    return found["t"]


def row(identifier: str | None, *, segment: bool = False, start: int | None = NOON, **facts: Any) -> dict[str, Any]:
    attributes = {"filePath": "https://media.test/x", "startTime": start, **facts}
    return {"id": identifier, "segment": segment, "attributes": attributes}


def test_transcripts_and_screens_are_attachments() -> None:
    """Documented lists, lists nobody knows yet, and rows that say they are no audio; none becomes a recording."""
    found = read(
        {
            "recording": [row("t"), row("s", mediaType="SCREEN"), row("v", type="video/mp4")],
            "transcription": [{"id": "text"}, {}, None],
            "screenRecording": [{"id": "pixels"}],
            "sentiment": [{"id": "mood"}],
        }
    )
    assert [each.id for each in found.recordings] == ["t"]
    assert found.attachments == (
        Attachment("s", "screen"),
        Attachment("v", "video"),
        Attachment("text", "transcript"),
        Attachment("pixels", "screen"),
        Attachment("mood", "sentiment"),
    )


@pytest.mark.parametrize("odd", [None, "text", 3, {"id": "x"}, [], [None]])
def test_an_odd_list_is_no_attachment(odd: object) -> None:
    """Nothing is made up."""
    assert read({"recording": [], "transcription": odd}).attachments == ()


def test_an_attachment_without_an_id_is_named_by_its_task() -> None:
    """So that it is counted once, however often it is seen."""
    assert read({"transcription": [{"text": "hello"}]}).attachments == (Attachment("t#1", "transcript"),)


@given(st.permutations([row("t"), row("t", segment=True, start=FIVE), row("t", segment=True, start=NINE), row("u")]))
def test_a_segment_never_passes_for_the_whole(rows: list[dict[str, Any]]) -> None:
    """In whatever order they come, the stitched recording keeps its id and each part has its own."""
    found = {each.id: each.segment for each in read({"recording": rows}).recordings}
    assert found == {"t": False, f"t-segment-{FIVE}": True, f"t-segment-{NINE}": True, "u": False}


def test_segments_with_ids_of_their_own_keep_them_and_repeated_ones_are_one() -> None:
    """Nothing is renamed without need: the same answer twice names the same recordings."""
    rows = [
        row("t"),
        row("a", segment=True, start=FIVE),
        row("a", segment=True, start=FIVE),
        row("b", segment=True),
    ]
    assert [each.id for each in read({"recording": rows}).recordings] == ["t", "a", "b"]


def test_a_segment_that_nothing_tells_apart_is_reported() -> None:
    """Without a start it could be another part the next time: it is named, and not stored under a made-up name."""
    found = read({"recording": [row("t"), row("t", segment=True, start=None)]})
    assert [(each.id, each.problem) for each in found.recordings] == [("t", None), ("t-segment", "no_id")]


@pytest.mark.parametrize("word", ["screened transfer", "main", "videoless", "transcripted", "Screen pop"])
def test_a_part_of_a_word_makes_no_recording_something_else(word: str) -> None:
    """Only whole known words say that something is no audio: what captures names is never "no recording"."""
    assert [each.id for each in read({"recording": [row("t", callType=word)]}).recordings] == ["t"]


TWINS = [
    row("t", callType="main", fileName="a.wav"),
    row("t", callType="consult", fileName="a.wav", start=NOON + 60_000),
    row("t", callType="consult", fileName="b.wav", start=NOON + 60_000),
    row("t", callType="consult", fileName="a.wav", start=None),
    row("t", callType="main", fileName="a.wav", filePath="https://media.test/other"),
]


@given(st.permutations(TWINS))
def test_different_recordings_under_one_id_are_told_apart(rows: list[dict[str, Any]]) -> None:
    """Each has an id of its own, the same whatever the order, and the main call keeps the one they share."""
    found = {
        each.id: (each.call_type, each.file_name, each.url is not None) for each in read({"recording": rows}).recordings
    }
    assert len(found) == 5
    assert found == {each.id: (each.call_type, each.file_name, each.url is not None) for each in TOLD}
    assert found["t"] == ("main", "a.wav", True)
    assert f"t-{NOON + 60_000}" in found


@given(
    st.permutations(
        [row("t"), row("t", filePath="https://media.test/x?X-Amz-Signature=other"), row("t", filePath=None)]
    )
)
def test_rows_that_say_the_same_are_one_recording(rows: list[dict[str, Any]]) -> None:
    """A fresh signature makes no other recording, and a missing URL says nothing."""
    (one,) = read({"recording": rows}).recordings
    assert one.url is not None


TOLD = read({"recording": TWINS}).recordings
