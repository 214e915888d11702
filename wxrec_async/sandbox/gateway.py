"""What stands before every Contact Center API: the Authorization header, scopes, organisation, and the form of a no."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from aiohttp import web

from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.token_service import IssuedToken, TokenService

READERS = (frozenset({"cjp:config"}), frozenset({"cjp:config_read"}))
# Any one of the sets is enough.  Roles are not simulated; the two Identity scopes stand for an administrator.
SCOPES: Mapping[str, tuple[frozenset[str], ...]] = {
    "tasks": READERS,
    "search": READERS,
    "search.meta": READERS,
    # `cjp:config` opens tasks and Search, but not this.
    "captures": (frozenset({"cjp:config_read"}), frozenset({"Identity:SCIM", "Identity:Organization"})),
    "event_types": READERS,
    "subscriptions": READERS,
}


def admitted(call: Call, desk: TokenService) -> IssuedToken:
    """Return who asks.

    Raises Refusal: 400 for no or a malformed header, 401 for a token that is
    unknown or has expired, 403 for one that lacks the scope.
    """
    authorization = call.request.headers.get("Authorization", "")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(400, "400", "Invalid Authorization header")
    grant = desk.check(authorization)
    if grant is None:
        raise Refusal(401, "401", "The access token is expired, revoked, or invalid.")
    wanted, scopes = SCOPES.get(call.operation, ()), set(grant.scope.split())
    if wanted and not any(enough <= scopes for enough in wanted):
        raise Refusal(403, "403", "Access token does not have the required scope")
    return grant


def check_org(asked: object, grant: IssuedToken) -> None:
    """Refuse an organisation that is not the token's."""
    if asked is not None and asked != grant.org_id:
        raise Refusal(403, "403", "The orgId does not belong to the token")


def webex_error(problem: Refusal, call: Call) -> web.Response:
    """Write an error as the gateway does; one that limits the rate has no body, unless the fault says otherwise."""
    tracking = tracking_id(call)
    headers = {"trackingid": tracking}
    if problem.status == 429 and not (call.fault is not None and call.fault.get("body")):
        return web.Response(status=429, headers=headers)
    key = problem.code or str(problem.status)
    body = {"trackingId": tracking, "error": {"key": key, "message": [{"description": problem.message or "Error"}]}}
    return web.json_response(body, status=problem.status, headers=headers)


def tracking_id(call: Call) -> str:
    """Return what support would ask for."""
    return f"SANDBOX_{uuid.uuid5(uuid.NAMESPACE_URL, f'{call.entry.server}/{call.entry.number}')}"
