"""Frames of MPEG audio: valid ones, and what only begins like one."""

from __future__ import annotations

import pytest

from wxrec_async.rules.mpeg import is_mpeg

LAYER_3 = bytes([0xFF, 0xFB, 0x90, 0x00])  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz: 417 bytes a frame
V2_LAYER_3 = bytes([0xFF, 0xF3, 0x40, 0x00])  # MPEG 2, layer III, 32 kbit/s, 22.05 kHz: 104 bytes a frame


@pytest.mark.parametrize(("head", "size"), [(LAYER_3, 417), (V2_LAYER_3, 104)])
def test_a_frame_is_followed_by_another_one_of_its_kind(head: bytes, size: int) -> None:
    """Where so much of the body is there; a head alone has to do."""
    frame = head + bytes(size - 4)
    assert is_mpeg(head)
    assert is_mpeg(frame * 3)
    assert not is_mpeg(frame + b"x" * 16)
    assert not is_mpeg(frame + bytes([0]) + frame)


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xfe<\x00?\x00x\x00m\x00l\x00",  # UTF-16 with its byte order mark
        b"\xff\xfb\xf0\x00",  # no such bit rate
        b"\xff\xfb\x00\x00",  # free format
        b"\xff\xfb\x9c\x00",  # no such sampling rate
        b"\xff\xeb\x90\x00",  # no such version
        b"\xff\xf9",
        b"\xfe\xfb\x90\x00",
        b"",
    ],
)
def test_what_only_begins_like_a_frame_is_none(head: bytes) -> None:
    """Eleven bits stand at the beginning of much that is no sound."""
    assert not is_mpeg(head)
