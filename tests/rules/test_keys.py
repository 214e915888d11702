"""Object keys: safe, and never one for two."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxrec_async.model import Recording, Task
from wxrec_async.rules.keys import (
    CONTENT_TYPES,
    MAX_ENCODED,
    encode_id,
    extension,
    in_main_place,
    main_keys,
    main_recording,
    names,
    names_other,
    plan_transfers,
    target,
)

TEMPLATE = "call-detail/{task_id}/recording{ext}"
SAFE = re.compile(r"[A-Za-z0-9%~._\-]+")

nasty = st.sampled_from(
    [
        "_evidence",
        "..",
        ".",
        "-",
        "a/../b",
        "a\x00b",
        "\u202egnp.exe",
        "\ud800",
        "a" * 2048,
        "é",
        "%2E",
        "~",
        "A",
        "a",
        "recording",
        "load-bulk-api-Contact-17",
        "a.wav",
        "x-y",
        "x" * MAX_ENCODED,
        "x" * (MAX_ENCODED + 1),
    ]
)
ids = st.one_of(st.text(st.characters(exclude_categories=()), min_size=1, max_size=300), nasty)
recordings = st.builds(
    Recording,
    task_id=st.just("task"),
    id=ids,
    file_name=st.sampled_from(["combinedRecordings.wav", "a.MP3", "", "x.exe"]),
    start_ms=st.one_of(st.none(), st.integers(10**11, 2 * 10**12)),
    call_type=st.sampled_from([None, "main", "MAIN", "consult", "va-main"]),
    segment=st.booleans(),
)


def key(task_id: str, recording_id: str, *, main: bool, template: str = TEMPLATE, name: str = "a.wav") -> str:
    recording = Recording(task_id, recording_id, file_name=name)
    return target(Task(task_id), recording, template=template, base={}, main=main).key


@pytest.mark.fault("W32", "X17", "X18")
@settings(max_examples=400)
@given(ids, ids)
def test_two_ids_never_meet(one: str, two: str) -> None:
    """Encoding is injective, whatever Webex calls a task: surrogates, NUL, slashes, 2 kB."""
    assert (encode_id(one) == encode_id(two)) is (one == two)


@pytest.mark.fault("W32", "S25", "X17", "X18")
@settings(max_examples=300)
@given(ids)
def test_an_encoded_id_is_one_safe_segment(identifier: str) -> None:
    """Only harmless signs, never . or .., never ours (_evidence), and short."""
    encoded = encode_id(identifier)
    assert SAFE.fullmatch(encoded)
    assert encoded[0] not in "._-"
    assert len(encoded) <= MAX_ENCODED


@given(st.uuids())
def test_a_uuid_stays_as_it_is(value: uuid.UUID) -> None:
    """The usual id is readable in the bucket."""
    assert encode_id(str(value)) == str(value)
    assert key(str(value), "r", main=True) == f"call-detail/{value}/recording.wav"


def test_an_empty_id_is_refused() -> None:
    """It would make a key with an empty segment."""
    with pytest.raises(ValueError, match="not empty"):
        encode_id("")


@pytest.mark.fault("W32", "S25", "X17")
@settings(max_examples=300)
@given(st.tuples(ids, ids), st.tuples(ids, ids), st.booleans(), st.booleans())
def test_whole_keys_are_safe_and_never_meet(
    one: tuple[str, str], two: tuple[str, str], one_main: bool, two_main: bool
) -> None:
    """Two recordings share a key only when both claim the main place of one task."""
    keys = [key(*one, main=one_main), key(*two, main=two_main)]
    for each in keys:
        assert len(each.encode()) <= 1024
        assert all(segment not in ("", ".", "..") and segment[0] != "_" for segment in each.split("/"))
    same_place = one[0] == two[0] and one_main == two_main and (one_main or one[1] == two[1])
    assert (keys[0] == keys[1]) is same_place


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("combinedRecordings.wav", ".wav"),
        ("a.MP3", ".mp3"),
        ("a.m4a", ".m4a"),
        ("a.ogg", ".ogg"),
        ("a.FLAC ", ".flac"),
        ("", ".wav"),
        ("a", ".wav"),
        ("a.exe", ".wav"),
        ("a.wav.exe", ".wav"),
        ("../../x.mp3/", ".wav"),
        (".mp3", ".mp3"),
        ("a.mp3\x00", ".wav"),
        ("mp3", ".wav"),
        ("a.", ".wav"),
        ("a.ＭＰ３", ".wav"),
    ],
)
@pytest.mark.fault("W32")
def test_the_file_name_gives_nothing_but_an_extension_of_the_table(name: str, expected: str) -> None:
    """Lower case, and .wav for everything else."""
    assert extension(name) == expected


def test_the_content_type_follows_the_extension() -> None:
    """The table of cli.md."""
    assert CONTENT_TYPES == {
        ".wav": "audio/wav",
        ".mp3": "audio/mpeg",
        ".m4a": "audio/mp4",
        ".ogg": "audio/ogg",
        ".flac": "audio/flac",
    }
    made = target(Task("t"), Recording("t", "t", file_name="x.MP3"), template=TEMPLATE, base={}, main=True)
    assert (made.key, made.content_type) == ("call-detail/t/recording.mp3", "audio/mpeg")


@pytest.mark.parametrize(
    ("others", "main_id"),
    [
        ([Recording("t", "t"), Recording("t", "a", call_type="main", start_ms=1)], "t"),
        ([Recording("t", "b", call_type="main", start_ms=9), Recording("t", "a", start_ms=1)], "b"),
        ([Recording("t", "b", start_ms=1), Recording("t", "a", start_ms=2)], "b"),
        ([Recording("t", "b", start_ms=5), Recording("t", "a", start_ms=5)], "a"),
        ([Recording("t", "b"), Recording("t", "z", start_ms=5)], "z"),
        ([Recording("t", "t", segment=True), Recording("t", "b", call_type="consult")], "b"),
        ([Recording("t", "b", segment=True)], "b"),
    ],
)
def test_the_main_recording_is_chosen_in_the_order_of_the_manual(others: list[Recording], main_id: str) -> None:
    """Id equal to the task's, else callType main, else the earliest start, then the id."""
    assert main_recording(others).id == main_id
    assert main_recording(others[::-1]).id == main_id


@given(st.lists(recordings, min_size=1, max_size=5, unique_by=lambda each: each.id), st.randoms())
def test_every_recording_of_a_task_gets_a_place_of_its_own(found: list[Recording], random: object) -> None:
    """One main place, all others named by their id, and the same whatever order Webex answers in."""
    placed = plan_transfers(Task("task"), found, template=TEMPLATE, holder=None, base={})
    by_id = {order.recording.id: order for order in placed}
    assert len({order.target.key for order in placed}) == len(found)
    main = main_recording(found)
    assert [order.recording for order in placed if order.fallback] == ([] if main.segment else [main])
    backwards = plan_transfers(Task("task"), found[::-1], template=TEMPLATE, holder=None, base={})
    assert {order.recording.id: order for order in backwards} == by_id


def test_who_holds_the_main_place_keeps_it() -> None:
    """A stitched recording that comes later does not push out what is stored."""
    found = [Recording("t", "t"), Recording("t", "consult")]
    placed = {
        each.recording.id: each
        for each in plan_transfers(Task("t"), found, template=TEMPLATE, holder="consult", base={})
    }
    assert placed["consult"].target.key == "call-detail/t/recording.wav"
    assert placed["t"].target.key == "call-detail/t/recording-t.wav"
    gone = plan_transfers(Task("t"), found, template=TEMPLATE, holder="not-listed-any-more", base={})
    assert all(each.fallback is None for each in gone)
    assert plan_transfers(Task("t"), [], template=TEMPLATE, holder=None, base={}) == []


@given(ids, ids)
def test_a_key_tells_whether_it_is_the_main_one(task_id: str, recording_id: str) -> None:
    """What `target` makes, `in_main_place` reads, for any ids under the default template."""
    recording = Recording(task_id, recording_id)
    assert in_main_place(key(task_id, recording_id, main=True), recording, template=TEMPLATE) is True
    assert in_main_place(key(task_id, recording_id, main=False), recording, template=TEMPLATE) is False


@pytest.mark.parametrize("recording_id", ["r1", "a.wav", "x-y", "_evidence"])
@pytest.mark.parametrize("template", ["{task_id}/recording", "{year}/{month}/{day}/{task_id}/audio{ext}"])
def test_a_key_of_another_template_tells_it_as_well(template: str, recording_id: str) -> None:
    """Also where there is no extension to put the id before."""
    recording = Recording("t", recording_id)
    assert in_main_place(key("t", recording_id, main=True, template=template), recording, template=template) is True
    assert in_main_place(key("t", recording_id, main=False, template=template), recording, template=template) is False


def test_every_key_the_main_recording_could_have_is_named_once() -> None:
    """Mostly one; more only when the recordings differ in kind."""
    found = [Recording("t", "a", file_name="x.wav"), Recording("t", "b"), Recording("t", "c", file_name="x.mp3")]
    assert main_keys(Task("t"), found, template=TEMPLATE) == [
        "call-detail/t/recording.wav",
        "call-detail/t/recording.mp3",
    ]


def test_the_day_of_a_key_is_that_of_the_call_in_utc() -> None:
    """Else the recording's own start, else 1970: always the same for one recording."""
    template = "{year}/{month}/{day}/{task_id}{ext}"
    recording = Recording("t", "r", start_ms=1_767_139_200_000)
    late = Task("t", created_ms=1_767_225_599_999)
    assert target(late, recording, template=template, base={}, main=True).key == "2025/12/31/t.wav"
    assert target(Task("t"), recording, template=template, base={}, main=True).key == "2025/12/31/t.wav"


@pytest.mark.fault("X07", "X17")
@given(recordings, ids)
def test_metadata_is_short_ascii_without_persons(recording: Recording, call_type: str) -> None:
    """It travels in HTTP headers and is read by many: ids and times, no names and no numbers."""
    made = target(
        Task("task", origin="+15550100123", agent_name="A. Person"),
        recording,
        template=TEMPLATE,
        base={"wx-org": "o"},
        main=True,
    )
    text = "".join(f"{name}{value}" for name, value in made.metadata.items())
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 2048
    assert "Person" not in text
    assert made.metadata["wx-task-id"] == "task"
    assert made.metadata["wx-org"] == "o"


@pytest.mark.parametrize(
    ("metadata", "other"),
    [
        ({"wx-task-id": "t", "wx-recording-id": "r2"}, True),
        ({"wx-task-id": "t", "wx-recording-id": "r"}, False),
        ({"wx-task-id": "t2", "wx-recording-id": "r2"}, False),
        ({"wx-task-id": "t"}, False),
        ({"wx-recording-id": "r2"}, False),
        ({}, False),
    ],
)
def test_only_metadata_that_says_so_names_another_recording_of_the_task(metadata: dict[str, str], other: bool) -> None:
    """An object of unknown origin is not ours to evade: its bytes are compared instead."""
    assert names_other(metadata, Recording("t", "r")) is other


@given(ids, ids, ids)
def test_metadata_names_its_recording_and_no_other(task: str, one: str, other: str) -> None:
    """Whoever checks an object goes by both ids; nothing said is nobody's."""
    metadata = target(Task(task), Recording(task, one), template=TEMPLATE, base={}, main=True).metadata
    assert names(metadata, task, one)
    assert names(metadata, task, other) is (one == other)
    assert not names({}, task, one)
