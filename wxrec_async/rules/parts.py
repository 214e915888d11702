"""Part sizes, chunks into parts, and whether an object is whole."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from isal.isal_zlib import crc32, crc32_combine

from wxrec_async.errors import InvalidMedia
from wxrec_async.model import Part, StoredObject
from wxrec_async.rules.wav import Sniffer

MIB = 1 << 20
# S3's own: parts of an upload, least bytes of a part that is not the last, most bytes of one.
MAX_PARTS = 10_000
MIN_PART = 5 * MIB
MAX_PART = 5 << 30
GROW_EVERY = 1_000


def part_size(number: int, length: int | None, configured: int) -> int:
    """Size in bytes of part ``number`` (from 1), so that at most 10,000 parts hold the recording.

    Of unknown length the sizes double every 1,000 parts: 8 MiB parts then reach 8 TiB.
    """
    base = max(configured, MIN_PART)
    if length is not None:
        return min(MAX_PART, max(base, -(-length // MAX_PARTS)))
    return min(MAX_PART, base << ((number - 1) // GROW_EVERY))


class PartAssembler:
    """Chunks in, parts out; nothing is copied: a chunk across a border is split into views.

    Feed it in any chunking, then call `finish`.  ``crc32`` is that of every byte
    fed so far and of no others.
    """

    def __init__(self, length: int | None, configured: int) -> None:
        self._length, self._configured = length, configured
        self._chunks: list[bytes | memoryview] = []
        self._held = 0
        self._part_crc = 0
        self._whole_crc = 0
        self._number = 1
        self.size = 0

    @property
    def goal(self) -> int:
        """Size in bytes of the part that is being filled."""
        return part_size(self._number, self._length, self._configured)

    @property
    def held(self) -> int:
        """Bytes fed that no part has taken yet."""
        return self._held

    @property
    def crc32(self) -> int:
        """CRC-32 of everything fed so far."""
        return crc32_combine(self._whole_crc, self._part_crc, self._held)

    def feed(self, chunk: bytes | memoryview, crc: int | None = None) -> Iterator[Part]:
        """Take the next bytes, whose CRC-32 is ``crc`` if that is known; yield each part that they fill."""
        rest = memoryview(chunk)
        while rest:
            taken = rest[: self.goal - self._held]
            if len(taken) == len(chunk):  # keep the chunk itself: a view would only be a second object over it
                self._keep(chunk, crc)
            else:
                # The CRC that came along is that of the whole chunk, and of no use for a piece of it.
                self._keep(taken, None)
            rest = rest[len(taken) :]
            if self._held == self.goal:
                yield self._cut()

    def finish(self) -> Part:
        """Return what is left as the last part, which may be empty."""
        return self._cut()

    def forget(self) -> None:
        """Let go of the bytes held, but not of their checksum."""
        self._whole_crc, self._part_crc = self.crc32, 0
        self._chunks, self._held = [], 0

    def _keep(self, piece: bytes | memoryview, crc: int | None) -> None:
        self._chunks.append(piece)
        self._held += len(piece)
        self.size += len(piece)
        if crc is None:
            self._part_crc = crc32(piece, self._part_crc)
        else:  # 0.6 microseconds, whatever the size; another look at the bytes costs 30 for 256 KiB
            self._part_crc = crc32_combine(self._part_crc, crc, len(piece))

    def _cut(self) -> Part:
        if self._number > MAX_PARTS:
            raise InvalidMedia("too_large", f"more than {MAX_PARTS} parts")
        part = Part(self._number, tuple(self._chunks), self._held, self._part_crc)
        self._whole_crc = crc32_combine(self._whole_crc, self._part_crc, self._held)
        self._chunks, self._held, self._part_crc = [], 0, 0
        self._number += 1
        return part


def check_whole(sniffer: Sniffer, *, proven: bool, length: int | None, sent: int) -> bool:
    """Refuse a body that is not whole; return False when only the RIFF size disagrees.

    ``proven`` says that Content-Length was reached or the final chunk seen,
    ``length`` is what was promised, ``sent`` what the source counted itself.
    """
    # First: "empty" and "no audio" say more than a length that does not match.
    sniffer.check_end()
    if sniffer.size != sent or (length is not None and sniffer.size != length):
        raise InvalidMedia(
            "length_mismatch", f"{sniffer.size} bytes arrived of {length if length is not None else sent}"
        )
    riff = sniffer.riff_size
    # None differs as well: without a length from anywhere the end of the connection proves nothing.
    if not proven and riff != sniffer.size:
        raise InvalidMedia("unprovable", "nothing proves that the body is whole")
    return riff is None or riff == sniffer.size


def same_object(found: StoredObject, *, size: int, crc: int) -> bool | None:
    """Is the object found in the bucket the one we hold?  None when its checksum cannot be compared."""
    if found.size != size:
        return False
    return None if found.crc32 is None else found.crc32 == crc


def strong_etag(text: str) -> str:
    """Return an ETag as the store itself names it, in quotes: a proxy before it may weaken it (``W/"…"``) or bare it.

    S3's ETags are all strong, and it knows no other when it is given one back.
    """
    bare = text.strip().removeprefix("W/").removeprefix("w/").strip().strip('"')
    return f'"{bare}"' if bare else ""


def crc32_text(value: int) -> str:
    """Write a CRC-32 as S3 does: base64 of its four bytes, most significant first."""
    return base64.b64encode(value.to_bytes(4, "big")).decode("ascii")
