"""Tokens of the simulated organisation: issued, rotated, expired, revoked."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Rotation = Literal["old_stays_valid", "old_revoked", "same", "omitted"]
SCOPES = "spark-admin:recordings_read spark-admin:recordings_write spark:kms cjp:config cjp:config_read"


class GrantError(Exception):
    """The token endpoint says no; the arguments are OAuth's ``error`` and ``error_description``."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error, self.description = error, description


@dataclass(slots=True)
class IssuedToken:
    """An access token: ``org_id`` is its tenant, ``expires_at`` epoch seconds."""

    access_token: str
    org_id: str
    expires_at: float
    scope: str


@dataclass(slots=True)
class _Code:
    redirect_uri: str
    challenge: str
    scope: str
    org_id: str


@dataclass(slots=True)
class TokenService:
    """Everything the sandbox knows of tokens.

    ``rotation`` decides what a refresh does: a new refresh token with the old
    one valid or revoked, the same one again, or none in the reply.  Lifetimes
    are seconds.  Access tokens end in the organisation, unless ``names_org`` is false: such are
    about, too.  ``login_org`` is the tenant that a login mints tokens for, to
    play the browser that is signed in elsewhere.
    """

    org_id: str
    client_id: str
    client_secret: str
    clock: Callable[[], float]
    rotation: Rotation = "old_stays_valid"
    expires_in: int = 1_209_599
    refresh_expires_in: int = 7_775_999
    login_org: str = ""
    deny_login: bool = False
    names_org: bool = True
    issued: int = 0
    refreshes: int = 0
    _access: dict[str, IssuedToken] = field(default_factory=dict)
    _refresh: dict[str, IssuedToken] = field(default_factory=dict)
    _codes: dict[str, _Code] = field(default_factory=dict)

    def issue(self, *, org_id: str = "", scope: str = SCOPES, expires_in: int | None = None) -> dict[str, Any]:
        """Mint a pair and return it in the shape of the token endpoint's reply."""
        self.issued += 1
        org = org_id or self.org_id
        life = self.expires_in if expires_in is None else expires_in
        # CANARY: tests look for it wherever a token must not turn up.
        refresh = f"CANARY-RT-{self.issued}"
        self._refresh[refresh] = IssuedToken(refresh, org, self.clock() + self.refresh_expires_in, scope)
        return self._reply(self._mint(org, scope, life), life, refresh)

    def _mint(self, org: str, scope: str, life: int) -> str:
        access = f"CANARY-AT-{self.issued}" + f"_{org}" * self.names_org
        self._access[access] = IssuedToken(access, org, self.clock() + life, scope)
        return access

    def _reply(self, access: str, life: int, refresh: str) -> dict[str, Any]:
        reply = {"access_token": access, "expires_in": life, "token_type": "Bearer"}  # nosec B105 - the name of a scheme
        if refresh:
            reply |= {"refresh_token": refresh, "refresh_token_expires_in": self.refresh_expires_in}
        return reply

    def check(self, authorization: str) -> IssuedToken | None:
        """Return the grant of an ``Authorization`` header, None when it is unknown or expired."""
        scheme, _, token = authorization.partition(" ")
        grant = self._access.get(token) if scheme.lower() == "bearer" else None
        return grant if grant is not None and grant.expires_at > self.clock() else None

    def expire_access(self) -> None:
        """Let every access token be expired from now on; refresh tokens stay."""
        self._access.clear()

    def revoke_refresh(self) -> None:
        """Let every refresh token be dead from now on."""
        self._refresh.clear()

    def exchange(self, form: dict[str, str]) -> dict[str, Any]:
        """Serve the token endpoint; raises GrantError."""
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            raise GrantError("invalid_client", "Client authentication failed.")
        match form.get("grant_type"):
            case "refresh_token":
                return self._exchange_refresh(form.get("refresh_token", ""))
            case "authorization_code":
                return self._exchange_code(form)
        raise GrantError("unsupported_grant_type", "The grant type is not supported.")

    def _exchange_refresh(self, token: str) -> dict[str, Any]:
        old = self._refresh.get(token)
        if old is None or old.expires_at <= self.clock():
            raise GrantError("invalid_grant", "The refresh token provided is expired, revoked, malformed, or invalid.")
        self.refreshes += 1
        if self.rotation in ("same", "omitted"):
            self.issued += 1
            access = self._mint(old.org_id, old.scope, self.expires_in)
            return self._reply(access, self.expires_in, token if self.rotation == "same" else "")
        # Whether Webex does so is not known; sources disagree.
        if self.rotation == "old_revoked":
            del self._refresh[token]
        return self.issue(org_id=old.org_id, scope=old.scope)

    def authorize(self, redirect_uri: str, challenge: str, scope: str) -> str:
        """Hand out an authorization code, good for one exchange."""
        self.issued += 1
        code = f"CANARY-CODE-{self.issued}"
        self._codes[code] = _Code(redirect_uri, challenge, scope, self.login_org or self.org_id)
        return code

    def _exchange_code(self, form: dict[str, str]) -> dict[str, Any]:
        # Used up by the first exchange, also by one that is refused below.
        code = self._codes.pop(form.get("code", ""), None)
        if code is None:
            raise GrantError("invalid_grant", "The authorization code is unknown or was used.")
        if form.get("redirect_uri") != code.redirect_uri:
            raise GrantError("invalid_grant", "The redirect_uri is not the one the code was issued for.")
        if code.challenge and s256(form.get("code_verifier", "")) != code.challenge:
            raise GrantError("invalid_grant", "The code_verifier does not match.")
        # `scope` comes sometimes, says Cisco: here after a login, not after a refresh.
        return self.issue(org_id=code.org_id, scope=code.scope) | {"scope": code.scope}


def s256(verifier: str) -> str:
    """Return PKCE's S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
