"""webexapis.com: the authorize page (which says yes at once) and the token endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web

from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.gateway import tracking_id, webex_error
from wxrec_async.sandbox.token_service import GrantError, TokenService

# Stands for the addresses that were registered with the integration.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(slots=True)
class AuthService:
    """The service on the auth port."""

    desk: TokenService
    name: str = "auth"

    async def classify(self, call: Call) -> tuple[str, str]:
        request = call.request
        match request.method, request.path:
            case "POST", "/v1/access_token":
                call.detail = dict(parse_qsl(await request.text(), keep_blank_values=True))
                return "token", _number(call.detail)
            case "GET", "/v1/authorize":
                return "authorize", ""
        raise Refusal(404, "not_found", "The requested resource could not be found.")

    async def answer(self, call: Call) -> web.StreamResponse:
        if wrong := call.wrong("truncated_json", "json"):
            text = wrong.get("text", "null") if wrong.kind == "json" else '{"access_token":"'
            return web.Response(text=text, content_type="application/json")
        if call.operation == "authorize":
            return self._authorize(call.request.query)
        # Documented as form-encoded; whether Webex takes JSON as well is not known.
        if call.request.content_type != "application/x-www-form-urlencoded":
            raise Refusal(415, "invalid_request", "The token endpoint takes a form.")
        try:
            return web.json_response(self.desk.exchange(call.detail), headers={"Cache-Control": "no-store"})
        except GrantError as refused:
            raise Refusal(400, refused.error, refused.description) from None

    def _authorize(self, query: Mapping[str, str]) -> web.Response:
        redirect = query.get("redirect_uri", "")
        # These two are refused on the page itself: before client and address are known to be right, nobody may be
        # redirected anywhere (RFC 6749, 4.1.2.1).
        if query.get("client_id") != self.desk.client_id:
            raise Refusal(400, "invalid_client", "The client is not known.")
        if urlsplit(redirect).hostname not in LOOPBACK:
            raise Refusal(400, "invalid_request", "The redirect_uri is not registered.")
        if query.get("response_type") != "code":
            return _back(redirect, {"error": "unsupported_response_type"}, query)
        # S256 is the method Webex is known to take.
        if query.get("code_challenge") and query.get("code_challenge_method") != "S256":
            return _back(redirect, {"error": "invalid_request"}, query)
        if self.desk.deny_login:
            return _back(redirect, {"error": "access_denied", "error_description": "The user said no."}, query)
        # Nobody is asked: the page stands for a user who has logged in and agrees.
        code = self.desk.authorize(redirect, query.get("code_challenge", ""), query.get("scope", ""))
        return _back(redirect, {"code": code}, query)

    def refusal(self, problem: Refusal, call: Call) -> web.Response:
        """Refuse in OAuth's shape, server errors in Webex's."""
        if problem.status >= 500:
            return webex_error(problem, call)
        body = {"error": problem.code, "error_description": problem.message}
        headers = {"trackingid": tracking_id(call)}
        return web.json_response(body, status=problem.status, headers=headers)


def _number(form: Mapping[str, str]) -> str:
    """Name a grant without naming the token: its kind and the number in it."""
    token = form.get("refresh_token") or form.get("code") or ""
    number = token.rpartition("-")[2]
    return f"{form.get('grant_type', '')}-{number if number.isdigit() else 'unknown'}"


def _back(redirect: str, answer: dict[str, str], query: Mapping[str, str]) -> web.Response:
    if "state" in query:
        answer["state"] = query["state"]
    joint = "&" if urlsplit(redirect).query else "?"
    return web.Response(status=302, headers={"Location": f"{redirect}{joint}{urlencode(answer)}"})
