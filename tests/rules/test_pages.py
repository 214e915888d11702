"""What is no recording is known under every dress; a codec that nobody knows is not taken for it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import time
import zipfile
import zlib

import pytest

from wxrec_async.errors import InvalidMedia
from wxrec_async.rules.mpeg import is_mpeg
from wxrec_async.rules.pages import disguised, is_text_type
from wxrec_async.rules.wav import Sniffer

XML = '<?xml version="1.0" encoding="utf-16"?><Error><Code>InternalError</Code><Message>again</Message></Error>'
HTML = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in to go on</body></html>"
JSON = '{"trackingId": "x", "error": {"key": 500, "message": "please try again later"}}'
WORDS = "The service is not available at the moment. Please try again."
COMMENT = f"\r\n\t <!-- by a proxy -->\n{HTML}"
TEXTS = {"xml": XML, "html": HTML, "json": JSON, "words": WORDS, "comment": COMMENT, "list": '[ {"a": 1} ]'}
ENCODINGS = [
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-7",
    "iso2022_jp", "iso2022_kr", "hz", "latin-1", "cp1252", "shift_jis", "gb18030", "big5", "euc_kr",
]  # fmt: skip
FOREIGN = {
    "iso2022_jp": "<html>サービスは現在利用できません</html>",
    "iso2022_kr": "<html>지금은 사용할 수 없습니다</html>",
    "utf-16-le": "<html>サービスは現在利用できません</html>",
    "utf-16-be": '{"error": "サービスは現在利用できません"}',
    "utf-32-le": "<html>недоступно</html>",
    "gb18030": "<html>服务暂时不可用，请稍后再试</html>",
    "shift_jis": "<html>サービスは現在利用できません</html>",
    "koi8-r": "<html>сервис недоступен</html>",
    "cp1252": "Der Dienst ist zur Zeit nicht verfügbar, bitte später",
}


def zipped(body: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("page.html", body)
    return made.getvalue()


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


PACKED = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "deflate": raw_deflate,
    "zip": zipped,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda body: b"\x28\xb5\x2f\xfd\x20" + struct.pack("<I", len(body)) + body,
}
FILES = {
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj" + bytes(99),
    "pdf behind junk": b"\r\n\x00\x01%PDF-1.4\n" + bytes(99),
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(99),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(99),
    "gif": b"GIF89a" + bytes(99),
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(99),
    "avif": b"\x00\x00\x00\x1cftypavif" + bytes(99),
    "heic": b"\x00\x00\x00\x1cftypheic" + bytes(99),
    "word": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99),
    "chunks within": b"1000;chunk-signature=" + b"0" * 64 + b"\r\nRIFF\x00\x00\x00\x00WAVE" + bytes(99),
    "several parts": b"--b1\r\nContent-Type: audio/wav\r\n\r\nRIFF" + bytes(99),
    "an answer within": b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n" + bytes(99),
    "controls in a page": b"<html>\x00\x1b[31m" + bytes(99),
    "blanks of nothing before a page": bytes(7) + b"\n<html>" + bytes(99),
}


def reason(body: bytes, content_type: str = "application/octet-stream") -> str:
    sniffer = Sniffer()
    sniffer.feed(body)
    try:
        sniffer.check_beginning(content_type)
    except InvalidMedia as unfit:
        return unfit.reason
    return "" if sniffer.known_media else "unknown"


@pytest.mark.fault("D22")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_page_is_one_in_every_encoding(text: str, encoding: str) -> None:
    """With a byte order mark and without; its last sign may be cut."""
    body = text.encode(encoding)
    assert reason(body) == reason(body[:-1]) == "not_media"
    assert reason((text * 200).encode(encoding)) == "not_media"


@pytest.mark.fault("D22")
@pytest.mark.parametrize(("encoding", "text"), FOREIGN.items(), ids=FOREIGN)
def test_a_page_of_other_letters_is_one(encoding: str, text: str) -> None:
    """Whose signs are few of them ASCII."""
    assert reason(text.encode(encoding)) == "not_media"


@pytest.mark.fault("D22")
@pytest.mark.parametrize("encoding", ["cp500", "cp037", "cp273"])
@pytest.mark.parametrize("text", [XML, HTML.replace("\n", ""), JSON])
def test_a_page_of_a_mainframe_is_one(text: str, encoding: str) -> None:
    """EBCDIC, which XML's specification names in its appendix F."""
    assert reason(text.encode(encoding)) == "not_media"


@pytest.mark.fault("D22")
@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("text", [XML, HTML, JSON, WORDS])
def test_a_packed_page_is_no_recording(text: str, pack: object) -> None:
    """Whoever packed it."""
    assert callable(pack)
    assert reason(pack(text.encode())) == "not_media"


@pytest.mark.fault("D22")
@pytest.mark.parametrize("body", FILES.values(), ids=FILES)
def test_other_files_are_no_recordings(body: bytes) -> None:
    """Pictures, documents, and what a gateway left of its own around a body."""
    assert reason(body) == "not_media"


def quiet(silence: bytes, seed: int) -> bytes:
    return bytes(random.Random(seed).choices(silence, k=4000))


@pytest.mark.parametrize(
    "body",
    [
        quiet(b"\xd5\x55\xd4\x54\xd7\x57", 1),  # A-law, nearly silent: half of it letters
        quiet(b"\xff\x7f\xfe\x7e\xfd", 2),  # mu-law
        b"\xff" * 4000,
        b"\xd5" * 4000,
        b"\x55" * 4000,  # A-law without a sound, as some write it: the letter U
        bytes(4000),
        struct.pack("<2000h", *(random.Random(3).randint(-40, 40) for _ in range(2000))),  # PCM without a header
        struct.pack(">2000h", *(random.Random(4).randint(-4000, 4000) for _ in range(2000))),
        random.Random(5).randbytes(4000),
    ],
)
def test_sound_without_a_header_is_unknown_and_no_page(body: bytes) -> None:
    """It is stored, and flagged."""
    for shift in range(4):
        assert reason(body[shift:]) == "unknown"


def test_a_byte_order_mark_is_no_frame_of_mpeg() -> None:
    """FF FE begins a frame of layer I as well; the bits behind it and the next frame tell."""
    assert not is_mpeg(XML.encode("utf-16"))
    assert not is_mpeg((JSON * 20).encode("utf-16"))
    assert reason(JSON.encode("utf-16")) == "not_media"


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"\xff\xfb\x90\x64", 417), (b"\xff\xfb\x92\x64", 418), (b"\xff\xf3\x48\xc4", 144),
        (b"\xff\xe3\x18\xc4", 72), (b"\xff\xfd\x80\x04", 417), (b"\xff\xff\x14\x04", 32),
        (b"\xff\xf5\x44\x04", 192), (b"\xff\xf7\x18\x04", 96),
    ],
)  # fmt: skip
def test_frames_of_mpeg_are_known_by_the_next_one(header: bytes, size: int) -> None:
    """Version, layer, rate and padding say how long a frame is; ISO 11172-3 and 13818-3."""
    frame = header + bytes(size - 4)
    assert is_mpeg(frame * 2)
    assert is_mpeg(frame)
    assert not is_mpeg(frame + b"\x00" + frame)


@pytest.mark.parametrize(
    "header", [b"\xff\xe8\x90\x64", b"\xff\xf9", b"\xff\xfb\x00\x64", b"\xff\xfb\xf0\x64", b"\xff\xfb\x9c\x64",
               b"\xff\xdb\x90\x64", b"\xfe\xfb\x90\x64", b"\xff\xfb\x90", b"\xff\xf1\x7c\x80\x0d\x3f\xfc",
               b"\xff\xf1\x50\x80\x00\x3f\xfc"]
)  # fmt: skip
def test_what_no_frame_can_say_is_none(header: bytes) -> None:
    """Reserved version, layer, rate and sampling; a length of nothing."""
    assert not is_mpeg(header + bytes(2000))


@pytest.mark.parametrize(
    "content_type", ["text/plain", "TEXT/HTML;x", "application/json", "a/b+xml", "a/problem", "a/x+json"]
)
def test_types_of_text_are_known(content_type: str) -> None:
    """By the word before the semicolon."""
    assert is_text_type(content_type)
    assert not is_text_type(f"audio/wav; was={content_type}")


@pytest.mark.parametrize(
    "body", [b"\x1b$" * 2000, b"<" * 4000, b"A;" + b"a" * 4000, b"--" + b"b" * 4000, b"\x00<" * 2000]
)
def test_hostile_beginnings_cost_little(body: bytes) -> None:
    """Time is bounded by the length of the head."""
    begun = time.process_time()
    disguised(body)
    assert time.process_time() - begun < 1.0
