"""What Webex says of the length, and the RIFF header, against what arrived."""

from __future__ import annotations

import struct

import pytest

from wxrec_async.model import Recording
from wxrec_async.rules.doubts import is_far_off, list_doubts, span_ms
from wxrec_async.rules.wav import Sniffer


@pytest.mark.parametrize(
    ("duration_s", "said_s", "far"),
    [
        (60, 60, False), (31, 60, False), (30, 60, False), (29.9, 60, True), (120, 60, False), (120.1, 60, True),
        (0, 10, False), (0, 10.1, True), (2, 11.9, False), (30, 12, True), (22, 12, False), (3600, 1, True),
        (0.2, 3600, True), (5, 1, False), (11, 1, False), (11.1, 1, True),
    ],
)  # fmt: skip
def test_far_off_is_half_or_double_and_ten_seconds(duration_s: float, said_s: float, far: bool) -> None:
    """A paused call is shorter than its span; a few seconds are nothing."""
    assert is_far_off(round(duration_s * 1000), round(said_s * 1000)) is far


@pytest.mark.parametrize(
    ("start", "stop", "said"), [(None, 9, None), (9, None, None), (9, 9, None), (9, 8, None), (1, 9, 8), (0, 9, 9)]
)
def test_times_that_cannot_be_true_say_nothing(start: int | None, stop: int | None, said: int | None) -> None:
    """Then there is no judgement."""
    assert span_ms(Recording("t", "r", start_ms=start, stop_ms=stop)) == said


def test_doubts_are_named_each_by_its_flag() -> None:
    """None where nothing is known; both where both speak against it."""
    recording = Recording("t", "r", start_ms=0, stop_ms=60_000)
    assert list_doubts(recording, riff_agrees=True, duration_ms=None) == []
    assert list_doubts(Recording("t", "r"), riff_agrees=True, duration_ms=1) == []
    riff, length = list_doubts(recording, riff_agrees=False, duration_ms=1500)
    assert (riff.flag, riff.reason) == ("riff_size", "media_mismatch")
    assert (length.flag, length.reason) == ("length_doubtful", "length_doubtful")
    assert length.words == "it is 1.5 s long, and Webex says 60.0 s"


def wav(rate: int, audio: bytes, stated: int | None = None, before: bytes = b"") -> bytes:
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 7, 2, rate // 2, rate, 2, 8)
    data = b"data" + struct.pack("<I", len(audio) if stated is None else stated) + audio
    body = b"WAVE" + before + fmt + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("body", "duration_ms"),
    [
        (wav(16_000, bytes(16_000)), 1000),
        (wav(32_000, bytes(16_000)), 500),
        (wav(16_000, bytes(8_000), stated=0), 500),
        (wav(16_000, bytes(8_000), stated=0xFFFFFFFF), 500),
        (wav(16_000, bytes(8_000), stated=4_000), 250),
        (wav(16_000, bytes(8_000), stated=80_000), 500),
        (wav(16_000, bytes(8_000), before=b"LIST\x03\x00\x00\x00abc"), 500),
        (wav(16_000, bytes(8_000), before=b"JUNK" + struct.pack("<I", 6000) + bytes(6000)), None),
        (wav(0, bytes(8_000)), None),
        (b"RIFX" + wav(16_000, bytes(8_000))[4:], None),
        (b"ID3\x03" + bytes(8_000), None),
        (wav(16_000, bytes(8_000))[:30], None),
        (b"", None),
    ],
)  # fmt: skip
def test_the_length_of_a_wav_is_its_data_at_its_byte_rate(body: bytes, duration_ms: int | None) -> None:
    """Whatever the rate; unknown where the header does not say."""
    sniffer = Sniffer()
    sniffer.feed(body)
    assert sniffer.duration_ms == duration_ms
