"""Unmistakable secrets, and where to look for them: a hit in any output is a leak.

Tests that need a secret take one of these; `outputs` searches whatever a test gave
out: logs, stdout and stderr, exceptions, command lines, files.
"""

from __future__ import annotations

import re

ACCESS_TOKEN = "CANARY-AT-8f2c71d09b5e4a63"
REFRESH_TOKEN = "CANARY-RT-51b0e6a7c94d4f28"
CLIENT_SECRET = "CANARY-CS-0d9a3e7bb1c846f5"
SIGNATURE = "CANARY-SIG-6e4b82fa17d34c09"
PHONE_NUMBER = "+15550100123"

_CANARY = re.compile(r"CANARY-?(?:AT|RT|CS|SIG|ST|SK|CODE|ACCESS)|(?:\+|%2B|\b)1555010\d{1,4}", re.IGNORECASE)


def may_hold(data: bytes) -> bool:
    """Tell quickly whether a closer look is worth while: most outputs hold nothing of the kind."""
    lower = data.lower()
    return b"canary" in lower or b"1555010" in lower


def found_in(text: str) -> list[str]:
    """The kinds of secret in ``text``, each once; never the secret itself."""
    hits = {match.group().upper() for match in _CANARY.finditer(text)}
    return sorted({hit if hit.startswith("CANARY") else "a phone number" for hit in hits})
