"""OAuth's authorization code with PKCE (RFC 7636, S256) and state, and what else brings a first token."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from wxrec_async.auth.endpoint import InvalidGrant, TokenEndpoint
from wxrec_async.auth.token_store import StoreMoved, TokenStore
from wxrec_async.auth.token_values import Tokens, granted
from wxrec_async.errors import AuthError, ConfigError, InvalidResponse, RemoteError
from wxrec_async.model import Secret
from wxrec_async.plumbing.finishing import run_to_completion
from wxrec_async.rules.tokens import read_grant, read_number, read_secret, server_words

PERSONAL = (
    "there is no refresh token in it: a personal access token of developer.webex.com lives for 12 hours and cannot be "
    "renewed, so no backfill can rely on it; use an integration (`wxrec-async login`) or a service app"
)
SAVE_TRIES = 3
_BARE_TOKEN = re.compile(rb"[\w.~+/=-]{20,}")


@dataclass(frozen=True, slots=True)
class Request:
    """One login under way.  ``state`` ties the answer to it, ``verifier`` the exchange."""

    redirect_uri: str
    state: Secret
    verifier: Secret
    url: str = field(repr=False)

    def is_answer(self, target: str) -> bool:
        """Say whether a redirect is the answer to this very request; compares in constant time."""
        said = _query(target)
        return ("code" in said or "error" in said) and Secret(said.get("state", "")) == self.state


def begin(auth_url: str, client_id: str, redirect_uri: str, scopes: Sequence[str]) -> Request:
    """Draw state and verifier and write the URL the user is to open."""
    # 64 bytes are 86 signs: RFC 7636 wants 43 to 128 of them.
    state, verifier = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(64))
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state.reveal(),
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
    }
    return Request(redirect_uri, state, verifier, f"{auth_url}/authorize?{urlencode(query)}")


def challenge(verifier: Secret) -> str:
    """Return the S256 challenge of a verifier."""
    digest = hashlib.sha256(verifier.reveal().encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def code_from(request: Request, answer: str) -> Secret:
    """Return the code of a redirect: its URL, its target, its query, or the bare code.

    A bare code carries no state; the verifier ties it to ``request`` all the same, at the token
    endpoint.  Raises `AuthError`: with the server's words when the login was refused, or when the
    answer is not one to ``request``.
    """
    answer = answer.strip()
    # It has blanks or signs that neither an address nor a code can have.
    if read_secret(answer) is None:
        raise AuthError("nothing usable was given: paste the whole address the browser was sent to")
    if not _is_address(answer):
        return Secret(answer)
    # The state before the error: what somebody else wrote into an address is not shown as Webex's word.
    if not request.is_answer(answer):
        raise AuthError("the address does not belong to this login: open the URL shown last, and paste where it led")
    said = _query(answer)
    if "error" in said:
        raise AuthError(_denial(said, request))
    return Secret(said["code"])


def _is_address(answer: str) -> bool:
    """Tell an address or a query from a bare code, which has neither question mark nor parameters."""
    return "?" in answer or "://" in answer or answer.startswith(("code=", "state=", "error="))


def _query(address: str) -> dict[str, str]:
    """Return the parameters of a redirect; one that is given twice counts as not given."""
    _, mark, query = address.partition("?")
    try:
        found = parse_qs((query if mark else address).partition("#")[0], max_num_fields=50)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _denial(said: Mapping[str, str], request: Request) -> str:
    hidden = (request.state, request.verifier)
    error, words = (server_words(said.get(name, ""), hidden) for name in ("error", "error_description"))
    return f"Webex did not grant the login: {error}" + (f" ({words})" if words else "")


def check_redirect_uri(redirect_uri: str) -> None:
    """Raise `ConfigError` unless it is an address a browser can be sent to."""
    try:
        pieces = urlsplit(redirect_uri)
        usable = pieces.scheme in ("http", "https") and bool(pieces.hostname) and pieces.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("[auth] redirect_uri is not a URL; write it as it is registered for the integration")


async def exchange(endpoint: TokenEndpoint, request: Request, code: Secret) -> Tokens:
    """Trade the code for tokens; a code is good for one try, so there is no second one.

    Raises `AuthError`.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": request.redirect_uri,
        "code_verifier": request.verifier.reveal(),
    }
    try:
        tokens = await endpoint.ask(form)
    except InvalidGrant as refused:
        problem = AuthError(
            "Webex does not take the code (invalid_grant): it is too old, was used already, or [auth] redirect_uri is "
            "not what is registered for the integration; log in again",
            tracking_id=refused.tracking_id,
        )
    except RemoteError as trouble:
        problem = AuthError(f"the code could not be exchanged: {trouble}; log in again")
    else:
        return _renewable(tokens)
    raise problem from None


def read_reply(text: bytes, now: float) -> Tokens:
    """Read a token reply that was had elsewhere, as of a service app; ``now`` is when it is taken to have come.

    An ``expires_at`` (epoch seconds) in it goes before ``expires_in``.  Raises `AuthError` for a
    personal access token, `ConfigError` when it is no token reply.
    """
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        if _BARE_TOKEN.fullmatch(text.strip()):
            raise AuthError(f"this is a bare token: {PERSONAL}")
        raise ConfigError("this is not a token reply: a JSON object with access_token and refresh_token is wanted")
    return _renewable(_dated(reply, now))


def _dated(reply: Mapping[str, object], now: float) -> Tokens:
    try:
        grant = read_grant(reply)
    except InvalidResponse as odd:
        raise ConfigError(str(odd).replace("the token endpoint's reply", "this token reply")) from None
    ends, refresh_ends = (read_number(reply.get(name)) for name in ("expires_at", "refresh_token_expires_at"))
    tokens = granted(grant, now)
    return Tokens(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_at=ends if ends and ends > 0 else tokens.expires_at,
        token_type=tokens.token_type,
        scope=tokens.scope,
        refresh_expires_at=refresh_ends if refresh_ends and refresh_ends > 0 else tokens.refresh_expires_at,
        lifetime_s=tokens.lifetime_s,
    )


def _renewable(tokens: Tokens) -> Tokens:
    if tokens.refresh_token is None:
        raise AuthError(PERSONAL)
    return tokens


async def look_at_store(store: TokenStore) -> None:
    """See that tokens can be put there, before anybody is sent to a browser; none being there is fine.

    Raises `ConfigError` or `RemoteError`.
    """
    try:
        await store.load()
    except AuthError:
        return  # nothing there yet, which is why one logs in; a permission that is missing shows at the end


async def keep(store: TokenStore, tokens: Tokens) -> None:
    """Store tokens as every refresh does; once begun it is carried through.

    What another process stored meanwhile gives way: the user wanted this one.  Raises as `TokenStore.save`.
    """

    async def save() -> None:
        async with store.lock():
            for _ in range(SAVE_TRIES):
                # By refusing, `save` has learnt of the newer version: the next try goes over it.
                with contextlib.suppress(StoreMoved):
                    await store.save(tokens)
                    return
        raise AuthError("another process keeps storing tokens in the same place; end it, and log in again")

    await run_to_completion(save)
