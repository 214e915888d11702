"""Pages of contacts from Search, the second list: optional, because some organisations do not have it."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx

from wxrec_async.config import WebexSettings
from wxrec_async.errors import Rejected
from wxrec_async.events import Emit, ignore
from wxrec_async.model import SearchPage, Window
from wxrec_async.plumbing.retrying import GivenUp, Retrier
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.calls import ApiCalls
from wxrec_async.webex.search_wire import SearchRefused, read_search, search_body

ABSENT = (400, 403, 404, 405, 501)
REFUSALS = 3


def search_url(settings: WebexSettings, org_id: str) -> str:
    """Return where Search is: at the root, without a version."""
    query = f"?{urlencode({'orgId': org_id})}" if org_id else ""
    return f"{settings.api_root}/search{query}"


class TaskSearch:
    """Asks for pages; safe to be used by any number of workers.

    ``http`` and ``retrier`` are those of the other calls to the API: one budget,
    one token, one judgement of failures.
    """

    def __init__(
        self, http: httpx.AsyncClient, settings: WebexSettings, *, org_id: str, retrier: Retrier, emit: Emit = ignore
    ) -> None:
        self._calls, self._retrier = ApiCalls(http, emit=emit), retrier
        self._url = search_url(settings, org_id)

    async def search_page(self, window: Window, cursor: str = "") -> SearchPage:
        """Return one page of the contacts created in ``window``, up to 250 in no promised order.

        ``cursor`` is the one of the page before.  Raises `AuthError` and
        `RunStopped`, and `GivenUp`: with ``GiveUp("search_refused")`` when Search
        is not there, not ours to use, or answers with errors again and again
        (GraphQL tells them with status 200), else as the other calls.
        """
        refused = 0

        async def attempt() -> SearchPage:
            nonlocal refused
            try:
                answer = await self._calls.post(self._url, search_body(window, cursor), tracked=True)
                return read_search(answer.body)
            except SearchRefused as refusal:
                refused += 1
                if refused < REFUSALS:
                    raise
                raise GivenUp(GiveUp("search_refused"), refusal) from None
            except Rejected as refusal:
                # 403 to this call alone is no reason to end a run: the other calls have the permission they need.
                if refusal.status not in ABSENT:
                    raise
                raise GivenUp(GiveUp("search_refused"), refusal) from None

        return await self._retrier.run("search", attempt)
