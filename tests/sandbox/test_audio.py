"""The audio is real, and any slice of it is the same slice."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.sandbox.audio import MULAW, PCM16, Audio, AudioFormat


def chunks_of(body: bytes) -> dict[bytes, bytes]:
    """Take a RIFF file apart."""
    found, at = {}, 12
    while at < len(body):
        name, size = struct.unpack_from("<4sI", body, at)
        found[name] = body[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found


def test_pcm_is_a_wave_file_that_pythons_own_reader_plays() -> None:
    """The standard library agrees on channels, width, rate and length."""
    audio = Audio(1, "one", 12_345, PCM16)
    with wave.open(io.BytesIO(audio.slice())) as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes())
        assert shape == (2, 2, 8000, 12_345)
        assert len(set(file.readframes(4000))) > 100  # sound, not zeros


def test_mulaw_has_a_sixteen_byte_fmt_chunk_and_no_fact() -> None:
    """The header is the one seen in live recordings, sizes included."""
    body = Audio(1, "one", 9_000, MULAW).slice()
    assert struct.unpack_from("<I", body, 4)[0] == len(body) - 8
    chunks = chunks_of(body)
    assert list(chunks) == [b"fmt ", b"LIST", b"data"]
    assert struct.unpack("<HHIIHH", chunks[b"fmt "]) == (7, 2, 8000, 16_000, 2, 8)
    assert len(chunks[b"data"]) == 18_000
    assert len(set(chunks[b"data"])) > 100


@pytest.mark.parametrize("form", [MULAW, PCM16])
def test_recordings_differ_by_marker_and_by_seed_and_repeat_otherwise(form: AudioFormat) -> None:
    """No two recordings can be taken for each other, and a seed brings the same bytes back."""
    bodies = [Audio(seed, name, 8_000, form).slice(200) for seed, name in ((1, "a"), (1, "b"), (2, "a"), (1, "a"))]
    assert len(set(bodies)) == 3
    assert bodies[0] == bodies[3]


def test_parts_of_a_long_recording_are_not_equal() -> None:
    """Swapped or doubled parts of eight MiB change the file."""
    audio = Audio(1, "long", 16_000_000, MULAW)
    part = 8 << 20
    assert len({audio.slice(n * part, n * part + 65_536) for n in range(3)}) == 3


@given(start=st.integers(0, 40_000), length=st.integers(0, 40_000), form=st.sampled_from([MULAW, PCM16]))
def test_a_slice_is_what_the_whole_has_there(start: int, length: int, form: AudioFormat) -> None:
    """Ranges at every offset, header and word boundaries included, agree with the whole."""
    audio = Audio(3, "slice", 10_000, form)
    assert audio.slice(start, start + length) == audio.slice()[start : start + length]


def test_size_is_known_without_making_a_byte() -> None:
    """A ten gigabyte recording costs nothing to describe."""
    assert Audio(1, "huge", 10**9, PCM16).size == 4 * 10**9 + len(Audio(1, "huge", 1, PCM16).header)
