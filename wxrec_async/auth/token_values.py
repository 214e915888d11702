"""Credentials and tokens, and the JSON they are kept as.

The JSON of tokens is ``{"access_token", "refresh_token", "expires_in", "expires_at",
"token_type", "scope"}``, with ``refresh_token_expires_at`` when Webex said it; times are
epoch seconds, whole or fractional.  Keys we do not know are left as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wxrec_async.errors import AuthError, ConfigError
from wxrec_async.model import Secret
from wxrec_async.rules.phone_numbers import SHORTEST_KEY
from wxrec_async.rules.tokens import TokenGrant, is_fresh, read_number, read_secret, read_text, refresh_margin

JsonObject = dict[str, object]

# Later than any epoch second that can be meant: milliseconds, or a slip of the pen.
_LATEST_S = 100_000_000_000.0
MAKE_PHONE_KEY = "`wxrec-async doctor --make-phone-key` makes one"
# What Webex gives an integration: 64 hexadecimal digits, and of an id a C before them.
_SECRET_LIKE, _ID_LIKE = re.compile(r"[0-9a-f]{64}"), re.compile(r"C[0-9a-f]{64}")
CREDENTIALS_HINT = "write it anew, with client_id and client_secret from the integration's page at developer.webex.com"
LOGIN_HINT = "run `wxrec-async login`"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The integration's own identity; ``org_id`` is empty when the file names none.

    Under ``phone_key`` the hashes of phone numbers are made; those under ``earlier_phone_keys`` are found by them.
    """

    client_id: str
    client_secret: Secret
    org_id: str = ""
    phone_key: Secret | None = None
    earlier_phone_keys: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """One access token and what renews it; times are epoch seconds, ``lifetime_s`` its whole life when known.

    ``expires_at`` is 0 when nobody said: such a token is renewed before it is used.
    """

    access_token: Secret
    refresh_token: Secret | None
    expires_at: float
    token_type: str = "Bearer"  # noqa: S105 - a kind, no secret
    scope: str = ""
    refresh_expires_at: float | None = None
    lifetime_s: float | None = None

    def fresh(self, now: float) -> bool:
        """Say whether the token need not be renewed yet."""
        return bool(self.access_token) and is_fresh(self.expires_at, now, refresh_margin(self.lifetime_s))

    def alive(self, now: float) -> bool:
        """Say whether the token has not ended yet."""
        return bool(self.access_token) and is_fresh(self.expires_at, now, 0)

    def same(self, other: Tokens | None) -> bool:
        """Say whether both hold the same pair of tokens, whatever is said about them."""
        if other is None:
            return False
        return self.access_token == other.access_token and self.refresh_token == other.refresh_token


def granted(grant: TokenGrant, now: float, previous: Tokens | None = None) -> Tokens:
    """Turn a grant received at `now` into tokens; what the reply left out is kept from `previous`."""
    kept = previous.refresh_token if previous else None
    # The end of the old refresh token is true of that one only.
    refresh_expires_at = previous.refresh_expires_at if previous and grant.refresh_token is None else None
    if grant.refresh_lifetime_s is not None:
        refresh_expires_at = now + grant.refresh_lifetime_s
    return Tokens(
        access_token=grant.access_token,
        refresh_token=grant.refresh_token or kept,
        expires_at=now + grant.lifetime_s,
        token_type=grant.token_type,
        scope=grant.scope or (previous.scope if previous else ""),
        refresh_expires_at=refresh_expires_at,
        lifetime_s=grant.lifetime_s,
    )


def parse_object(text: bytes, source: str, remedy: str = f"repair it, or remove it and {LOGIN_HINT}") -> JsonObject:
    """Decode a JSON object; raises `ConfigError` that names `source`, the ``remedy``, and nothing of the text."""
    value = _decoded(text)
    if not isinstance(value, dict):
        raise ConfigError(f"{source} does not hold a JSON object; {remedy}")
    return value


def _decoded(text: bytes) -> object:
    """Decode, or return None: the decoder's own exceptions carry the whole text, so none may get out."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def tokens_from(data: Mapping[str, object], source: str) -> Tokens:
    """Read tokens; raises `AuthError` when there is no refresh token."""
    refresh = read_secret(data.get("refresh_token"))
    if refresh is None:
        raise AuthError(f"{source} holds no refresh token; {LOGIN_HINT}")
    lifetime = read_number(data.get("expires_in"))
    return Tokens(
        # A refresh token is enough to begin with: an empty access token is never fresh, and is renewed first.
        access_token=read_secret(data.get("access_token")) or Secret(""),
        refresh_token=refresh,
        expires_at=_epoch(data.get("expires_at")) or 0.0,
        token_type=read_text(data.get("token_type")) or "Bearer",
        scope=read_text(data.get("scope")),
        refresh_expires_at=_epoch(data.get("refresh_token_expires_at")),
        lifetime_s=lifetime if lifetime and lifetime > 0 else None,
    )


def _epoch(value: object) -> float | None:
    number = read_number(value)
    return number if number is not None and 0 < number < _LATEST_S else None


def tokens_to(tokens: Tokens, kept: Mapping[str, object]) -> JsonObject:
    """Return the JSON object to write: `kept` with our keys replaced.  It holds revealed secrets."""
    data: JsonObject = {**kept, "access_token": tokens.access_token.reveal()}
    if tokens.refresh_token is not None:
        data["refresh_token"] = tokens.refresh_token.reveal()
    data["expires_at"] = tokens.expires_at
    data["token_type"] = tokens.token_type
    _put(data, "expires_in", tokens.lifetime_s)
    _put(data, "scope", tokens.scope or None)
    _put(data, "refresh_token_expires_at", tokens.refresh_expires_at)
    # Seconds from a moment nobody wrote down; stale beside a new refresh token.
    data.pop("refresh_token_expires_in", None)
    return data


def _put(data: JsonObject, key: str, value: object) -> None:
    if value is None:
        data.pop(key, None)
    else:
        data[key] = value


def credentials_from(data: Mapping[str, object], source: str) -> Credentials:
    """Read credentials; raises `ConfigError` that names `source` and the key that is missing."""
    secret = read_secret(data.get("client_secret"))
    client_id = read_text(data.get("client_id"))
    if not client_id:
        raise ConfigError(f"{source} lacks client_id; {CREDENTIALS_HINT}")
    if secret is None:
        raise ConfigError(f"{source} lacks client_secret; {CREDENTIALS_HINT}")
    if _SECRET_LIKE.fullmatch(client_id) and _ID_LIKE.fullmatch(secret.reveal()):
        raise ConfigError(f"{source} has client_id and client_secret the wrong way round; an id begins with C")
    key, earlier = read_secret(data.get("phone_key")), data.get("earlier_phone_keys")
    if key is not None and len(key.reveal()) < SHORTEST_KEY:
        raise ConfigError(f"phone_key in {source} is shorter than {SHORTEST_KEY} characters; {MAKE_PHONE_KEY}")
    older = tuple(filter(None, map(read_secret, earlier if isinstance(earlier, list) else ())))
    return Credentials(client_id, secret, read_text(data.get("org_id")), key, older)


def with_phone_key(data: JsonObject, key: str) -> JsonObject:
    """Return credentials with a new ``phone_key``; the one before goes on finding what was hashed under it."""
    earlier = data.get("earlier_phone_keys")
    kept = [each for each in (data.get("phone_key"), *(earlier if isinstance(earlier, list) else ())) if each]
    return {**data, "phone_key": key, **({"earlier_phone_keys": kept} if kept else {})}
