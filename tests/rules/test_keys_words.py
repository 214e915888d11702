"""Keys, metadata and sidecars to the sign, and the way back from them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import ObjectTarget, Recording, Task
from wxrec_async.rules import keys
from wxrec_async.rules.keys import (
    Label,
    constant_prefix,
    decode_id,
    encode_id,
    evidence_prefix,
    extension,
    in_main_place,
    is_hashed,
    is_labelled,
    is_sidecar,
    main_keys,
    main_recording,
    may_have_sidecars,
    names_other,
    plan_transfers,
    read_label,
    sidecar_key,
    target,
)

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
USUAL = "call-detail/{task_id}/recording{ext}"
DATED = "{year}/{month}/{day}/{task_id}/{recording_id}{ext}"
BARE = "{task_id}/audio"
ids = st.text(st.characters(exclude_categories=()), min_size=1, max_size=40)


def test_the_figures_are_those_that_keys_rest_on() -> None:
    """Keys that lie in buckets cannot be changed."""
    assert (keys.MAX_ENCODED, keys.DEFAULT_EXTENSION, keys.EVIDENCE) == (180, ".wav", "_evidence/")


@pytest.mark.fault("X17")
@pytest.mark.parametrize(
    ("identifier", "encoded"),
    [
        ("Az09-._x", "Az09-._x"),
        ("_a_", "%5Fa_"),
        (".a.", "%2Ea."),
        ("-a-", "%2Da-"),
        ("a b/c", "a%20b%2Fc"),
        ("X y", "X%20y"),
        ("é~%", "%C3%A9%7E%25"),
        ("\ud800", "%ED%A0%80"),
        ("a\n", "a%0A"),
        ("x" * 180, "x" * 180),
        ("x" * 181, "x" * 115 + "~" + hashlib.sha256(b"x" * 181).hexdigest()),
        ("é" * 30, "%C3%A9" * 30),
        ("é" * 31, ("%C3%A9" * 31)[:115] + "~" + hashlib.sha256("é".encode() * 31).hexdigest()),
    ],
)
def test_an_id_is_written_like_this(identifier: str, encoded: str) -> None:
    """Percent and capitals; what grows beyond 180 signs keeps 115 and its hash."""
    assert encode_id(identifier) == encoded
    assert is_hashed(encoded) is ("~" in encoded)


def test_a_long_id_may_hold_half_a_surrogate_pair() -> None:
    """It has a hash all the same."""
    assert encode_id("\ud800" * 61).endswith(hashlib.sha256(b"\xed\xa0\x80" * 61).hexdigest())


def test_an_empty_id_is_refused_in_a_sentence() -> None:
    """Both ways."""
    with pytest.raises(ValueError, match=r"^an id is not empty$"):
        encode_id("")
    with pytest.raises(ValueError, match=r"^no id is written like this$"):
        decode_id("")


def test_an_id_that_was_cut_cannot_be_read_back() -> None:
    """Its hash stands for it, and that is said."""
    with pytest.raises(ValueError, match=r"^the id was too long to be kept whole$"):
        decode_id(encode_id("x" * 181))


@given(ids)
def test_a_short_id_can_be_read_back(identifier: str) -> None:
    """Whatever signs it has."""
    encoded = encode_id(identifier)
    assert is_hashed(encoded) or decode_id(encoded) == identifier


@pytest.mark.parametrize("encoded", ["%41", "%c3%a9", "_a", "a/b", "%FF", "a b", "%"])
def test_what_no_id_is_written_as_is_not_read(encoded: str) -> None:
    """There is one way to write each."""
    with pytest.raises(ValueError, match=r"no id is written like this|can't decode"):
        decode_id(encoded)


def test_an_extension_is_what_stands_behind_the_last_dot() -> None:
    """A name without a dot has none."""
    assert extension("a.mp3.ogg") == ".ogg"
    assert extension("  a.MP3\n") == ".mp3"
    assert extension("mp3") == extension("a.mp3.") == ".wav"


@pytest.mark.parametrize(
    ("recordings", "main_id"),
    [
        ([Recording("t", "t", segment=True), Recording("t", "z")], "z"),
        ([Recording("t", "t"), Recording("t", "a", call_type="main", start_ms=0)], "t"),
        ([Recording("t", "a", start_ms=0), Recording("t", "b", call_type="MAIN")], "b"),
        ([Recording("t", "b", start_ms=0), Recording("t", "a")], "b"),
        ([Recording("t", "b", start_ms=7), Recording("t", "a", start_ms=8)], "b"),
        ([Recording("t", "b"), Recording("t", "a")], "a"),
        ([Recording("t", "b", call_type="mainly"), Recording("t", "a", call_type="")], "a"),
    ],
)
def test_the_main_recording_is_the_first_in_five_respects(recordings: list[Recording], main_id: str) -> None:
    """Not a segment, the task's own id, its type, the earliest known start, the id."""
    assert main_recording(recordings).id == main_recording(recordings[::-1]).id == main_id


def placed(*recordings: Recording, holder: str | None = None) -> list[tuple[str, str, str | None]]:
    found = plan_transfers(Task("t"), recordings, template=USUAL, holder=holder, base={"a": "b"})
    assert all(each.target.metadata["a"] == "b" for each in found)
    return [(each.recording.id, each.target.key, each.fallback.key if each.fallback else None) for each in found]


def test_only_the_main_recording_has_a_second_place_to_go() -> None:
    """All others are there already; a segment alone waits for the whole."""
    main, further = "call-detail/t/recording.wav", "call-detail/t/recording-{}.wav"
    one, two = Recording("t", "t"), Recording("t", "u")
    assert placed(one, two) == [("t", main, further.format("t")), ("u", further.format("u"), None)]
    assert placed(one, two, holder="u") == [("t", further.format("t"), None), ("u", main, further.format("u"))]
    assert placed(Recording("t", "s", segment=True)) == [("s", further.format("s"), None)]
    assert placed(Recording("t", "s", segment=True), holder="s") == [("s", main, further.format("s"))]


@pytest.mark.parametrize(
    ("template", "main", "further"),
    [
        (USUAL, "call-detail/t%2F1/recording.mp3", "call-detail/t%2F1/recording-r%2F1.mp3"),
        (DATED, "2026/01/01/t%2F1/r%2F1.mp3", "2026/01/01/t%2F1/r%2F1-r%2F1.mp3"),
        (BARE, "t%2F1/audio", "t%2F1/audio-r%2F1"),
        ("a{ext}/{task_id}", "a.mp3/t%2F1", "a-r%2F1.mp3/t%2F1"),
    ],
)
def test_a_target_is_made_of_ids_a_day_and_an_extension(template: str, main: str, further: str) -> None:
    """And says what it is, in its metadata."""
    task = Task("t/1", created_ms=NOW)
    recording = Recording(
        "t/1", "r/1", "x.MP3", start_ms=NOW + 1, stop_ms=NOW + 2, call_type="a b", segment=True
    )  # fmt: skip
    metadata = {
        "wx-org": "o",
        "wx-task-id": "t%2F1",
        "wx-recording-id": "r%2F1",
        "wx-call-type": "a%20b",
        "wx-created": "2026-01-01T00:00:00Z",
        "wx-start": "2026-01-01T00:00:00.001Z",
        "wx-stop": "2026-01-01T00:00:00.002Z",
        "wx-segment": "true",
    }
    for is_main, key in ((True, main), (False, further)):
        made = target(task, recording, template=template, base={"wx-org": "o"}, main=is_main)
        assert made == ObjectTarget(key, "audio/mpeg", metadata)


def test_what_is_not_known_is_not_in_the_metadata() -> None:
    """Nor does a field that is not there stand as an empty one; what is known of the object wins over the base."""
    made = target(Task("t"), Recording("t", "r"), template=USUAL, base={"wx-task-id": "other"}, main=True)
    assert made == ObjectTarget("call-detail/t/recording.wav", "audio/wav", {"wx-task-id": "t", "wx-recording-id": "r"})


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize(
    ("created", "start", "day"),
    [
        (NOW - 1, NOW, "2025/12/31"),
        (NOW, NOW - 1, "2026/01/01"),
        (None, NOW - 1, "2025/12/31"),
        (None, None, "1970/01/01"),
    ],
)
def test_the_day_is_the_task_s_in_utc_wherever_this_machine_is(
    created: int | None, start: int | None, day: str
) -> None:
    """Else the recording's; else the first of all."""
    task, recording = Task("t", created_ms=created), Recording("t", "r", start_ms=start)
    template = "{year}/{month}/{day}/{task_id}{ext}"
    assert target(task, recording, template=template, base={}, main=True).key == f"{day}/t.wav"
    assert sidecar_key(task, start, 1, template=template) == f"{day}/t.metadata.json"


def test_the_keys_a_main_recording_could_have_are_main_ones() -> None:
    """Each once, in the order of the recordings."""
    found = [Recording("t", "a", "x.ogg"), Recording("t", "b", "x.ogg"), Recording("t", "c")]
    assert main_keys(Task("t"), found, template=USUAL) == ["call-detail/t/recording.ogg", "call-detail/t/recording.wav"]


def test_an_object_names_another_recording_of_its_task_by_encoded_ids() -> None:
    """As they were written."""
    recording = Recording("t/1", "r/1")
    assert names_other({"wx-task-id": "t%2F1", "wx-recording-id": "r%2F2"}, recording) is True
    assert names_other({"wx-task-id": "t%2F1", "wx-recording-id": "r%2F1"}, recording) is False
    assert names_other({"wx-task-id": "t%2F1"}, recording) is False
    assert names_other({"wx-task-id": "t/1", "wx-recording-id": "r/2"}, recording) is False


@given(
    ids, ids, st.none() | ids, st.none() | st.integers(0, 4 * 10**12), st.none() | st.integers(0, 4 * 10**12),
    st.booleans(),
)  # fmt: skip
def test_a_label_says_what_was_written(
    task_id: str, recording_id: str, call_type: str | None, created: int | None, start: int | None, segment: bool
) -> None:
    """Everything but what only Webex knows."""
    stop = None if start is None else start + 1
    recording = Recording(task_id, recording_id, start_ms=start, stop_ms=stop, call_type=call_type, segment=segment)
    task = Task(task_id, created_ms=created)
    metadata = target(task, recording, template=USUAL, base={"wx-org-id": "o"}, main=True).metadata
    assert is_labelled(metadata) is True
    if any(map(is_hashed, metadata.values())):
        return
    assert read_label(metadata) == Label(task, recording, "o")


IDS_ALONE = {"wx-task-id": "t", "wx-recording-id": "r"}


def test_a_label_may_hold_ids_alone() -> None:
    """What cannot be read is not known."""
    bare = Label(Task("t"), Recording("t", "r"))
    assert bare.org_id == ""
    assert read_label(IDS_ALONE) == bare
    odd = {"wx-created": "soon", "wx-start": "", "wx-stop": "x", "wx-call-type": "%41", "wx-segment": "yes"}
    assert read_label(IDS_ALONE | odd) == bare


@pytest.mark.parametrize("name", [*IDS_ALONE])
def test_a_label_without_both_ids_is_none(name: str) -> None:
    """Whoever put that object there."""
    metadata = {other: value for other, value in IDS_ALONE.items() if other != name}
    assert is_labelled(IDS_ALONE) is True
    assert is_labelled(metadata) is is_labelled(metadata | {name: ""}) is is_labelled({}) is False
    with pytest.raises(ValueError, match="no id is written like this"):
        read_label(metadata)


@pytest.mark.parametrize(
    ("template", "prefix", "evidence"),
    [
        (USUAL, "call-detail/", "call-detail/_evidence/"),
        (BARE, "", "_evidence/"),
        ("a/b-{task_id}", "a/b-", "a/_evidence/"),
        ("b-{task_id}{ext}", "b-", "_evidence/"),
        ("a/b/{year}/{task_id}", "a/b/", "a/b/_evidence/"),
        ("plain", "plain", "_evidence/"),
        ("a{{b/c}}d/{task_id}", "a{b/c}d/", "a{b/c}d/_evidence/"),
    ],
)
def test_all_keys_of_a_template_begin_alike(template: str, prefix: str, evidence: str) -> None:
    """With what stands before its first field; the evidence lies in their common folder."""
    assert constant_prefix(template) == prefix
    assert evidence_prefix(template) == evidence


@given(ids, ids, st.sampled_from([USUAL, DATED, BARE, "a+b/{day}{task_id}{ext}"]), st.sampled_from(["", "x.mp3"]))
def test_a_key_tells_which_place_it_is(task_id: str, recording_id: str, template: str, name: str) -> None:
    """Its own, that of a further recording, or neither."""
    recording, task = Recording(task_id, recording_id, name), Task(task_id, created_ms=NOW)
    for main in (True, False):
        key = target(task, recording, template=template, base={}, main=main).key
        assert in_main_place(key, recording, template=template) is main
        for other in (f"x{key}", f"{key}x", key.replace("/", "//", 1)):
            assert in_main_place(other, recording, template=template) is None


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("2026/01/02/t/r.flac", True),
        ("2026/01/02/t/r-r.ogg", False),
        ("2026/1/02/t/r.wav", None),
        ("26/01/02/t/r.wav", None),
        ("2026/01/2/t/r.wav", None),
        ("2026/01/02/t/r.exe", None),
        ("2026/01/02/t/rxwav", None),
        ("2026/01/02/other/r.wav", None),
        ("2026/01/02/t/other.wav", None),
        ("2026/01/02/t/r-other.wav", None),
        ("2026/01/02/t/r", None),
    ],
)
def test_any_day_and_any_extension_will_do(key: str, place: bool | None) -> None:
    """But they must be a day and one of the table."""
    assert in_main_place(key, Recording("t", "r"), template=DATED) is place


def test_signs_of_patterns_in_a_template_or_an_id_are_signs() -> None:
    """A dot is a dot."""
    assert in_main_place("a.b/t.t", Recording("t.t", "r.r"), template="a.b/{task_id}") is True
    assert in_main_place("aXb/t.t", Recording("t.t", "r.r"), template="a.b/{task_id}") is None
    assert in_main_place("a.b/tXt", Recording("t.t", "r.r"), template="a.b/{task_id}") is None
    assert in_main_place("a.b/t.t-r.r", Recording("t.t", "r.r"), template="a.b/{task_id}") is False
    assert in_main_place("a.b/t.t-rXr", Recording("t.t", "r.r"), template="a.b/{task_id}") is None
    assert in_main_place("rXr.wav", Recording("t.t", "r.r"), template="{recording_id}{ext}") is None


@pytest.mark.parametrize(
    ("template", "first", "third"),
    [
        (USUAL, "call-detail/t%2F/metadata.json", "call-detail/t%2F/metadata-3.json"),
        ("{task_id}{ext}", "t%2F.metadata.json", "t%2F.metadata-3.json"),
        ("a/{year}-{month}-{day}/{task_id}{ext}", "a/2026-01-01/t%2F.metadata.json",
         "a/2026-01-01/t%2F.metadata-3.json"),
        ("a/{recording_id}/{task_id}{ext}", "a/t%2F.metadata.json", "a/t%2F.metadata-3.json"),
        ("a/{recording_id}/{task_id}/x{ext}", "a/t%2F.metadata.json", "a/t%2F.metadata-3.json"),
        ("a/{ext}/b/{task_id}/x{ext}", "a/t%2F.metadata.json", "a/t%2F.metadata-3.json"),
        ("a/{recording_id}-{task_id}/x{ext}", "a/t%2F.metadata.json", "a/t%2F.metadata-3.json"),
        ("a/{task_id}/b/{recording_id}{ext}", "a/t%2F/metadata.json", "a/t%2F/metadata-3.json"),
        ("a/{task_id}/{task_id}/{recording_id}{ext}", "a/t%2F/metadata.json", "a/t%2F/metadata-3.json"),
    ],
)  # fmt: skip
def test_a_sidecar_lies_in_the_task_s_own_folder_or_beside_its_recordings(
    template: str, first: str, third: str
) -> None:
    """The first has no number; each is known again by its key."""
    task = Task("t/", created_ms=NOW)
    assert sidecar_key(task, None, 1, template=template) == first
    assert sidecar_key(task, NOW, 3, template=template) == third
    for key in (first, third):
        assert is_sidecar(key, template=template) is True
        for other in (f"x/{key}", f"{key}x", key.replace("metadata", "metadata-x"), key.replace(".json", "Xjson")):
            assert is_sidecar(other, template=template) is False


def test_a_folder_has_one_name_in_the_key_of_a_sidecar() -> None:
    """And a day is made of digits."""
    template = "a.b/{year}/{month}/{day}/{task_id}/r{ext}"
    assert is_sidecar("a.b/2026/01/31/t/metadata-12.json", template=template)
    for key in ("a.b/2026/01/31/t/u/metadata.json", "a.b/2026/01/31//metadata.json", "aXb/2026/01/31/t/metadata.json",
                "a.b/26/01/31/t/metadata.json", "a.b/2026/1/31/t/metadata.json", "a.b/2026/01/1/t/metadata.json",
                "a.b/2026/01/31/t/metadata-.json"):  # fmt: skip
        assert not is_sidecar(key, template=template)


@pytest.mark.parametrize(("template", "may"), [(USUAL, True), (BARE, False), ("{ext}/{task_id}", False)])
def test_sidecars_need_keys_that_end_in_an_extension(template: str, may: bool) -> None:
    """Else a recording could take their place."""
    assert may_have_sidecars(template) is may
    assert is_sidecar("t/metadata.json", template=template) is False
