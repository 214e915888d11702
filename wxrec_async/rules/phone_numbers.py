"""Phone numbers that can be found again without being kept: a keyed hash of their one written form.

There are few enough phone numbers to try them all, so a hash without a key would
hide none; with one (HMAC-SHA-256, RFC 2104) only who holds it can ask.
"""

from __future__ import annotations

import hashlib
import hmac
import re

SHORTEST = 7  # digits; what is shorter is an extension or a service, and has no country
LONGEST = 15  # ITU-T E.164
SHORTEST_KEY = 32
_LOOKS = re.compile(r"\+?[\d ().\-/]+", re.ASCII)
_SCHEME = re.compile(r"(?:tel|sips?):", re.IGNORECASE)


def one_form(text: str, country: str = "") -> str:
    """Return a number in E.164 as far as that can be told, else its digits; an address in lower case.

    ``country`` is the calling code of numbers that name none (``41``); without it they stay as given. Numbers of
    ``1`` have ten digits; those of other countries lose the one 0 before them, which is nobody's first digit in
    E.164 but Italy's (``39``).
    """
    bare = _SCHEME.sub("", text.strip(), count=1)
    number = bare.partition("@")[0] if bare != text.strip() else bare
    if not _LOOKS.fullmatch(number):
        return bare.lower()
    digits = re.sub(r"\D", "", number)
    if number.startswith("+"):
        return f"+{digits}"
    abroad = "011" if country == "1" else "00"
    if digits.startswith(abroad) and len(digits) - len(abroad) >= SHORTEST:
        return f"+{digits.removeprefix(abroad)}"
    if not country or len(digits) < SHORTEST:
        return digits
    if country == "1":
        return f"+1{digits.removeprefix('1') if len(digits) == 11 else digits}"
    return f"+{country}{digits if country == '39' else digits.removeprefix('0')}"


def number_hash(text: str | None, key: str, country: str = "") -> str | None:
    """Return ``{key id}:{HMAC in hex}`` of a number or address; None of none, and of one that came masked."""
    if not text or "*" in text:
        return None
    return f"{key_id(key)}:{hmac.new(key.encode(), one_form(text, country).encode(), hashlib.sha256).hexdigest()}"


def key_id(key: str) -> str:
    """Return what says by which key a hash was made; it tells nothing of the key."""
    return hmac.new(key.encode(), b"wxrec-async phone_key id", hashlib.sha256).hexdigest()[:8]
