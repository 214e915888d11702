"""Whose token this is, asked of Webex itself: the tasks of one millisecond, whose answer names its organisation.

It is the one documented call that proves token, region and organisation at once;
``/organization/{id}`` is in no specification of Cisco's.
"""

from __future__ import annotations

from wxrec_async.config import WebexSettings
from wxrec_async.errors import InvalidResponse
from wxrec_async.model import MINUTE_MS
from wxrec_async.webex.calls import ApiCalls
from wxrec_async.webex.completeness import errors_in
from wxrec_async.webex.lenient import as_dict, as_text
from wxrec_async.webex.parse import answer_of


async def answering_org(calls: ApiCalls, settings: WebexSettings, org_id: str, now_ms: int) -> str:
    """Ask in the name of ``org_id`` ("": the token's); return the organisation that answers, "" when it is not said.

    Raises `AuthError` when that is another one, `InvalidResponse` when what answers is not Webex, else as `ApiCalls`.
    """
    # A minute ago: by a clock that is ahead the present would be the servers' future, and refused.
    params: dict[str, str | int] = {"from": now_ms - MINUTE_MS, "to": now_ms - MINUTE_MS + 1, "pageSize": 1}
    if org_id:
        params["orgId"] = org_id
    answer = await calls.get(f"{settings.api_url}/tasks", params)
    if not answer.body:
        return ""
    said = answer_of(answer.body, org_id)
    if not isinstance(said.get("data"), list) or errors_in(said):
        raise InvalidResponse(f"what answers is not Webex: check {settings.api_url}")
    return as_text(as_dict(said.get("meta")).get("orgId")) or ""
