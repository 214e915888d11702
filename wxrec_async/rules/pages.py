"""Pages, errors, pictures and packed files that come where a recording was asked for, whatever they are dressed as.

Only what has no sign of a recording is judged here, by its first bytes.  A codec
that nobody knows is not refused: so text is what reads as such from the first
sign on, and quiet A-law without a header, half of which are letters, does not.
"""

from __future__ import annotations

import codecs
import re
import zlib

TEXT_SAMPLE = 512
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/xhtml", "application/javascript")
TEXT_ENDINGS = ("+json", "+xml", "/problem")
MOSTLY = 3 / 4
FEWEST = 8  # signs from which on a word in an unknown encoding is one

_CONTROLS = frozenset({*range(9), *range(14, 32), 127})
_BLANK = bytes({0, *range(9, 14), 32})
_MARKUP = re.compile(rb"<[!?/A-Za-z]")
_PAGE = re.compile(
    rb"<(?:!doctype|!--|\?xml|html|head|body|error|script|style|svg|title|meta|table|div|pre|center|h[1-6]|br|p)\b",
    re.IGNORECASE,
)
_PAGE_OR_JSON = re.compile(r"""<[!?/A-Za-z]|[\[{]\s*["'\[{\]}]""")
_DESIGNATION = re.compile(rb"\x1b[$&%()*+./-]{1,2}[0-~]")  # ISO 2022 changes its character sets so
_FRAMED = (
    (re.compile(rb"[0-9A-Fa-f]{1,8}(?:;[^\r\n]{0,200})?\r\n"), "a body with the sizes of its chunks in it"),
    (re.compile(rb"--[^\r\n]{1,70}\r?\n[A-Za-z-]{1,70}:"), "a body of several parts"),
    (re.compile(rb"HTTP/\d"), "an HTTP answer"),
)
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_EBCDIC = ("cp500", "cp037", "cp1140", "cp273")
_FILES = (
    (0, b"\x1f\x8b", "gzip"), (0, b"\x1f\x9d", "compress"), (0, b"\x1f\xa0", "compress"), (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"), (0, b"PK\x07\x08", "zip"), (0, b"\x28\xb5\x2f\xfd", "zstd"), (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"), (0, b"LZIP", "lzip"), (0, b"\x04\x22\x4d\x18", "lz4"), (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"), (0, b"\xff\x06\x00\x00sNaPpY", "snappy"), (0, b"MSCF", "cab"), (257, b"ustar", "tar"),
    (0, b"%!PS", "PostScript"), (0, b"{\\rtf", "RTF"), (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"), (0, b"\xff\xd8\xff", "JPEG"), (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"),
    (0, b"II*\x00", "TIFF"), (0, b"MM\x00*", "TIFF"), (0, b"\x00\x00\x01\x00", "icon"), (0, b"\x00asm", "WebAssembly"),
    (4, b"ftypavif", "AVIF"), (4, b"ftypheic", "HEIC"), (4, b"ftypmif1", "HEIF"), (0, b"\x7fELF", "program"),
    (0, b"wOFF", "font"), (0, b"wOF2", "font"), (0, b"SQLite format 3", "SQLite"),
)  # fmt: skip
_PDF = b"%PDF-"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


def is_text_type(content_type: str) -> bool:
    """Tell whether a Content-Type calls its body a text."""
    kind = kind_of(content_type)
    return kind.startswith(TEXT_TYPES) or kind.endswith(TEXT_ENDINGS)


def kind_of(content_type: str) -> str:
    """Return a Content-Type in small letters, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def disguised(head: bytes) -> str:
    """Say what a body that has no sign of a recording is by its first bytes; "" for bytes that nothing is known of."""
    for at, sign, name in _FILES:
        if head.startswith(sign, at):
            return f"a file ({name})"
    # Readers of PDF take the mark anywhere in the first kilobyte, so writers put things before it.
    if _PDF in head[:1024]:
        return "a file (PDF)"
    if is_text(head):
        return "text"
    if is_text(_inflated(head)):
        return "a packed text"
    return next((name for sign, name in _FRAMED if sign.match(head)), "")


def _inflated(head: bytes) -> bytes:
    """Return what zlib makes of the bytes; nothing when they are none of its own."""
    for wbits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        # Zlib has a beginning of its own; raw deflate has none, so it is tried on everything.
        if wbits > 0 and not head.startswith(_ZLIB):
            continue
        try:
            clear = zlib.decompressobj(wbits).decompress(head, TEXT_SAMPLE)
        except zlib.error:
            continue
        # A few bytes come out of noise, too.
        return clear if len(clear) > FEWEST else b""
    return b""


def is_text(head: bytes) -> bool:
    """Say whether a body is, by its first bytes, markup, JSON or words, in any character encoding."""
    if _PAGE.match(head.lstrip(_BLANK)) or _is_wide(head) or _is_ebcdic(head):
        return True
    plain = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if _DESIGNATION.search(plain[:TEXT_SAMPLE]):
        # Shift out and shift in belong to it, and would count as controls below.
        plain = _DESIGNATION.sub(b"", plain).translate(None, b"\x0e\x0f")
    sample = plain[:TEXT_SAMPLE]
    # 512 times the same byte is silence, also where that byte is a letter, as it is in A-law.
    if not head or any(byte in _CONTROLS for byte in sample) or (len(sample) == TEXT_SAMPLE and len({*sample}) == 1):
        return False
    return _MARKUP.match(plain) is not None or _decoded(plain, "utf-8") is not None or _is_mostly_ascii(sample)


def _is_mostly_ascii(sample: bytes) -> bool:
    """Say whether it may be words in an encoding of one byte a sign, most of them from ASCII."""
    return len(sample) >= FEWEST and sum(byte < 128 for byte in sample) >= MOSTLY * len(sample)


def _is_wide(head: bytes) -> bool:
    """Say whether it is text of two or four bytes a sign, with a byte order mark or without one."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return _reads(_decoded(head[len(bom) : 2 * TEXT_SAMPLE], encoding), marked=True)
    # Without a mark only ASCII can be told, and of that at least every other byte is zero.
    if b"\x00" not in head[: 2 * TEXT_SAMPLE]:
        return False
    return any(_reads(_decoded(head[: 2 * TEXT_SAMPLE], encoding), marked=False) for encoding in _WIDE)


def _reads(text: str | None, *, marked: bool) -> bool:
    """Say whether it can be read; without a mark it must be half ASCII, or begin as a page does."""
    text = (text or "").removeprefix("\ufeff").strip()
    if not text or not all(sign.isprintable() or sign.isspace() for sign in text):
        return False
    if marked or _PAGE_OR_JSON.match(text):
        return True
    return len(text) >= FEWEST and 2 * sum(sign.isascii() for sign in text) >= len(text)


def _is_ebcdic(head: bytes) -> bool:
    for encoding in _EBCDIC:
        # Never fails: in these every byte is some sign.
        text = head[:TEXT_SAMPLE].decode(encoding).strip()
        if _PAGE_OR_JSON.match(text) and all(sign.isprintable() or sign.isspace() for sign in text):
            return True
    return False


def _decoded(head: bytes, encoding: str) -> str | None:
    """Return the text, the last sign of which may be cut; None when it is not written so."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
