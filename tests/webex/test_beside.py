"""What captures names besides recordings, and segments that carry another recording's id."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import Attachment, Capture, Kind
from wxrec_async.webex.parse import UrlLease, read_captures

NOON, FIVE, NINE = 1_767_268_800_000, 1_767_268_800_005, 1_767_268_800_009


def read(*entries: dict[str, Any], kinds: Collection[Kind] = ()) -> Capture:
    body = json.dumps({"meta": {}, "data": [{"taskId": "t", **entry} for entry in entries]}).encode()
    found, _ = read_captures(body, ["t"], UrlLease(0.0, 60.0), lambda _url: None, kinds=kinds)
    return found["t"]


def row(identifier: str | None, *, segment: bool = False, start: int | None = NOON, **facts: Any) -> dict[str, Any]:
    attributes = {"filePath": "https://media.test/x", "startTime": start, **facts}
    return {"id": identifier, "segment": segment, "attributes": attributes}


def test_transcripts_and_screens_are_attachments() -> None:
    """Documented lists, lists nobody knows yet, and rows that say they are no audio; none becomes a recording."""
    found = read(
        {
            "recording": [row("t"), row("s", mediaType="SCREEN"), row("v", type="video/mp4")],
            "transcription": [{"id": "text", "fileName": "voiceTranscript.json"}, {}, None],
            "screenRecording": [{"id": "pixels"}],
            "sentiment": [{"id": "mood"}],
        }
    )
    assert [each.id for each in found.recordings] == ["t"]
    assert found.attachments == (
        Attachment("s", "screen"),
        Attachment("v", "video"),
        Attachment("pixels", "screen"),
        Attachment("mood", "sentiment"),
        Attachment("transcript-text-voiceTranscript", "transcript"),
    )


@pytest.mark.parametrize("odd", [None, "text", 3, {"id": "x"}, [], [None]])
def test_an_odd_list_is_no_attachment(odd: object) -> None:
    """Nothing is made up."""
    assert read({"recording": [], "transcription": odd}).attachments == ()


def test_an_attachment_without_an_id_is_named_by_its_task() -> None:
    """So that it is counted once, however often it is seen."""
    assert read({"sentiment": [{"text": "hello"}]}).attachments == (Attachment("t#1", "sentiment"),)


def transcript(name: str, identifier: str = "cfg", **facts: Any) -> dict[str, Any]:
    return {"id": identifier, "fileName": name, "filePath": f"https://media.test/{name}", **facts}


def screen(name: str, identifier: str = "s", **facts: Any) -> dict[str, Any]:
    return {"id": identifier, "attributes": {"fileName": name, "filePath": f"https://media.test/{name}", **facts}}


BOTH = {
    "recording": [row("t")],
    "transcription": [
        transcript("voiceTranscript.json", startTime=str(NOON), createTime=str(FIVE)),
        transcript("realtimeVoiceTranscript.json"),
    ],
    "screenRecordings": [screen("a.mp4", startTime=NOON, stopTime=FIVE), screen("b.mp4", startTime=NINE)],
}
NAMED = {
    "t": Kind.AUDIO,
    "transcript-cfg-voiceTranscript": Kind.TRANSCRIPT,
    "transcript-cfg-realtimeVoiceTranscript": Kind.TRANSCRIPT,
    "screen-s": Kind.SCREEN,
    f"screen-s-{NINE}": Kind.SCREEN,
}


def test_what_is_asked_for_becomes_a_recording_of_its_kind() -> None:
    """Those that share Webex's id are told apart, and no two have one name."""
    found = read(BOTH, kinds=[Kind.TRANSCRIPT, Kind.SCREEN])
    assert {each.id: each.kind for each in found.recordings} == NAMED
    assert found.attachments == ()
    assert found.unsettled == ""
    (voice,) = [each for each in found.recordings if each.id == "transcript-cfg-voiceTranscript"]
    assert (voice.start_ms, voice.stop_ms, voice.file_name) == (NOON, FIVE, "voiceTranscript.json")
    assert all(each.url for each in found.recordings)


@pytest.mark.parametrize("kinds", [[], [Kind.TRANSCRIPT], [Kind.SCREEN]])
def test_what_is_not_asked_for_is_counted_under_the_name_it_would_have(kinds: list[Kind]) -> None:
    found = read(BOTH, kinds=kinds)
    wanted = {Kind.AUDIO, *kinds}
    assert {each.id for each in found.recordings} == {name for name, kind in NAMED.items() if kind in wanted}
    assert {(each.id, each.kind) for each in found.attachments} == {
        (name, kind.value) for name, kind in NAMED.items() if kind not in wanted
    }


@pytest.mark.parametrize("odd", [None, "text", [None], [{}], {"id": "x"}])
@pytest.mark.parametrize(("field", "kind"), [("transcription", Kind.TRANSCRIPT), ("screenRecordings", Kind.SCREEN)])
def test_a_list_that_is_none_settles_nothing_for_those_who_asked(field: str, kind: Kind, odd: object) -> None:
    """There may be one all the same; whoever wants audio alone is not concerned."""
    entry = {"recording": [row("t")], "transcription": [], "screenRecordings": []}
    assert read(entry | {field: odd}, kinds=[kind]).unsettled == "list_missing"
    assert read({name: value for name, value in entry.items() if name != field}, kinds=[kind]).unsettled
    assert read(entry | {field: odd}).unsettled == ""
    assert read(entry, kinds=[kind]).unsettled == ""


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
