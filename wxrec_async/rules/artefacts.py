"""What a transcript or a screen recording is called, in the ledger and in the bucket.

Webex's ``id`` of a transcript is that of a configuration or of a conversation, so it does not tell two of them
apart; id and file name together do.  A name follows from these two alone, whatever else an answer has: the next
answer must give the same file the same name.
"""

from __future__ import annotations

import hashlib
import re
import string

from wxrec_async.model import Kind
from wxrec_async.rules.ids import canonical
from wxrec_async.rules.redact import redact_text

TRANSCRIPT_TYPE = "application/json"
# Which container Webex uses is not documented.
SCREEN_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska", ".mov": "video/quicktime"}
DEFAULT_SCREEN = ".mp4"
MAX_STEM, MAX_ID = 60, 80  # signs; with the words around them a name stays within what keys leave whole
DIGEST = 16
_HEX = frozenset("0123456789abcdef")
_SAFE = frozenset(string.ascii_letters + string.digits + "_-")
_OTHER_SIGNS = re.compile(r"[^A-Za-z0-9_-]+")


def artefact_id(kind: Kind, identifier: str, file_name: str) -> str:
    """Return ``transcript-{id}-{stem}`` or ``screen-{id}``; what could be read in two ways gets a digest behind it.

    ``identifier`` is Webex's, empty when it names none; a URL, a number or an address in the name stays out.
    """
    named = canonical(identifier)
    stem, _, ending = file_name.rpartition(".") if "." in file_name else (file_name, "", "")
    if kind is Kind.SCREEN:
        plain, whole = f"{kind}-{named}", bool(named)
    else:
        plain = f"{kind}-{named}-{stem}"
        whole = bool(named) and ending.lower() == "json" and _is_plain(named, stem)
    if whole and len(named) <= MAX_ID and not _is_digested(plain):
        return plain
    digest = hashlib.sha256(f"{named}\0{file_name}".encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
    return "-".join(filter(None, (kind.value, named[:MAX_ID], _readable(stem), digest)))


def _is_digested(name: str) -> bool:
    end = name[-DIGEST - 1 :]
    return len(name) > DIGEST and end[0] == "-" and _HEX.issuperset(end[1:])


def _is_plain(identifier: str, stem: str) -> bool:
    """Say whether ``{identifier}-{stem}`` can be parted again, and the stem be written as it is."""
    if not (len(stem) <= MAX_STEM and _SAFE.issuperset(stem) and redact_text(stem) == stem):
        return False
    # Both may have hyphens: the stem begins at the last word with "transcript" in it, else with the last word.
    words = f"{identifier}-{stem}".split("-")
    begins = [at for at, word in enumerate(words) if at and "transcript" in word.lower()] or [len(words) - 1]
    return "-".join(words[begins[-1] :]) == stem


def _readable(stem: str) -> str:
    return _OTHER_SIGNS.sub("_", redact_text(stem))[:MAX_STEM]


def extension(kind: Kind, file_name: str) -> str:
    """Return the ending of a transcript's or a screen recording's key."""
    if kind is Kind.TRANSCRIPT:
        return ".json"
    ending = f".{file_name.strip().rpartition('.')[2].lower()}"
    return ending if ending in SCREEN_TYPES else DEFAULT_SCREEN


def content_type(kind: Kind, ending: str) -> str:
    """Return the Content-Type that goes with an `extension`."""
    return TRANSCRIPT_TYPE if kind is Kind.TRANSCRIPT else SCREEN_TYPES[ending]


def left_id(task_id: str, name: str) -> str:
    """Return under what something of a task is counted that is left alone; ``name`` may be other tasks' as well."""
    return f"{canonical(task_id)}#{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


LEFT_BEHIND = 17
"""Signs that `left_id` puts behind the id of a task."""
