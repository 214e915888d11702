"""The request that is made and the answers that are taken: values only."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import urlencode

import pytest

from wxrec_async.auth import authorization_code as oauth
from wxrec_async.errors import AuthError, ConfigError
from wxrec_async.model import Secret

from .kit import query_of, request_for

CALLBACK = "http://127.0.0.1:8080/callback"
T0 = 1_800_000_000.0
REPLY = {"access_token": "at-1", "refresh_token": "rt-1", "expires_in": 1_209_599, "refresh_token_expires_in": 100}


def test_the_url_asks_for_a_code_with_pkce_state_and_the_five_scopes() -> None:
    """Everything of webex-api.md is in it, the challenge is S256 of the verifier, and neither secret is."""
    request = request_for()
    said = query_of(request.url)
    digest = hashlib.sha256(request.verifier.reveal().encode()).digest()
    assert said == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": CALLBACK,
        "scope": "spark-admin:recordings_read spark-admin:recordings_write spark:kms cjp:config cjp:config_read",
        "state": request.state.reveal(),
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    assert request.verifier.reveal() not in request.url
    assert request.state.reveal() not in repr(request)


def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert oauth.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_no_two_requests_share_a_secret() -> None:
    """State and verifier are drawn anew, the verifier as long as RFC 7636 wants it."""
    requests = [request_for() for _ in range(50)]
    assert len({request.state.reveal() for request in requests}) == 50
    assert len({request.verifier.reveal() for request in requests}) == 50
    assert all(43 <= len(request.verifier.reveal()) <= 128 for request in requests)


def _answers(state: str, **more: str) -> list[str]:
    query = urlencode({"state": state} | more)
    return [f"{CALLBACK}?{query}", f"/callback?{query}", f"?{query}", query, f"  {CALLBACK}?{query}#_ \n"]


def test_a_code_is_found_in_every_form_it_may_be_pasted_in() -> None:
    """The whole address, its end, its query, and the bare code."""
    request = request_for()
    for answer in _answers(request.state.reveal(), code="the-code"):
        assert oauth.code_from(request, answer).reveal() == "the-code"
    assert oauth.code_from(request, " the-code\n").reveal() == "the-code"


@pytest.mark.parametrize("state", ["", "another", "STATE"])
def test_an_answer_with_another_state_is_refused(state: str) -> None:
    """Whoever made up the address does not know the state; nothing of it is repeated."""
    request = request_for()
    foreign = request.state.reveal().swapcase() if state == "STATE" else state
    for answer in _answers(foreign, code="CANARY-CODE"):
        with pytest.raises(AuthError, match="does not belong to this login") as refused:
            oauth.code_from(request, answer)
        assert "CANARY" not in str(refused.value)


@pytest.mark.parametrize("doubled", ["code", "state"])
def test_a_parameter_given_twice_is_not_chosen_from(doubled: str) -> None:
    """Two codes or two states: neither is taken."""
    request = request_for()
    answer = f"{CALLBACK}?state={request.state.reveal()}&code=one&{doubled}=two"
    with pytest.raises(AuthError, match="does not belong to this login"):
        oauth.code_from(request, answer)


@pytest.mark.parametrize("answer", ["", "   ", "a code with blanks", "ü", "\x00"])
def test_what_cannot_be_a_code_is_refused(answer: str) -> None:
    """Said in one line."""
    with pytest.raises(AuthError, match="paste the whole address"):
        oauth.code_from(request_for(), answer)


def test_a_denial_is_told_in_the_servers_words_without_secrets() -> None:
    """error and error_description, and no state that the server repeats in them."""
    request = request_for()
    state = request.state.reveal()
    for answer in _answers(state, error="access_denied", error_description=f"No, {state}."):
        with pytest.raises(AuthError, match=r"access_denied \(No, ") as refused:
            oauth.code_from(request, answer)
        assert state not in str(refused.value)


@pytest.mark.parametrize("uri", ["", "callback", "ftp://host/", "http://", "http://127.0.0.1:0/", "http://h:x/"])
def test_a_redirect_uri_that_is_none_is_refused(uri: str) -> None:
    """Before anybody is sent anywhere."""
    with pytest.raises(ConfigError, match="redirect_uri is not a URL"):
        oauth.check_redirect_uri(uri)


def test_a_token_reply_is_read_with_its_lifetimes() -> None:
    """expires_in counts from now; an expires_at that is written in goes before it."""
    tokens = oauth.read_reply(json.dumps(REPLY).encode(), T0)
    assert (tokens.expires_at, tokens.refresh_expires_at) == (T0 + 1_209_599, T0 + 100)
    dated = oauth.read_reply(json.dumps(REPLY | {"expires_at": T0 + 5}).encode(), T0)
    assert dated.expires_at == T0 + 5


@pytest.mark.parametrize("reply", [b"CANARY-AT-1_0a1b2c3d-1111\n", json.dumps({"access_token": "CANARY-AT"}).encode()])
def test_a_personal_token_is_recognised_and_its_limits_said(reply: bytes) -> None:
    """Bare or in JSON, without a refresh token: twelve hours, and no backfill."""
    with pytest.raises(AuthError, match="personal access token") as refused:
        oauth.read_reply(reply, T0)
    assert "12 hours" in str(refused.value)
    assert "CANARY" not in str(refused.value)


@pytest.mark.parametrize("reply", [b"", b"[]", b"{}", b"<html> CANARY </html>", b'{"access_token": 5}', b"\xff \xfe"])
def test_what_is_no_token_reply_is_refused(reply: bytes) -> None:
    """And not repeated."""
    with pytest.raises(ConfigError, match="token reply") as refused:
        oauth.read_reply(reply, T0)
    assert "CANARY" not in str(refused.value)
