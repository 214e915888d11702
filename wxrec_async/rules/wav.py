"""Is this stream the recording it claims to be?  Fed chunk by chunk, answers at the end.

A codec or container is never a reason to refuse: Webex promises none.  What is
refused is what is no media at all (`rules.pages`), and a recording without
audio.  For WAV the RIFF header is a second witness of length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from wxrec_async.errors import InvalidMedia
from wxrec_async.rules.mpeg import is_mpeg
from wxrec_async.rules.pages import disguised, is_text_type, kind_of

HEAD_SIZE = 4096
# What stands there when a writer streams and does not know the length yet.
UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_FIRST_CHUNK = 12
_MAGIC = (
    (0, b"OggS\x00"), (0, b"fLaC"), (4, b"ftyp"), (0, b"caff"), (0, b".snd"), (0, b"#!AMR"), (0, b"\x1aE\xdf\xa3"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), (0, b"ID3\x02"), (0, b"ID3\x03"), (0, b"ID3\x04"),
)  # fmt: skip
_FORMS = {
    b"RIFF": (b"WAVE", b"AVI "),
    b"RIFX": (b"WAVE",),
    b"RF64": (b"WAVE",),
    b"BW64": (b"WAVE",),
    b"FORM": (b"AIFF", b"AIFC", b"8SVX"),
}
_PRINTABLE = bytes(range(32, 127))
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1", b"msf1")


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
        # RIFF counts from behind its own name and size.
        return None if stated in UNKNOWN_SIZES else stated + 8

    @property
    def duration_ms(self) -> int | None:
        """How long a WAV sounds, by its header and the bytes that came; None when that cannot be told."""
        found = self._chunk(b"data")
        byte_rate = self._byte_rate()
        if found is None or not byte_rate:
            return None
        at, stated = found
        there = self.size - at
        # A header may promise more than has come.
        audio = there if stated in UNKNOWN_SIZES else min(stated, there)
        return audio * 1000 // byte_rate

    @property
    def known_media(self) -> bool:
        """Whether the first bytes are those of a container or codec of sound."""
        return self._has_magic or is_mpeg(bytes(self._head))

    @property
    def believed(self) -> bool:
        """Whether the first bytes speak against a Content-Type of text."""
        return self.known_media

    @property
    def oddity(self) -> str:
        """What is odd about the first bytes, as a flag of what is stored; empty when nothing is."""
        return "" if self.known_media else "unknown_media"

    @property
    def _has_magic(self) -> bool:
        head = bytes(self._head[:16])
        if head[8:12] in _FORMS.get(head[:4], ()):
            return True
        # HEIC and AVIF have the `ftyp` of an MP4.
        return head[8:12] not in _PICTURES and any(head.startswith(sign, at) for at, sign in _MAGIC)

    def check_beginning(self, content_type: str) -> None:
        """Refuse a body whose first bytes are those of a page or an error; call it with the head fed.

        A type of text is believed only where the bytes do not tell.
        """
        # Not `known_media`: FF FE is the beginning of an MPEG frame, and the byte order mark of UTF-16 as well.
        what = "" if self._has_magic else disguised(bytes(self._head))
        if not what and is_text_type(content_type) and not self.known_media:
            what = kind_of(content_type)
        if what:
            raise InvalidMedia("not_media", f"the body is {what}, not audio")

    def check_end(self) -> None:
        """Refuse a body that holds nothing to hear."""
        if self.size == 0:
            raise InvalidMedia("empty", "the body is empty")
        if self.is_wav and self._is_silent():
            raise InvalidMedia("no_audio", "the WAV has a header and no audio")

    def _is_silent(self) -> bool:
        """Say whether no byte stands behind the head of a ``data`` chunk, as far as we looked."""
        found = self._chunk(b"data")
        if found is None:
            # No data chunk in the head: if that was all, there is none; else it may lie beyond what was looked at.
            return self.size <= len(self._head)
        return self.size <= found[0]

    def _byte_rate(self) -> int | None:
        found = self._chunk(b"fmt ") if self.is_wav else None
        if found is None or found[0] + 12 > len(self._head):
            return None
        rate: int = struct.unpack_from("<I", self._head, found[0] + 8)[0]
        return rate

    def _chunk(self, wanted: bytes) -> tuple[int, int] | None:
        """Return where the bytes of a chunk begin and how many it says it has; None when we have not seen it."""
        return next(((at, stated) for name, at, stated in self._chunks() if name == wanted), None)

    def _chunks(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield the chunks seen: name, where the bytes begin, how many it says.

        Behind an odd number of bytes one more should stand, and some writers leave it
        out, so both places are looked at, the right one first.
        """
        head, places, seen = self._head, [_FIRST_CHUNK], set[int]()
        while places:
            at = places.pop()
            name = bytes(head[at : at + 4])
            if at in seen or at + 8 > len(head) or name.translate(None, _PRINTABLE):
                continue
            seen.add(at)
            stated = struct.unpack_from("<I", head, at + 4)[0]
            yield name, at + 8, stated
            after = at + 8 + stated
            places += [after, after + 1] if stated % 2 else [after]
