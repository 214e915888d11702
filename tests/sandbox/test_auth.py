"""Tokens are minted, rotated and refused as the token endpoint does it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from wxrec_async.sandbox.token_service import Rotation, s256

from .kit import Webex

pytestmark = pytest.mark.anyio
VERIFIER = "v" * 50
CALLBACK = "http://127.0.0.1:8080/callback"


async def test_a_refresh_brings_a_working_token_of_the_organisation(webex: Webex) -> None:
    """The reply has the documented fields, and the token ends in the organisation's id."""
    reply = (await webex.refresh()).json()
    assert set(reply) == {"access_token", "expires_in", "refresh_token", "refresh_token_expires_in", "token_type"}
    assert reply["access_token"].endswith(f"_{webex.sandbox.org_id}")
    webex.sandbox.tokens = reply
    assert (await webex.tasks()).status_code == 200


@pytest.mark.parametrize(
    ("rotation", "second", "changes"),
    [("old_stays_valid", 200, True), ("old_revoked", 400, True), ("same", 200, False), ("omitted", 200, None)],
)
async def test_rotation_follows_the_policy(webex: Webex, rotation: Rotation, second: int, changes: bool | None) -> None:
    """The old refresh token lives on, dies, is handed out again or is left out of the reply."""
    webex.sandbox.desk.rotation = rotation
    first = (await webex.refresh()).json()
    new = first.get("refresh_token")
    assert (new is None) == (changes is None)
    if new is not None:
        assert (new != webex.sandbox.tokens["refresh_token"]) == changes
    again = await webex.refresh()
    assert again.status_code == second
    if second == 400:
        assert again.json()["error"] == "invalid_grant"


async def test_a_wrong_secret_and_a_wrong_grant_are_refused(webex: Webex) -> None:
    """OAuth's errors come back as OAuth says them."""
    assert (await webex.refresh(client_secret="guess")).json()["error"] == "invalid_client"
    assert (await webex.refresh(grant_type="password")).json()["error"] == "unsupported_grant_type"
    assert (await webex.refresh(refresh_token="CANARY-RT-99")).json()["error"] == "invalid_grant"


async def login(webex: Webex, **query: str) -> dict[str, str]:
    asked = {
        "response_type": "code",
        "client_id": webex.sandbox.client_id,
        "redirect_uri": CALLBACK,
        "scope": "cjp:config",
        "state": "xyz",
        "code_challenge": s256(VERIFIER),
        "code_challenge_method": "S256",
    } | query
    answer = await webex.http.get(f"{webex.sandbox.auth_url}/authorize", params=asked)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{CALLBACK}?")
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


async def test_a_login_hands_out_a_code_that_works_once_with_its_verifier(webex: Webex) -> None:
    """State comes back, PKCE is checked, and a code is good for one exchange."""
    for verifier, status in (("wrong", 400), (VERIFIER, 200)):
        back = await login(webex)
        assert back["state"] == "xyz"
        form = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": CALLBACK}
        assert (await webex.refresh(**form, code_verifier=verifier)).status_code == status
        assert (await webex.refresh(**form, code_verifier=verifier)).status_code == 400


async def test_a_login_can_be_denied_or_be_of_another_tenant(webex: Webex) -> None:
    """Both things that happen to users can be played."""
    webex.sandbox.desk.login_org = "elsewhere"
    code = (await login(webex))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    assert (await webex.refresh(**form)).json()["access_token"].endswith("_elsewhere")
    webex.sandbox.desk.deny_login = True
    assert (await login(webex))["error"] == "access_denied"


async def test_a_redirect_off_this_machine_is_not_served(webex: Webex) -> None:
    """The sandbox never sends a browser anywhere else."""
    query = {"client_id": webex.sandbox.client_id, "redirect_uri": "https://example.com/", "response_type": "code"}
    assert (await webex.http.get(f"{webex.sandbox.auth_url}/authorize", params=query)).status_code == 400
