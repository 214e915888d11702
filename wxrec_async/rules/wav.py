"""Is this stream the recording it claims to be?  Fed chunk by chunk, answers at the end.

A codec or container is never a reason to refuse: Webex promises none.  What is
refused is what is no media at all (a web page, an error in XML or JSON), and a
recording without audio.  For WAV the RIFF header is a second witness of length.
"""

from __future__ import annotations

import codecs
import re
import struct

from wxrec_async.errors import Unfit

HEAD_SIZE = 4096
UNKNOWN_SIZES = (0, 0xFFFFFFFF)
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/xhtml")
TEXT_SAMPLE = 512
_CONTROLS = frozenset({*range(9), *range(14, 32), 127})
_MARKUP = re.compile(rb"<[!?/A-Za-z]")
_MAGIC = (
    (0, b"RIFF"), (0, b"RIFX"), (0, b"RF64"), (0, b"ID3"), (0, b"OggS"), (0, b"fLaC"), (4, b"ftyp"), (0, b"caff"),
    (0, b"FORM"), (0, b".snd"), (0, b"#!AMR"), (0, b"\x1aE\xdf\xa3"),
)  # fmt: skip


class Sniffer:
    """Looks at the head of a body and counts the rest."""

    def __init__(self) -> None:
        self._head = bytearray()
        self.size = 0

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        if len(self._head) < HEAD_SIZE:
            self._head += chunk[: HEAD_SIZE - len(self._head)]

    @property
    def is_wav(self) -> bool:
        return self._head[:4] == b"RIFF" and self._head[8:12] == b"WAVE"

    @property
    def riff_size(self) -> int | None:
        """Whole size in bytes as the RIFF header states it; None when it states none."""
        if not self.is_wav:
            return None
        stated: int = struct.unpack_from("<I", self._head, 4)[0]
        return None if stated in UNKNOWN_SIZES else stated + 8

    @property
    def known_media(self) -> bool:
        head = bytes(self._head[:16])
        return any(head[at : at + len(magic)] == magic for at, magic in _MAGIC) or _is_mpeg(head)

    def check_beginning(self, content_type: str) -> None:
        """Refuse a body whose type or first bytes are those of a page or an error; call it with the head fed."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind.startswith(TEXT_TYPES):
            raise Unfit("not_media", f"the body is {kind}, not audio")
        if not self.known_media and _is_text(bytes(self._head)):
            raise Unfit("not_media", "the body is text, not audio")

    def check_end(self) -> None:
        """Refuse a body that holds nothing to hear."""
        if self.size == 0:
            raise Unfit("empty", "the body is empty")
        if self.is_wav and self._audio_bytes() == 0:
            raise Unfit("no_audio", "the WAV has a header and no audio")

    def _audio_bytes(self) -> int | None:
        """Bytes behind the head of the ``data`` chunk; None when that chunk begins later than we looked."""
        at = 12
        while at + 8 <= len(self._head):
            name, length = bytes(self._head[at : at + 4]), struct.unpack_from("<I", self._head, at + 4)[0]
            at += 8
            if name == b"data":
                return self.size - at
            at += length + length % 2
        return 0 if self.size <= len(self._head) else None


def _is_mpeg(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0


def _is_text(head: bytes) -> bool:
    """Say whether it is markup, or readable as UTF-8; a control sign near the beginning means that it is neither."""
    stripped = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head or any(byte in _CONTROLS for byte in stripped[:TEXT_SAMPLE]):
        return False
    return _MARKUP.match(stripped) is not None or _is_utf8(stripped)


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True
