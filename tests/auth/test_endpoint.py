"""One POST to the token endpoint, and what its failures are called."""

from __future__ import annotations

import httpx
import pytest
import respx

from tests.auth.auth_kit import CREDENTIALS, T0, TOKEN_URL, shown, tree
from wxrec_async.auth.endpoint import TokenEndpoint
from wxrec_async.errors import ConnectError, ConnectionLost, HTTPStatusError, InvalidResponse, RemoteError, TimedOut
from wxrec_async.events import ignore
from wxrec_async.model import Secret

pytestmark = pytest.mark.anyio

FORM = {"grant_type": "authorization_code", "code": "CANARY-CODE-1", "redirect_uri": "http://127.0.0.1:8080/callback"}


def endpoint(client: httpx.AsyncClient) -> TokenEndpoint:
    return TokenEndpoint(CREDENTIALS, client, TOKEN_URL, ignore, now=lambda: T0)


async def test_any_grant_is_asked_for_as_a_form_with_the_clients_identity() -> None:
    """The authorization code's too; the redirect is not followed and no token is sent along."""
    router = respx.MockRouter()
    reply = {"access_token": "at", "refresh_token": "rt", "expires_in": 60, "refresh_token_expires_in": 120}
    route = router.post(TOKEN_URL).respond(json=reply)
    async with httpx.AsyncClient(transport=httpx.MockTransport(router.async_handler)) as client:
        tokens = await endpoint(client).ask(FORM)
    request = route.calls.last.request
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in request.headers
    assert "code=CANARY-CODE-1&" in request.content.decode()
    assert (tokens.access_token, tokens.refresh_token) == (Secret("at"), Secret("rt"))
    assert (tokens.expires_at, tokens.refresh_expires_at, tokens.lifetime_s) == (T0 + 60, T0 + 120, 60)


@pytest.mark.fault("T03", "T16", "X04")
@pytest.mark.parametrize(
    ("effect", "kind"),
    [
        (httpx.ConnectError("CANARY"), ConnectError),
        (httpx.ConnectTimeout("CANARY"), TimedOut),
        (httpx.ReadTimeout("CANARY"), TimedOut),
        (httpx.ReadError("CANARY"), ConnectionLost),
        (httpx.RemoteProtocolError("CANARY"), ConnectionLost),
        (httpx.Response(502, text="CANARY"), HTTPStatusError),
        (httpx.Response(200, text="CANARY"), InvalidResponse),
        (
            httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"CANARY")),
            InvalidResponse,
        ),
    ],
)
async def test_a_failure_comes_out_as_ours_with_nothing_of_the_request_behind_it(
    effect: httpx.Response | Exception, kind: type[RemoteError]
) -> None:
    """The HTTP client's exceptions hold the form, and with it every secret; none is chained."""
    router = respx.MockRouter()
    router.post(TOKEN_URL).mock(side_effect=[effect])
    async with httpx.AsyncClient(transport=httpx.MockTransport(router.async_handler)) as client:
        with pytest.raises(kind) as failed:
            await endpoint(client).ask(FORM)
    assert list(tree(failed.value)) == [failed.value]
    assert "CANARY" not in shown(failed.value)


async def test_a_refused_code_comes_with_the_servers_words_and_none_of_ours() -> None:
    """What was sent is masked, should the server repeat it."""
    words = f"code CANARY-CODE-1 of {CREDENTIALS.client_secret.reveal()} is used"
    router = respx.MockRouter()
    router.post(TOKEN_URL).respond(
        429, json={"error": "slow_down", "error_description": words}, headers={"Retry-After": "9"}
    )
    async with httpx.AsyncClient(transport=httpx.MockTransport(router.async_handler)) as client:
        with pytest.raises(HTTPStatusError) as failed:
            await endpoint(client).ask(FORM)
    assert failed.value.retry_after_s == 9
    assert "is used" in str(failed.value)
    assert "CANARY" not in shown(failed.value)
