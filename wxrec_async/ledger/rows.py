"""Values to columns and back; everything that must not get into the ledger stops here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

Mask = Callable[[str], str]
Hash = Callable[[str | None], str | None]

# Bounded, because a long text without "://" would otherwise be scanned to its end from each of its letters.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>]+")
_SIGNATURE = re.compile(r"(?i)\b(?:x-amz-[a-z-]+|access_token|refresh_token|client_secret)\s*[=:]\s*[^\s&\"']+")
_PHONE = re.compile(r"\+\d{7,15}\b")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1
DETAIL_CHARS = 300


def text(value: str | None) -> str | None:
    """Return ``value`` as SQLite can keep it: JSON can carry halves of characters, UTF-8 cannot."""
    return None if value is None else key(value)


def key(value: str) -> str:
    """As `text`, for what is never missing; different texts stay different."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def spelling(value: str) -> str:
    """As `key`, for the id of a task or recording: the case of a UUID is no difference, its lower form is the key."""
    kept = key(value)
    return kept.lower() if is_uuid(kept) else kept


def is_uuid(value: str) -> bool:
    """Say whether an id is a UUID, in whatever case."""
    return _UUID.fullmatch(value) is not None


def number(value: int | None) -> int | None:
    """Return ``value``, or None when it is beyond 64 bits and so no time, size or duration at all."""
    return value if value is not None and _SMALLEST <= value <= _LARGEST else None


def words(value: str, limit: int = DETAIL_CHARS) -> str:
    """Return a reason or detail without URLs, signatures and phone numbers, cut to ``limit`` characters."""
    # URLs first, for they hold signatures and numbers; cut last, for half a URL would not be known for one.
    plain = _PHONE.sub("<number>", _SIGNATURE.sub("<secret>", _URL.sub("<url>", key(value))))
    return plain[:limit]


def flag(value: int | None) -> bool | None:
    """Read a column of yes, no and not known."""
    return None if value is None else bool(value)


def read_summary(kept: str) -> dict[str, object]:
    """Return a run's summary; {} for one that an older release cut off where it was too long."""
    try:
        found = json.loads(kept)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
