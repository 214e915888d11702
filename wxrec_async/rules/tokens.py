"""Is this token fresh enough, whose is it, and what did the token endpoint grant?

Facts about tokens are those of Webex: `expires_in` is in seconds and has been seen
as 14 days, 12 hours and one hour, so it is read and never assumed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wxrec_async.errors import InvalidResponse
from wxrec_async.model import Secret
from wxrec_async.rules.redact import MASK, one_line, redact_text
from wxrec_async.rules.sent_secrets import without_secrets

# Seconds.  Fifteen minutes are taken for a lifetime nobody said; ten years is the longest that can be meant.
REFRESH_MARGIN_S = 300.0
UNKNOWN_LIFETIME_S = 900.0
LONGEST_LIFETIME_S = 10 * 366 * 86_400.0
WORDS_LIMIT = 300

_TOKEN_TEXT = re.compile(r"[\x21-\x7e]+\Z")
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_UUID_TAIL = re.compile(rf"_({_UUID})\Z")
# Long, with a digit, and not a bare UUID: those are ids that support asks for.
_LOOKS_SECRET = re.compile(rf"(?<![\w.~+/=-])(?!{_UUID}(?![\w.~+/=-]))(?=[\w.~+/=-]*\d)[\w.~+/=-]{{20,}}")
_WORDS = re.compile(r"[^\W_]+")
_BAD = frozenset({"invalid", "expired", "revoked", "inactive", "malformed"})
_BAD_IF_NOT = frozenset({"valid", "active"})  # "not valid", "no longer active"
_TOKENS = frozenset({"token", "credential", "credentials"})
_SIGNED_IN = _TOKENS | {"session", "authentication"}
_WORDS_BETWEEN = 3
READ_CHARS = 8192  # what a server says of a token stands at the beginning


class HasAccessToken(Protocol):
    """Anything that carries an access token."""

    @property
    def access_token(self) -> Secret:
        """The token itself."""


def is_fresh(expires_at: float, now: float, margin: float = REFRESH_MARGIN_S) -> bool:
    """Say whether a token that ends at `expires_at` is good for more than `margin` seconds; all epoch seconds."""
    return expires_at - now > margin


def refresh_margin(lifetime_s: float | None) -> float:
    """Return how many seconds before its end a token is renewed.

    Five minutes, but never more than half of a token's whole life: a token that
    lives for less than that would otherwise be renewed at every single request.
    """
    if lifetime_s is None:
        return REFRESH_MARGIN_S
    return min(REFRESH_MARGIN_S, lifetime_s / 2)


def token_org(tokens: HasAccessToken) -> str | None:
    """Return the organisation a Contact Center access token names at its end (``…_<orgId>``).

    None for JWT-shaped tokens and for every other shape: a wrong guess would
    report a wrong tenant.
    """
    text = tokens.access_token.reveal()
    if "." in text:
        return None
    tail = _UUID_TAIL.search(text)
    return tail.group(1).lower() if tail else None


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What a token endpoint granted; lifetimes in seconds from the moment of the reply.

    `warning` says what was odd about the reply, in one line.
    """

    access_token: Secret
    refresh_token: Secret | None
    lifetime_s: float
    refresh_lifetime_s: float | None = None
    token_type: str = "Bearer"  # noqa: S105 - a kind, no secret
    scope: str = ""
    warning: str | None = None


def read_grant(reply: object) -> TokenGrant:
    """Read the token endpoint's decoded JSON reply; raises `InvalidResponse` when it grants no usable access token.

    A reply without a usable `expires_in` is kept all the same, for fifteen minutes:
    refusing it would throw away the rotated refresh token that came with it.
    """
    if not isinstance(reply, Mapping):
        raise InvalidResponse("the token endpoint's reply is not a JSON object")
    access = read_secret(reply.get("access_token"))
    if access is None:
        raise InvalidResponse("the token endpoint's reply has no usable access_token")
    lifetime = read_lifetime(reply.get("expires_in"))
    return TokenGrant(
        access_token=access,
        refresh_token=read_secret(reply.get("refresh_token")),
        lifetime_s=UNKNOWN_LIFETIME_S if lifetime is None else lifetime,
        refresh_lifetime_s=read_lifetime(reply.get("refresh_token_expires_in")),
        token_type=read_text(reply.get("token_type")) or "Bearer",
        scope=read_text(reply.get("scope")),
        warning=None if lifetime is not None else _unknown_lifetime(reply),
    )


def _unknown_lifetime(reply: Mapping[object, object]) -> str:
    what = "no expires_in" if reply.get("expires_in") is None else "an unusable expires_in"
    return f"the token endpoint gave {what}; the token is taken to live for {UNKNOWN_LIFETIME_S / 60:.0f} minutes"


def read_secret(value: object) -> Secret | None:
    """Return a token's text as a `Secret`, or None when it could not stand in a header (blank, control, non-ASCII)."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return Secret(text) if _TOKEN_TEXT.match(text) else None


def read_text(value: object) -> str:
    """Return a text as it is, a missing or wrongly typed one as empty."""
    return value.strip() if isinstance(value, str) else ""


def read_number(value: object) -> float | None:
    """Return a finite number, also from its text form; None for anything else, booleans included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_lifetime(value: object) -> float | None:
    """Return a lifetime in seconds; None when it is missing, not above zero, or too long to be meant."""
    number = read_number(value)
    return number if number is not None and 0 < number <= LONGEST_LIFETIME_S else None


def refuses_token(body: str) -> bool:
    """Say whether an error body speaks of a bad token, as 400 and 403 answers do when they mean 401."""
    words = _WORDS.findall(body[:READ_CHARS].lower())
    bad: list[tuple[int, str]] = []
    for place, word in enumerate(words):
        before = words[max(0, place - 2) : place]
        if word in _BAD or (word in _BAD_IF_NOT and ("not" in before[-1:] or before == ["no", "longer"])):
            bad.append((place, word))
    good = [(place, word) for place, word in enumerate(words) if word in _SIGNED_IN]
    # Both orders, "invalid token" and "the session has expired"; before the noun only a token counts, because of a
    # session much else may be invalid.
    return _are_near(bad, [each for each in good if each[1] in _TOKENS]) or _are_near(good, bad)


def _are_near(first: Sequence[tuple[int, str]], second: Sequence[tuple[int, str]]) -> bool:
    """Say whether one of ``second`` follows one of ``first`` with at most three words between them."""
    places = {place for place, _ in second}
    return any(place + step in places for place, _ in first for step in range(1, _WORDS_BETWEEN + 2))


def server_words(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return the server's own words as one line of at most 300 characters without anything that could be a secret."""
    line, known = one_line(text), [secret.reveal() for secret in secrets if secret]
    # By hand first: `without_secrets` takes nothing below eight signs for a secret.
    for short in known:
        line = line.replace(short, MASK)
    # By value before by shape, which could mask a part and leave the rest; cut last, or half a secret would pass.
    line = without_secrets(line, known)
    return _LOOKS_SECRET.sub(MASK, redact_text(line))[:WORDS_LIMIT]
