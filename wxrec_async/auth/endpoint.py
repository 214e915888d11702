"""The token endpoint: one form-encoded POST, one answer read with suspicion."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping

import anyio
import httpx

from wxrec_async.auth.bounded_read import beginning, unpacked
from wxrec_async.auth.token_values import LOGIN_HINT, Credentials, Tokens, granted
from wxrec_async.errors import (
    AuthError,
    ConnectError,
    ConnectionLost,
    HTTPStatusError,
    InvalidResponse,
    RemoteError,
    TimedOut,
    TLSError,
    WxrecError,
)
from wxrec_async.events import Emit, Warned
from wxrec_async.model import Secret
from wxrec_async.rules.retry import RETRYABLE_STATUS, retry_after_s
from wxrec_async.rules.tokens import read_grant, server_words

REPLY_LIMIT = 64 << 10  # bytes; a real reply is under two thousand
ANSWER_WITHIN_S = 30.0
_NO_SECRETS = ("grant_type", "redirect_uri", "scope")
_TRY_LATER = RETRYABLE_STATUS | {429}


class InvalidGrant(AuthError):
    """The refresh token is dead."""


class TokenEndpoint:
    """Asks ``token_url`` (``{auth_url}/access_token``) for tokens; never retries.

    ``client`` is handed in and stays the caller's; its own ``auth`` is not used here.
    """

    def __init__(
        self,
        credentials: Credentials,
        client: httpx.AsyncClient,
        token_url: str,
        emit: Emit,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._credentials, self._client, self._emit, self._now = credentials, client, emit, now
        self._url = httpx.URL(token_url)

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Trade the refresh token for new tokens.

        Raises `InvalidGrant` when it is dead, `AuthError` on any other refusal, `RemoteError`
        when asking again may help.
        """
        if tokens.refresh_token is None:
            raise AuthError(f"there is no refresh token; {LOGIN_HINT}")
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token.reveal()}
        return await self.ask(form, tokens)

    async def ask(self, form: Mapping[str, str], previous: Tokens | None = None) -> Tokens:
        """POST ``form`` with the client's credentials; what the reply leaves out is kept from ``previous``.

        Raises as `refresh` does.
        """
        sent = {**form, "client_id": self._credentials.client_id, "client_secret": self._secret}
        status, headers, body = await self._post(sent)
        if not 200 <= status < 300:
            # Masking anything shorter would mask words that are no secrets.
            known = [Secret(value) for name, value in sent.items() if name not in _NO_SECRETS and len(value) > 7]
            raise _refusal(status, headers, body, known)
        grant = read_grant(_decoded(body))
        if grant.warning:
            self._emit(Warned("token_lifetime_unknown", grant.warning))
        return granted(grant, self._now(), previous)

    @property
    def _secret(self) -> str:
        return self._credentials.client_secret.reveal()

    async def _post(self, form: Mapping[str, str]) -> tuple[int, httpx.Headers, bytes]:
        try:
            # httpx's own limits are for each read: a byte now and then would never end.
            with anyio.fail_after(ANSWER_WITHIN_S):
                return await self._exchange(form)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, TimeoutError) as error:
            problem = translate(error, self._url.host)
        raise problem  # outside the handler: httpx's exceptions carry the request, and with it the secrets

    async def _exchange(self, form: Mapping[str, str]) -> tuple[int, httpx.Headers, bytes]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        request = self._client.build_request("POST", self._url, data=dict(form), headers=headers)
        # auth=None: a client that signs with these very tokens would wait for itself.
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        try:
            return response.status_code, response.headers, await _read(response)
        finally:
            await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    """Read a body up to the limit; a longer one is cut, and then makes no sense as JSON."""
    if response.is_stream_consumed:  # a transport that hands on whole answers
        return response.content[:REPLY_LIMIT]
    body = await beginning(response.aiter_raw(), REPLY_LIMIT)
    return unpacked(body, response.headers.get("Content-Encoding", ""), REPLY_LIMIT)


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None  # not raised from here: the decoder's exception carries the body


def _refusal(status: int, headers: httpx.Headers, body: bytes, secrets: Iterable[Secret]) -> WxrecError:
    data = _decoded(body)
    facts: Mapping[str, object] = data if isinstance(data, dict) else {}
    tracking = headers.get("trackingid") or facts.get("trackingId")
    tracking_id = server_words(str(tracking), secrets) if tracking else None
    code = server_words(str(facts.get("error") or ""), secrets) if isinstance(facts.get("error"), str) else ""
    words = server_words(_description(facts), secrets)
    # First: whatever the body says, a server in trouble has not judged the token.
    if status in _TRY_LATER or status >= 500:
        wait = retry_after_s(headers.get("retry-after"), server_date=headers.get("date"), now_s=time.time())
        return HTTPStatusError(status, code=code, words=words, retry_after_s=wait, tracking_id=tracking_id)
    said = " ".join(filter(None, [str(status), code, words, f"(trackingid {tracking_id})" if tracking_id else ""]))
    # Only this says that the token is dead; the other refusals may be about the client.
    if status == 400 and code == "invalid_grant":
        return InvalidGrant(f"Webex refuses the refresh token ({said}): {LOGIN_HINT}", tracking_id=tracking_id)
    return AuthError(f"the token endpoint refuses to renew the token ({said})", tracking_id=tracking_id)


def _description(facts: Mapping[str, object]) -> str:
    """Return the server's words: OAuth's ``error_description``, or Webex's ``message`` and ``errors``."""
    found = [facts.get("error_description"), facts.get("message")]
    errors = facts.get("errors")
    if isinstance(errors, list):
        found += [error.get("description") for error in errors if isinstance(error, dict)]
    return "; ".join(text for text in found if isinstance(text, str) and text)


def translate(error: Exception, host: str) -> RemoteError:
    """Turn a failure of the HTTP client into ours; no text of it is kept, it can hold a URL."""
    match error:
        case httpx.TimeoutException() | TimeoutError():
            return TimedOut(f"{host} did not answer in time", host=host)
        case httpx.ConnectError() if getattr(error, "untrusted", False):  # our transport's word for it
            return TLSError(f"the TLS certificate of {host} was refused", host=host)
        case httpx.ConnectError():
            return ConnectError(f"no connection to {host} could be made", host=host)
        case httpx.RemoteProtocolError() if getattr(error, "bad_head", False):
            return InvalidResponse(f"{host} answered with a head that is not HTTP", host=host)
        case httpx.DecodingError() | httpx.TooManyRedirects():
            return InvalidResponse(f"{host} sent an answer that cannot be read", host=host)
        case _:
            return ConnectionLost(f"the connection to {host} broke before the answer was whole", host=host)
