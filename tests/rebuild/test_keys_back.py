"""From an object back to its recording: every rule undoes what `rules.keys` did."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wxrec_async.model import Recording, Task
from wxrec_async.rules import keys

IDS = st.one_of(
    st.text(min_size=1, max_size=30),
    st.text(st.characters(), min_size=1, max_size=60),
    st.text("ab-._~%/", min_size=1, max_size=20),
    st.uuids().map(str),
)
MOMENTS = st.integers(0, 4_000_000_000_000)
TEMPLATES = st.sampled_from(
    [
        "call-detail/{task_id}/recording{ext}",
        "{task_id}{ext}",
        "calls/year={year}/month={month}/day={day}/{task_id}",
        "a.b+c/{task_id}-{recording_id}{ext}",
        "{year}/{{x}}/{task_id}/r",
    ]
)


@given(IDS)
def test_an_id_comes_back_as_it_was(identifier: str) -> None:
    """Decoding undoes encoding for every id that was not cut; a cut one is known for it and refused."""
    encoded = keys.encode_id(identifier)
    if keys.is_hashed(encoded):
        with pytest.raises(ValueError, match="too long"):
            keys.decode_id(encoded)
    else:
        assert keys.decode_id(encoded) == identifier


@given(st.text(min_size=170, max_size=400))
def test_only_ids_that_were_cut_look_hashed(identifier: str) -> None:
    """Near the limit, either the id comes back or it shows that it cannot."""
    encoded = keys.encode_id(identifier)
    assert len(encoded) <= keys.MAX_ENCODED
    assert keys.is_hashed(encoded) or keys.decode_id(encoded) == identifier


@given(st.text(st.characters(max_codepoint=0x17F), max_size=20))
def test_what_no_id_is_written_as_is_refused(text: str) -> None:
    """Foreign metadata either is exactly how an id is written, or raises ValueError."""
    try:
        identifier = keys.decode_id(text)
    except ValueError:
        return
    assert keys.encode_id(identifier) == text


@given(IDS, IDS, st.none() | MOMENTS, st.none() | MOMENTS, st.none() | MOMENTS, st.none() | IDS, st.booleans())
def test_a_label_tells_what_was_stored(  # noqa: PLR0917
    task_id: str,
    recording_id: str,
    created: int | None,
    start: int | None,
    stop: int | None,
    call_type: str | None,
    segment: bool,
) -> None:
    """Task, recording, times and organisation come back from the metadata of a target."""
    ids = (task_id, recording_id, call_type or "x")
    assume(not any(keys.is_hashed(keys.encode_id(each)) for each in ids))
    task = Task(task_id, created_ms=created)
    recording = Recording(
        task_id, recording_id, start_ms=start, stop_ms=stop, call_type=call_type or None, segment=segment
    )
    target = keys.target(
        task, recording, template="{task_id}{ext}", base={"wx-org-id": keys.encode_id("org")}, main=True
    )
    assert keys.is_labelled(target.metadata)
    assert keys.read_label(target.metadata) == keys.Label(task, recording, "org")


@given(IDS, IDS, TEMPLATES, st.sampled_from(["a.wav", "b.MP3", "c.flac", ""]), MOMENTS, st.booleans())
def test_a_key_tells_its_place(
    task_id: str, recording_id: str, template: str, file_name: str, created: int, main: bool
) -> None:
    """Every key that a template makes is told apart from the other place, and begins with the constant prefix."""
    recording = Recording(task_id, recording_id, file_name=file_name)
    key = keys.target(Task(task_id, created_ms=created), recording, template=template, base={}, main=main).key
    assert keys.in_main_place(key, recording, template=template) is main
    assert keys.in_main_place(f"copy/{key}", recording, template=template) is None
    assert key.startswith(keys.constant_prefix(template))


@pytest.mark.parametrize(
    ("template", "prefix"),
    [
        ("call-detail/{task_id}/recording{ext}", "call-detail/"),
        ("{task_id}{ext}", ""),
        ("a/{{b}}-{task_id}", "a/{b}-"),
    ],
)
def test_the_constant_prefix_ends_at_the_first_placeholder(template: str, prefix: str) -> None:
    """What is listed is what every key begins with."""
    assert keys.constant_prefix(template) == prefix
