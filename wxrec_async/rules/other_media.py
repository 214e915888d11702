"""Is this body the transcript or the screen recording that was asked for?  As `rules.wav` asks it of audio."""

from __future__ import annotations

import json

from wxrec_async.errors import InvalidMedia
from wxrec_async.model import Kind
from wxrec_async.rules.pages import is_text, is_text_type
from wxrec_async.rules.wav import Sniffer

# Beyond it a transcript is judged by its two ends: read whole, it is held in memory apart from the parts.
MAX_READ = 2 << 20
TAIL = 64
SHORT_HEAD, BOX_HEAD = 8, 16
MOST_BOXES = 1 << 18  # one in fragments of a second has two for each
# What stands before the media in an MP4 and is none.
BARE_BOXES = frozenset({b"ftyp", b"free", b"skip", b"wide", b"uuid"})
_BLANK = b" \t\r\n"


def sniffer_of(kind: Kind) -> Sniffer:
    """Return what looks at a body of this kind."""
    match kind:
        case Kind.TRANSCRIPT:
            return TranscriptSniffer()
        case Kind.SCREEN:
            return ScreenSniffer()
        case _:
            return Sniffer()


class ScreenSniffer(Sniffer):
    """A screen recording: its container is not documented, so only text is refused; whatever is no MP4 is flagged.

    The boxes of an MP4 are a second witness of its length, as the header of a WAV is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._box_at, self._box_head = 0, bytearray()
        self._boxes, self._most = set[bytes](), MOST_BOXES
        self._walks = True

    def feed(self, chunk: bytes | memoryview) -> None:
        begins = self.size
        super().feed(chunk)
        # Only where a box begins is anything looked at: that is a few times in a recording, not in each chunk.
        while self._walks and self._box_at + len(self._box_head) < self.size:
            at = self._box_at + len(self._box_head) - begins
            self._box_head += chunk[at : at + BOX_HEAD - len(self._box_head)]
            if not self._next_box():
                break

    def _next_box(self) -> bool:
        """Read the head of a box, as far as it is here; say whether it was, and go on behind the box."""
        head = self._box_head
        if len(head) < SHORT_HEAD:
            return False
        size, name, least = int.from_bytes(head[:4]), bytes(head[4:8]), SHORT_HEAD
        if size == 1:
            if len(head) < BOX_HEAD:
                return False
            size, least = int.from_bytes(head[8:16]), BOX_HEAD
        # 0: it reaches to the end of the file, wherever that is (ISO 14496-12 4.2); and bytes that are no box say
        # nothing of the length.
        self._walks = size >= least and name.isascii() and name.decode().isprintable() and self._most > 0
        if self._walks:
            self._boxes.add(name)
            self._most -= 1
            self._box_at, self._box_head = self._box_at + size, bytearray()
        return self._walks

    @property
    def riff_size(self) -> int | None:
        """Whole size in bytes as the boxes state it; None when they state none."""
        if not (self._walks and self.known_media):
            return None
        return self._box_at + (SHORT_HEAD if self._box_head else 0)

    @property
    def is_wav(self) -> bool:
        return False

    @property
    def known_media(self) -> bool:
        # The index of an MP4 may stand at its end: `ftyp` alone comes first in all of them (ISO 14496-12 4.3).
        return self._has_magic and self._head[4:8] == b"ftyp"

    @property
    def oddity(self) -> str:
        return "" if self.known_media else "not_mp4"

    @property
    def believed(self) -> bool:
        return not is_text(bytes(self._head))

    def check_beginning(self, content_type: str) -> None:  # noqa: ARG002 - many a store calls everything text/plain
        """Refuse a page or an error."""
        if not self.believed:
            raise InvalidMedia("not_media", "the body is text, not a screen recording")

    def check_end(self) -> None:
        """Refuse a body that holds nothing to see."""
        super().check_end()
        media = self._boxes - BARE_BOXES
        if self.known_media and self._walks and (not media or (media == {b"mdat"} and self.size <= self._first_end)):
            raise InvalidMedia("no_picture", "the MP4 has a header and nothing behind it")

    @property
    def _first_end(self) -> int:
        """Where the head of an ``mdat`` that comes first ends, as far as it may reach."""
        return self._head.find(b"mdat") + BOX_HEAD


class TranscriptSniffer(Sniffer):
    """A transcript: JSON with ``responseContents``, or a vCon with ``parties`` and ``dialog``."""

    def __init__(self) -> None:
        super().__init__()
        self._body = bytearray()
        self._tail = b""

    def feed(self, chunk: bytes | memoryview) -> None:
        super().feed(chunk)
        if len(self._body) < MAX_READ:
            self._body += chunk[: MAX_READ - len(self._body)]
        # Of white space a formatted body may have some at its end.
        self._tail = (self._tail + bytes(chunk[-TAIL:]))[-TAIL:]

    @property
    def is_wav(self) -> bool:
        return False

    @property
    def known_media(self) -> bool:
        return bytes(self._head).removeprefix(b"\xef\xbb\xbf").lstrip(_BLANK)[:1] in (b"{", b"[")

    @property
    def believed(self) -> bool:
        return not self._head or self.known_media  # an empty body is named by its end

    @property
    def oddity(self) -> str:
        return "" if self._is_read else "transcript_unread"

    @property
    def _is_read(self) -> bool:
        return self.size <= MAX_READ

    def check_beginning(self, content_type: str) -> None:
        """Refuse what cannot be JSON; an empty body is named by its end."""
        if self._head and not self.known_media:
            what = "text" if is_text(bytes(self._head)) or is_text_type(content_type) else "no JSON"
            raise InvalidMedia("not_transcript", f"the body is {what}, not a transcript")

    def check_end(self) -> None:
        """Refuse a body that is empty, cut, or JSON of another shape."""
        if self.size == 0:
            raise InvalidMedia("empty", "the body is empty")
        if not (self._has_outline() if self._is_read else self._tail.rstrip(_BLANK)[-1:] in (b"}", b"]")):
            raise InvalidMedia("not_transcript", "the body is not the JSON of a transcript")

    def _has_outline(self) -> bool:
        try:
            said = json.loads(bytes(self._body))
        except (ValueError, RecursionError):
            return False
        if not isinstance(said, dict):
            return False
        lists = {name for name, value in said.items() if isinstance(value, list)}
        return "responseContents" in lists or {"parties", "dialog"} <= lists
