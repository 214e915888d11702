"""What transcripts and screen recordings are called: as documented where it can be, and never one name for two."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxrec_async.model import Kind, Recording, Secret, Task
from wxrec_async.rules.artefacts import artefact_id, content_type, extension, left_id
from wxrec_async.rules.keys import in_main_place, is_sidecar, plan_transfers, read_label, target
from wxrec_async.webex.attachments import with_distinct_ids

UUID = "cfa48668-8457-833d-14d2-b3aba3ba9c01"
TEMPLATES = (
    "call-detail/{task_id}/recording{ext}",
    "{task_id}{ext}",
    "{year}/{month}/{day}/{task_id}/{recording_id}{ext}",
    "calls/{recording_id}/{task_id}{ext}",
)
words = st.sampled_from(
    ["a", "b", "transcript", "voiceTranscript", "chatTranscript", "v2", "cfg", "101", "", UUID, "-"]
)
built = st.lists(words, max_size=5).map("-".join)
identifiers = st.one_of(st.just(UUID), built, st.text(max_size=300))
names = st.one_of(
    built.map(lambda stem: f"{stem}.json"),
    st.sampled_from(["screen-1.mp4", "a.MKV", "", ".json", "x.json.mp4", "metadata.json", "x" * 300 + ".json"]),
    st.text(max_size=100),
)
kinds = st.sampled_from(list(Kind))
files = st.builds(
    lambda kind, identifier, name, start: Recording(
        "task",
        identifier or "no-id" if kind is Kind.AUDIO else artefact_id(kind, identifier, name),
        file_name=name,
        url=Secret(f"https://media/{identifier}/{name}"),
        start_ms=start,
        kind=kind,
    ),
    kinds,
    identifiers,
    names,
    st.one_of(st.none(), st.integers(10**12, 10**12 + 3)),
)


@pytest.mark.parametrize(
    ("kind", "identifier", "name", "wanted"),
    [
        (Kind.TRANSCRIPT, UUID, "voiceTranscript.json", f"transcript-{UUID}-voiceTranscript"),
        (Kind.TRANSCRIPT, UUID.upper(), "voiceTranscript.json", f"transcript-{UUID}-voiceTranscript"),
        (Kind.TRANSCRIPT, "cfg-id-101", "voiceTranscript.json", "transcript-cfg-id-101-voiceTranscript"),
        (Kind.TRANSCRIPT, "CSRKT4K", "chatTranscript-v2.json", "transcript-CSRKT4K-chatTranscript-v2"),
        (Kind.TRANSCRIPT, "CSRKT4K", "chat.JSON", "transcript-CSRKT4K-chat"),
        (Kind.SCREEN, UUID, "screen-1.mp4", f"screen-{UUID}"),
    ],
)
def test_the_documented_ones_are_called_as_documented(kind: Kind, identifier: str, name: str, wanted: str) -> None:
    assert artefact_id(kind, identifier, name) == wanted


@settings(max_examples=500)
@given(st.sampled_from([Kind.TRANSCRIPT, Kind.SCREEN]), identifiers, names, identifiers, names)
def test_id_and_file_name_tell_transcripts_apart(kind: Kind, one: str, name: str, other: str, its: str) -> None:
    """The same name comes of the same two alone; a screen recording's is of its id, where it has a short one."""
    same = artefact_id(kind, one, name) == artefact_id(kind, other, its)
    if kind is Kind.TRANSCRIPT:
        # The ending is the same to us in any case: `.json` and `.JSON` are one kind of file.
        assert same is ((one, name) == (other, its)) or name.lower() == its.lower()
    elif one != other and one.lower() != other.lower():
        assert not same


@given(st.sampled_from([Kind.TRANSCRIPT, Kind.SCREEN]), st.sampled_from(["", UUID]), names)
def test_a_name_gives_nothing_but_safe_signs(kind: Kind, identifier: str, name: str) -> None:
    found = artefact_id(kind, identifier, name)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", found)
    assert len(found) <= 180


def test_a_number_in_a_file_name_stays_out_of_it() -> None:
    found = artefact_id(Kind.TRANSCRIPT, UUID, "chat with +15550100123.json")
    assert "5550100" not in found
    assert found != artefact_id(Kind.TRANSCRIPT, UUID, "chat with +15550100124.json")


@settings(max_examples=400)
@given(st.lists(files, min_size=1, max_size=6), st.sampled_from(TEMPLATES))
def test_no_two_of_a_task_share_a_key(found: list[Recording], template: str) -> None:
    """Whatever ids and names Webex gives them, audio and the main place included; and none is taken for a sidecar."""
    task = Task("task", created_ms=1_700_000_000_000)
    distinct, _ = with_distinct_ids(found)
    orders = plan_transfers(task, distinct, template=template, holder=None, base={})
    keys = [order.target.key for order in orders]
    assert len(set(keys)) == len(keys)
    assert not any(is_sidecar(key, template=template) for key in keys)
    for order in orders:
        if order.recording.kind is not Kind.AUDIO:
            assert order.fallback is None
            assert in_main_place(order.target.key, order.recording, template=template) is False


@given(files)
def test_an_object_tells_its_kind(recording: Recording) -> None:
    """What a ledger is rebuilt from."""
    found = target(Task("task"), recording, template=TEMPLATES[0], base={}, main=False)
    if "~" not in found.key and recording.id.isprintable():
        assert read_label(found.metadata).recording.kind is recording.kind
    assert ("wx-kind" in found.metadata) is (recording.kind is not Kind.AUDIO)


@pytest.mark.parametrize(
    ("name", "ending", "kind"),
    [
        ("screen-1.mp4", ".mp4", "video/mp4"),
        ("a.WEBM", ".webm", "video/webm"),
        ("a.mkv", ".mkv", "video/x-matroska"),
        ("a.mov", ".mov", "video/quicktime"),
        ("a.exe", ".mp4", "video/mp4"),
        ("", ".mp4", "video/mp4"),
    ],
)
def test_a_screen_keeps_its_ending(name: str, ending: str, kind: str) -> None:
    assert extension(Kind.SCREEN, name) == ending
    assert content_type(Kind.SCREEN, ending) == kind


def test_a_transcript_is_json() -> None:
    assert extension(Kind.TRANSCRIPT, "a.exe") == ".json"
    assert content_type(Kind.TRANSCRIPT, ".json") == "application/json"


def test_what_is_left_of_two_tasks_under_one_id_is_two() -> None:
    """For voice the id is that of a configuration: all calls share it."""
    assert left_id("a", "transcript-cfg-voiceTranscript") != left_id("b", "transcript-cfg-voiceTranscript")
