"""Pages of contacts from Search, the second list.  It may be absent, or refuse us: what rests on it then says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeVar
from urllib.parse import urlencode

import httpx

from wxrec_async.config import WebexSettings
from wxrec_async.errors import HTTPStatusError
from wxrec_async.events import Emit, ignore
from wxrec_async.model import SearchCounts, SearchPage, Window
from wxrec_async.plumbing.retrying import OperationFailed, Retrier
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.calls import ApiCalls, read_apart
from wxrec_async.webex.search_parse import (
    LISTING,
    SORTED,
    WITNESS,
    SearchRefused,
    count_body,
    read_counts,
    read_search,
    search_body,
    unknown_fields,
)

T = TypeVar("T")

ABSENT = (404, 405, 501)
REFUSED = (400, 403)
REFUSALS = 3
FORBIDDEN = 403


def search_url(settings: WebexSettings, org_id: str) -> str:
    """Return where Search is: at the root, without a version."""
    query = f"?{urlencode({'orgId': org_id})}" if org_id else ""
    return f"{settings.api_root}/search{query}"


async def without_unknown_fields(ask: Callable[[], Awaitable[T]], left_out: set[str], fields: Collection[str]) -> T:
    """Ask until Search knows every field that is asked for: those of ``fields`` that it does not get ``left_out``.

    Raises what ``ask`` does when the refusal names no such field.
    """
    while True:
        try:
            return await ask()
        except SearchRefused as refusal:
            unknown = unknown_fields(refusal.words, left_out, fields)
            if not unknown:
                raise
        except HTTPStatusError as refusal:
            # Met live as a 400; as GraphQL has it, it comes with 200 (above).
            unknown = unknown_fields(refusal.words, left_out, fields) if refusal.status in REFUSED else set()
            if not unknown:
                raise
        # At least one field less each time, so this ends.
        left_out |= unknown


class TaskSearch:
    """Asks for pages; safe to be used by any number of workers.

    ``http`` and ``retrier`` are those of the other calls to the API: one budget,
    one token, one judgement of failures.  A field that this Search does not know
    is left out from then on, it alone; what it would have told is not known then.
    ``fields`` is what is asked for: of a witness, or of the list itself.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        settings: WebexSettings,
        *,
        org_id: str,
        retrier: Retrier,
        emit: Emit = ignore,
        fields: Mapping[str, str] = WITNESS,
    ) -> None:
        self._calls, self._retrier, self._fields = ApiCalls(http, emit=emit), retrier, fields
        self._channel_types = settings.channel_types
        self._url = search_url(settings, org_id)
        self._left_out: set[str] = set()

    @property
    def answered(self) -> bool:
        """Whether Search has answered anything yet, be it a refusal."""
        return self._calls.answered

    async def search_page(self, window: Window, cursor: str = "") -> SearchPage:
        """Return one page of the contacts created in ``window``, up to 250 in no promised order.

        ``cursor`` is the one of the page before.  Raises `AuthError` and
        `RunStopped`, and `OperationFailed`: with ``GiveUp("search_absent")`` when there is
        no Search, ``GiveUp("search_refused")`` when it is not ours to use or
        answers with nothing but errors again and again (GraphQL tells them with
        status 200), else as the other calls.  Errors beside rows that do not pass
        are the page's ``trouble``.
        """
        return await self._tried(lambda partial: self._ask(window, cursor, partial=partial))

    async def search_ids(self, window: Window, task_ids: Collection[str]) -> SearchPage:
        """Return those of up to 250 contacts, by id, that were created in ``window``; raises as `search_page`."""
        return await self._tried(lambda partial: self._ask(window, "", task_ids, partial=partial))

    async def count(self, window: Window) -> SearchCounts:
        """Return what Search counts in ``window``, one call however much that is; raises as `search_page`."""

        async def ask(_partial: bool) -> SearchCounts:
            answer = await self._calls.post(self._url, count_body(window, self._channel_types), tracked=True)
            return await read_apart(answer.body, read_counts)

        return await self._tried(ask)

    async def _tried(self, ask: Callable[[bool], Awaitable[T]]) -> T:
        """Ask until there is an answer; ``ask`` is told whether to take one with errors beside its rows."""
        refusals = 0

        async def attempt() -> T:
            nonlocal refusals
            try:
                return await ask(refusals + 1 >= REFUSALS)
            except SearchRefused as refusal:
                refusals += 1
                if refusals < REFUSALS:
                    raise
                raise OperationFailed(GiveUp("search_refused"), refusal) from None
            except HTTPStatusError as refusal:
                if refusal.status == FORBIDDEN and not refusals:
                    # The next refusal is the last, of whichever kind.
                    refusals = REFUSALS - 1
                    raise SearchRefused(str(refusal)) from None  # once more: it may be a gateway's slip
                # 403 to this call alone is no reason to end a run: the other calls have the permission they need.
                reason = "search_absent" if refusal.status in ABSENT else "search_refused"
                if refusal.status in ABSENT + REFUSED:
                    raise OperationFailed(GiveUp(reason), refusal) from None
                raise

        return await self._retrier.run("search", attempt)

    async def _ask(self, window: Window, cursor: str, ids: Collection[str] = (), *, partial: bool) -> SearchPage:
        """Ask for what this Search knows of the fields; ``partial``: take what is there."""

        async def ask() -> SearchPage:
            body = search_body(window, cursor, self._left_out, fields=self._fields, ids=ids)
            answer = await self._calls.post(self._url, body, tracked=True)
            return _whole(await read_apart(answer.body, read_search), partial=partial)

        return await without_unknown_fields(ask, self._left_out, (*LISTING, SORTED))


def _whole(page: SearchPage, *, partial: bool) -> SearchPage:
    """Refuse a page with errors beside its rows, unless it is better than nothing."""
    if page.trouble and not partial:
        raise SearchRefused(page.trouble, page.trouble)
    return page
