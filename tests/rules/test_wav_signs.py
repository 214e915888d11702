"""The sniffer's tables to the byte: each sign of a container, each control, each limit, and its words."""

from __future__ import annotations

import struct
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import InvalidMedia
from wxrec_async.rules.pages import TEXT_SAMPLE
from wxrec_async.rules.wav import HEAD_SIZE, Sniffer

SIGNS = [
    (0, b"RIFFabcdWAVE"), (0, b"RIFXabcdWAVE"), (0, b"RF64abcdWAVE"), (0, b"BW64abcdWAVE"), (0, b"RIFFabcdAVI "),
    (0, b"FORMabcdAIFF"), (0, b"FORMabcdAIFC"), (0, b"FORMabcd8SVX"), (0, b"ID3\x02"), (0, b"ID3\x03"), (0, b"ID3\x04"),
    (0, b"OggS\x00"), (0, b"fLaC"), (4, b"ftyp"), (0, b"caff"), (0, b".snd"), (0, b"#!AMR"), (0, b"\x1aE\xdf\xa3"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
]  # fmt: skip
ALLOWED = {9, 10, 11, 12, 13}  # the controls that a text may have
A_CHUNK = b"fmt " + struct.pack("<I", 16) + bytes(16)


def sniffed(*chunks: bytes) -> Sniffer:
    sniffer = Sniffer()
    for chunk in chunks:
        sniffer.feed(chunk)
    return sniffer


def refused(body: bytes, content_type: str = "audio/wav") -> bool:
    try:
        sniffed(body).check_beginning(content_type)
    except InvalidMedia:
        return True
    return False


def wav(*chunks: bytes, stated: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if stated is None else stated) + body


@pytest.mark.fault("D22")
@pytest.mark.parametrize(("at", "sign"), SIGNS)
def test_a_sign_is_known_where_it_belongs_and_nowhere_else(at: int, sign: bytes) -> None:
    """Behind it, text is no reason to refuse; one byte further on, or cut, it is a word like any other."""
    assert sniffed(b"abcd"[:at] + sign + b" read me").known_media
    assert not sniffed(b"abcde"[: at + 1] + sign + b" read me").known_media
    assert not sniffed(b"abcd"[:at] + sign[:-1]).known_media
    assert not refused(b"abcd"[:at] + sign + b" read me")


@pytest.mark.fault("D22")
@pytest.mark.parametrize("code", range(128))
def test_a_control_near_the_beginning_is_no_text(code: int) -> None:
    """Tabs and line ends are; so is every sign from the blank to the tilde."""
    assert refused(b"Sorry " + bytes([code]) + b" try again") is (code in ALLOWED or 32 <= code < 127)


@pytest.mark.fault("D22")
def test_half_a_kibibyte_is_searched_for_controls() -> None:
    """Counted behind the blanks; what is further on does not save a page."""
    assert TEXT_SAMPLE == 512
    assert not refused(b"\n" + b"ab" * 255 + b"a\x00")
    assert refused(b"\n" + b"ab" * 256 + b"\x00")


@pytest.mark.fault("D22")
@pytest.mark.parametrize(
    "content_type",
    ["text/csv", " TEXT/html ;charset=x", "application/json;x", "application/xml", "application/xhtml+xml"],
)
def test_a_kind_of_text_is_named_in_the_refusal(content_type: str) -> None:
    """In small letters, without what stands behind the semicolon."""
    kind = content_type.partition(";")[0].strip().lower()
    with pytest.raises(InvalidMedia) as failure:
        sniffed(b"\x00\x01").check_beginning(content_type)
    assert (failure.value.reason, str(failure.value)) == ("not_media", f"the body is {kind}, not audio")


def test_a_refusal_says_what_was_found_instead() -> None:
    """A word for the ledger, and a sentence."""
    for body, check, reason, words in (
        (b"Sorry", partial(Sniffer.check_beginning, content_type=""), "not_media", "the body is text, not audio"),
        (b"", Sniffer.check_end, "empty", "the body is empty"),
        (wav(A_CHUNK), Sniffer.check_end, "no_audio", "the WAV has a header and no audio"),
    ):
        with pytest.raises(InvalidMedia) as failure:
            check(sniffed(body))
        assert (failure.value.reason, str(failure.value)) == (reason, words)


@pytest.mark.fault("D22")
@pytest.mark.parametrize(
    ("body", "page"),
    [
        (b"<!x\xff", True), (b"<?x\xff", True), (b"</x\xff", True), (b"<Ax\xff", True), (b"<zx\xff", True),
        (b"<1x\xff", False), (b"< x\xff", False), (b"x<a\xff", False), (b"\xef\xbb\xbf \t<a\xff", True),
        (b"f\xc3\xbcr", True), (b"f\xc3", True), (b"\xc3\x28", False), (b"\xfcber uns", True),
        (b"\xfcber un", False),
    ],
)  # fmt: skip
def test_markup_in_any_encoding_is_a_page_and_other_text_is_utf_8(body: bytes, page: bool) -> None:
    """A character that is cut at the end is no reason to think otherwise."""
    assert refused(body) is page


@pytest.mark.parametrize(("space", "seen"), [(4096 - 12 - 8 - 8, True), (4096 - 12 - 8 - 6, False)])
def test_four_kibibytes_are_looked_at_and_the_rest_is_counted(space: int, seen: bool) -> None:
    """In whatever pieces they come; a data chunk behind them is out of sight, and that is no reason to refuse."""
    assert HEAD_SIZE == 4096
    body = wav(b"JUNK" + struct.pack("<I", space) + bytes(space), b"data" + bytes(4))
    for sniffer in (sniffed(body), sniffed(body[:4000], body[4000:]), sniffed(body[:4000], body[4000:], b"")):
        assert sniffer.size == len(body)
        if seen:
            with pytest.raises(InvalidMedia):
                sniffer.check_end()
        else:
            sniffer.check_end()


@pytest.mark.fault("D11")
@pytest.mark.parametrize(
    ("body", "heard"),
    [
        (wav(A_CHUNK, b"data" + bytes(4)), False),
        (wav(A_CHUNK, b"data" + bytes(4) + b"x"), True),
        (wav(b"odd " + struct.pack("<I", 1) + b"x\x00", b"data" + bytes(4)), False),
        (wav(b"odd " + struct.pack("<I", 1) + b"x\x00", b"data" + bytes(4) + b"x"), True),
        (wav(b"data" + bytes(4) + b"x"), True),
        (wav(b"data" + bytes(3)), False),
        (wav(b"JUNK" + struct.pack("<I", 5000) + bytes(5000)), True),
        (wav(b"JUNK" + struct.pack("<I", 5000) + bytes(100)), False),
    ],
)
def test_audio_is_what_stands_behind_the_head_of_its_chunk(body: bytes, heard: bool) -> None:
    """A byte of it is enough; and where we did not look, it may be."""
    if heard:
        sniffed(body).check_end()
        return
    with pytest.raises(InvalidMedia) as failure:
        sniffed(body).check_end()
    assert failure.value.reason == "no_audio"


@given(st.integers(0, 2**32 - 1))
def test_the_size_a_header_states_is_without_its_first_eight_bytes(stated: int) -> None:
    """Little-endian; 0 and -1 state nothing."""
    expected = None if stated in (0, 2**32 - 1) else stated + 8
    assert sniffed(wav(stated=stated)).riff_size == expected
    assert not sniffed(wav(stated=stated)[:11]).is_wav
    assert sniffed(b"RIFX" + wav(stated=stated)[4:]).riff_size is None
