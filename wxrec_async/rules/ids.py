"""Ids are opaque text, but for one kind: the case of a UUID's letters is no difference (RFC 9562, section 4)."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
UUID_CHARS = 36


def is_uuid(text: str) -> bool:
    """Say whether this is a UUID as it is usually written."""
    return len(text) == UUID_CHARS and _UUID.fullmatch(text) is not None


def canonical(text: str) -> str:
    """Return the one spelling under which an id is kept: a UUID in lower case, anything else as it is."""
    return text.lower() if is_uuid(text) else text
