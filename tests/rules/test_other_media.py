"""Is it the transcript, or the screen recording, that was asked for?"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import InvalidMedia
from wxrec_async.model import Kind
from wxrec_async.rules.other_media import MAX_READ, sniffer_of
from wxrec_async.rules.parts import check_whole
from wxrec_async.rules.wav import Sniffer

LEGACY = json.dumps({"responseContents": [{"role": "CALLER"}]}).encode()
VCON = json.dumps({"vcon": "0.0.1", "parties": [], "dialog": []}).encode()
MDAT = b"\0\0\x10\0mdat" + bytes(range(256)) * 16
MP4 = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + MDAT
PAGES = {
    "HTML": b"<!doctype html><html><body>Sorry</body></html>",
    "XML": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "words": b"The recording is not available any more.",
}


def sniffed(kind: Kind, body: bytes, step: int = 1000) -> Sniffer:
    sniffer = sniffer_of(kind)
    for at in range(0, len(body), step):
        sniffer.feed(memoryview(body)[at : at + step])
    return sniffer


def judged(kind: Kind, body: bytes, content_type: str = "") -> str:
    """Return the flag a body is stored under, empty when nothing is odd; raises `InvalidMedia`."""
    sniffer = sniffed(kind, body)
    sniffer.check_beginning(content_type)
    assert check_whole(sniffer, proven=True, length=len(body), sent=len(body))
    return sniffer.oddity


@pytest.mark.parametrize("body", [LEGACY, VCON, b"\xef\xbb\xbf" + LEGACY, b"\n\n  " + VCON + b"\r\n"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "binary/octet-stream", ""])
def test_a_transcript_in_both_forms_is_one(body: bytes, content_type: str) -> None:
    assert judged(Kind.TRANSCRIPT, body, content_type) == ""


@pytest.mark.parametrize(
    "body",
    [
        *PAGES.values(),
        MP4,
        b'{"message": "not found", "trackingId": "x"}',
        b"[]",
        b'{"parties": []}',
        b'{"responseContents": {}}',
        LEGACY[:-1],
        LEGACY + b"x",
        b'{"responseContents": [' + b"[" * 100_000,
    ],
)
def test_what_is_no_transcript_is_refused_by_name(body: bytes) -> None:
    """A page, an error in JSON, another shape, half of one."""
    with pytest.raises(InvalidMedia) as refused:
        judged(Kind.TRANSCRIPT, body)
    assert refused.value.reason == "not_transcript"


@pytest.mark.parametrize("kind", [Kind.TRANSCRIPT, Kind.SCREEN])
def test_an_empty_body_is_empty(kind: Kind) -> None:
    with pytest.raises(InvalidMedia) as refused:
        judged(kind, b"", "text/html")
    assert refused.value.reason == "empty"


def test_a_transcript_too_large_to_be_read_is_judged_by_its_ends() -> None:
    """It is stored under a flag; one that is cut is refused all the same."""
    body = b'{"responseContents": ["' + b"x" * MAX_READ + b'"]}\n'
    assert judged(Kind.TRANSCRIPT, body) == "transcript_unread"
    with pytest.raises(InvalidMedia):
        judged(Kind.TRANSCRIPT, body[:-5])


@pytest.mark.parametrize("content_type", ["video/mp4", "text/plain", "", "audio/wav"])
def test_an_mp4_is_a_screen_recording_wherever_its_index_stands(content_type: str) -> None:
    assert judged(Kind.SCREEN, MP4, content_type) == ""
    assert judged(Kind.SCREEN, MP4[:24] + b"\0\0\0\x08moov" + MP4[24:], content_type) == ""


@pytest.mark.parametrize(
    "body",
    [
        b"\x1aE\xdf\xa3" + bytes(100),
        b"RIFF\x10\0\0\0WAVEdata\0\0\0\0",
        bytes(range(256)) * 2,
        b"PK\x03\x04" + bytes(99),
    ],
)
def test_what_is_no_mp4_is_stored_under_a_flag(body: bytes) -> None:
    """The container is not documented."""
    assert judged(Kind.SCREEN, body, "text/plain") == "not_mp4"


@pytest.mark.parametrize("body", PAGES.values())
def test_a_page_is_no_screen_recording(body: bytes) -> None:
    with pytest.raises(InvalidMedia) as refused:
        judged(Kind.SCREEN, body, "video/mp4")
    assert refused.value.reason == "not_media"


def boxes(*named: tuple[bytes, bytes], wide: bool = False) -> bytes:
    """Write boxes; ``wide`` ones have their size in 64 bits."""
    if wide:
        return b"".join(b"\0\0\0\1" + name + (16 + len(body)).to_bytes(8, "big") + body for name, body in named)
    return b"".join((8 + len(body)).to_bytes(4, "big") + name + body for name, body in named)


FTYP = boxes((b"ftyp", b"isom\0\0\2\0isomiso2"))


@given(
    st.lists(st.tuples(st.sampled_from([b"free", b"moov", b"mdat"]), st.binary(max_size=40)), max_size=6),
    st.booleans(),
    st.integers(1, 50),
)
def test_the_boxes_of_an_mp4_tell_its_length(named: list[tuple[bytes, bytes]], wide: bool, step: int) -> None:
    """In whatever pieces they come; a byte less is another length."""
    whole = FTYP + boxes((b"moov", b"x"), *named, wide=wide)
    assert sniffed(Kind.SCREEN, whole, step).riff_size == len(whole)
    assert sniffed(Kind.SCREEN, whole[:-1], step).riff_size != len(whole) - 1


def test_an_mp4_that_was_cut_is_doubted() -> None:
    """What is promised behind the last byte is missing: fetched once more, as a WAV is."""
    cut = sniffed(Kind.SCREEN, MP4[:-100])
    assert not check_whole(cut, proven=True, length=cut.size, sent=cut.size)


@pytest.mark.parametrize("body", [FTYP, FTYP + b"\0\0\0\1mdat\0\0\0\0\0\x10\0\0", FTYP + boxes((b"free", b"xx"))])
def test_an_mp4_that_ends_with_its_head_shows_nothing(body: bytes) -> None:
    with pytest.raises(InvalidMedia) as refused:
        judged(Kind.SCREEN, body)
    assert refused.value.reason == "no_picture"


def test_a_hostile_mp4_costs_no_memory() -> None:
    """Half a million boxes of nothing: it is no longer walked, and nothing is said of its length."""
    sniffer = sniffed(Kind.SCREEN, FTYP + boxes((b"free", b"")) * (1 << 19), 1 << 20)
    assert sniffer.riff_size is None


def test_audio_is_judged_as_it_was() -> None:
    assert type(sniffer_of(Kind.AUDIO)) is Sniffer


@given(st.binary(max_size=6000), st.integers(1, 7000), st.sampled_from([Kind.TRANSCRIPT, Kind.SCREEN]))
def test_the_pieces_it_comes_in_say_nothing(body: bytes, step: int, kind: Kind) -> None:
    def verdict(sniffer: Sniffer) -> str:
        try:
            sniffer.check_beginning("")
            sniffer.check_end()
        except InvalidMedia as refused:
            return refused.reason
        return sniffer.oddity

    assert verdict(sniffed(kind, body, step)) == verdict(sniffed(kind, body, len(body) or 1))
