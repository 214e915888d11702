"""Is it media?  Codecs are never judged; pages and errors always are."""

from __future__ import annotations

import struct
from functools import partial

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wxrec_async.errors import InvalidMedia
from wxrec_async.rules.pages import disguised
from wxrec_async.rules.wav import Sniffer

FMT_MULAW_16 = b"fmt " + struct.pack("<IHHIIHH", 16, 7, 1, 8000, 8000, 1, 8)
FMT_PCM = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 2, 8000, 32000, 4, 16)
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf60.16.100\x00"
ODD = b"note" + struct.pack("<I", 3) + b"abc\x00"  # odd length, padded


def riff(*chunks: bytes, form: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return form + struct.pack("<I", len(body)) + body


def data(audio: bytes) -> bytes:
    return b"data" + struct.pack("<I", len(audio)) + audio


def sniffed(body: bytes, step: int | None = None) -> Sniffer:
    sniffer = Sniffer()
    step = step or max(1, len(body))
    for at in range(0, len(body), step):
        sniffer.feed(memoryview(body)[at : at + step])
    return sniffer


UNPADDED = b"LIST" + struct.pack("<I", 17) + b"INFOISFT" + struct.pack("<I", 5) + b"Rec7\x00"  # odd, as some leave it

AUDIO = bytes(range(1, 255)) * 4
FRAME = b"\xff\xfb\x90\x64" + bytes(413)  # 128 kbit/s at 44,100 Hz: 417 bytes
ADTS = b"\xff\xf1\x50\x80\x0d\x3f\xfc" + bytes(98)  # 105 bytes
SOUND = {
    "pcm": riff(FMT_PCM, data(AUDIO)),
    "mu-law, 16-byte fmt, no fact": riff(FMT_MULAW_16, data(AUDIO)),
    "LIST before data": riff(FMT_PCM, LIST, data(AUDIO)),
    "odd chunk before data": riff(FMT_PCM, ODD, data(AUDIO)),
    "odd chunk without padding": riff(FMT_PCM, UNPADDED, data(AUDIO)),
    "odd chunks, padded and not": riff(UNPADDED, ODD, FMT_PCM, ODD, UNPADDED, data(AUDIO)),
    "chunks nobody knows behind the data": riff(FMT_PCM, data(AUDIO), b"zzzz" + struct.pack("<I", 3) + b"abc"),
    "data before fmt": riff(data(AUDIO), FMT_PCM),
    "data far behind": riff(FMT_PCM, b"JUNK" + struct.pack("<I", 6000) + bytes(6000), data(AUDIO)),
    "streamed, sizes 0": b"RIFF" + bytes(4) + b"WAVE" + FMT_PCM + b"data" + bytes(4) + AUDIO,
    "streamed, sizes -1": b"RIFF\xff\xff\xff\xffWAVE" + FMT_PCM + b"data\xff\xff\xff\xff" + AUDIO,
    "RF64": b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", 28) + bytes(28) + FMT_PCM + b"data" + AUDIO,
    "mp3 with ID3": b"ID3\x04\x00\x00\x00\x00\x00\x00" + AUDIO,
    "mp3 frames": FRAME * 3,
    "aac": ADTS * 2,
    "one frame": FRAME,
    "ogg": b"OggS\x00\x02" + AUDIO,
    "flac": b"fLaC\x00\x00\x00\x22" + AUDIO,
    "m4a": b"\x00\x00\x00\x20ftypM4A " + AUDIO,
}


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("step", [None, 1, 7, 4096])
@pytest.mark.parametrize("content_type", ["audio/wav", "audio/wav; charset=utf-8", "application/octet-stream", ""])
def test_known_media_pass_whatever_they_are_called(name: str, step: int | None, content_type: str) -> None:
    """An mp3 may come as audio/wav; neither codec nor container is a reason to refuse."""
    sniffer = sniffed(SOUND[name], step)
    sniffer.check_beginning(content_type)
    sniffer.check_end()
    assert sniffer.known_media
    assert sniffer.size == len(SOUND[name])


@pytest.mark.parametrize(
    ("name", "stated"),
    [("pcm", True), ("LIST before data", True), ("streamed, sizes 0", False), ("streamed, sizes -1", False),
     ("RF64", False), ("mp3 frames", False), ("ogg", False), ("flac", False), ("m4a", False)],
)  # fmt: skip
def test_only_a_wav_with_a_size_is_a_witness(name: str, stated: bool) -> None:
    """0 and 0xFFFFFFFF say nothing; RF64 and the others have no such field."""
    body = SOUND[name]
    assert sniffed(body).riff_size == (len(body) if stated else None)


@pytest.mark.fault("D22")
@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"  \r\n<html>",
        b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        b'{"trackingId": "x", "error": {"key": 500}}',
        b'\n[{"a": 1}]',
        b"Internal Server Error",
        b"Zugriff verweigert: f\xc3\xbcr diese Datei",
        b"<html><body>Fehler f\xfcr Sie</body></html>",  # Latin-1
        b"<Error>" + b"x" * 10_000 + b"</Error>",
        b" \r\n ",
    ],
)
@pytest.mark.parametrize("content_type", ["audio/wav", "binary/octet-stream", ""])
def test_pages_and_errors_are_refused_by_their_bytes(body: bytes, content_type: str) -> None:
    """A success status and an audio type do not make a page a recording."""
    with pytest.raises(InvalidMedia) as failure:
        sniffed(body).check_beginning(content_type)
    assert failure.value.reason == "not_media"
    assert str(failure.value).isascii()


@pytest.mark.fault("D22")
@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "Text/HTML; charset=utf-8",
        "application/json",
        "application/xml",
        "text/plain",
        "a/x+json",
        "a/problem",
    ],
)
def test_a_type_of_text_is_believed_where_the_bytes_do_not_tell(content_type: str) -> None:
    """Many a store calls everything text/plain: a sound recording is taken all the same, what nobody knows is not."""
    for body in SOUND.values():
        sniffed(body).check_beginning(content_type)
    with pytest.raises(InvalidMedia):
        sniffed(b"\x00\x01\x02\x03" * 100).check_beginning(content_type)


@pytest.mark.fault("D11")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (riff(FMT_PCM, data(b"")), "no_audio"),
        (riff(FMT_MULAW_16, LIST, data(b"")), "no_audio"),
        (b"RIFF\x24\x00\x00\x00WAVE", "no_audio"),
        (riff(FMT_PCM), "no_audio"),
    ],
)
def test_a_recording_without_audio_is_refused(body: bytes, reason: str) -> None:
    """Zero bytes, or a header and nothing behind it."""
    with pytest.raises(InvalidMedia) as failure:
        sniffed(body).check_end()
    assert failure.value.reason == reason


def test_nothing_at_all_is_empty_not_a_page() -> None:
    """The reason in the ledger should say what was wrong."""
    sniffed(b"").check_beginning("audio/wav")


@given(st.tuples(st.binary(max_size=200), st.binary(max_size=200)).map(b"\x00".join))
def test_unknown_bytes_are_accepted(body: bytes) -> None:
    """Headerless G.711 may begin with any byte, a brace included; binary is never taken for text."""
    assume(not disguised(body).startswith("a file"))
    sniffed(body).check_beginning("audio/basic")


@pytest.mark.fault("D23")
@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=100).map(lambda rest: b"RIFF" + rest),
        st.binary(max_size=100).map(lambda rest: b"RIFF\x10\x00\x00\x00WAVE" + rest),
        st.lists(st.tuples(st.binary(min_size=4, max_size=4), st.integers(0, 2**32 - 1), st.binary(max_size=9))).map(
            lambda chunks: riff(*[name + struct.pack("<I", size) + rest for name, size, rest in chunks])
        ),
    ),
    st.text(max_size=20),
    st.integers(1, 50),
)
def test_any_bytes_are_judged_and_the_chunking_plays_no_part(body: bytes, content_type: str, step: int) -> None:
    """The sniffer raises `InvalidMedia` or nothing, and says the same however the bytes come in."""

    def judged(sniffer: Sniffer) -> list[object]:
        found: list[object] = [sniffer.size, sniffer.is_wav, sniffer.riff_size, sniffer.known_media]
        for check in (partial(sniffer.check_beginning, content_type), sniffer.check_end):
            try:
                check()
            except InvalidMedia as unfit:
                found.append(unfit.reason)
        return found

    assert judged(sniffed(body)) == judged(sniffed(body, step))
