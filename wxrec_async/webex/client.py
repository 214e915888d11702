"""Task pages and captures from the Webex Contact Center API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlsplit

import anyio
import httpx

from wxrec_async.config import WebexSettings
from wxrec_async.errors import AuthError, HTTPStatusError, InvalidResponse, RemoteError
from wxrec_async.events import Emit, Warned, ignore
from wxrec_async.model import Capture, Kind, Recording, TaskPage, Window
from wxrec_async.plumbing.retrying import OperationFailed, Retrier
from wxrec_async.rules.identity import same_recording
from wxrec_async.rules.ids import canonical
from wxrec_async.rules.media_urls import is_loopback_url, media_url_problem
from wxrec_async.rules.retry import GiveUp
from wxrec_async.rules.server_time import latest_end_ms
from wxrec_async.webex.bisection import FORBIDDEN, HOPELESS, Bisection, Enough, forbids_ids, reason_of
from wxrec_async.webex.calls import CAPTURES_CAP, LIST_CAP, ApiCalls, ApiReply, read_apart
from wxrec_async.webex.parse import UrlLease, read_captures, read_tasks

# Both documented: ids in one query, and the longest life of a URL.
MAX_BATCH = 10
BAD_REQUEST = 400
URL_MINUTES = 60


@dataclass(frozen=True, slots=True)
class CapturesAnswer:
    """What became of the ids asked for: each is in exactly one of the two.

    ``captures`` has every id that was answered (no recordings is an answer);
    ``failed`` maps the others to a stable reason word.
    """

    captures: dict[str, Capture] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class WebexClient:
    """Asks for task pages and captures; safe to be used by any number of workers.

    ``http`` brings its own authorisation (a 401 that comes out of it is final)
    and its own pacing, ``retrier`` judges with `rules.retry.for_api`.  Every
    method may raise `AuthError` and `RunStopped`.
    """

    def __init__(  # noqa: PLR0913 - three of them are limits and a clock with defaults
        self,
        http: httpx.AsyncClient,
        settings: WebexSettings,
        *,
        org_id: str,
        retrier: Retrier,
        emit: Emit = ignore,
        deadline_s: float = 30.0,
        body_cap: int = LIST_CAP,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._calls = ApiCalls(http, emit=emit, deadline_s=deadline_s, body_cap=body_cap, clock=clock)
        self._clock = clock
        self._settings, self._org_id = settings, org_id
        self._retrier, self._emit = retrier, emit
        self._loopback = is_loopback_url(settings.api_url)
        self._batches_answered = 0
        self._refused_in_row = 0
        self._answered_id = ""
        # Without being asked for they are in no answer, and could not even be counted.
        self._asks_for_screens = True

    @property
    def answered(self) -> bool:
        """Whether Webex has answered anything yet, be it a refusal."""
        return self._calls.answered

    def servers_now_ms(self) -> int:
        """Return what time it is at Webex, rather too early than too late; by our own clock before it has answered."""
        now_ms = self._calls.servers_now_ms
        return round(self._clock() * 1000) if now_ms is None else now_ms

    async def tasks_page(
        self, window: Window, *, from_ms: int, next_link: str | None = None, every_channel: bool = False
    ) -> TaskPage:
        """Ask for one page of the tasks created in ``from_ms <= createdTime < window.to_ms``.

        The documented words are "created after" and "before", so a millisecond
        more is asked for on either side, and a page may show what lies there.
        ``next_link`` is the one of the page before, and goes first;
        ``every_channel`` asks without the filter of channels.  Raises
        `OperationFailed`: its ``decision`` is ``GiveUp("http_400")`` or another status
        (400, 413, 422 and ``answer_too_large`` speak of the window, which may be
        halved), or ``GiveUp("retries_exhausted")``.
        """

        async def attempt() -> TaskPage:
            # As it is: what stands behind its link only the server knows.
            if next_link:
                answer = await self._calls.get(next_link)
            elif (params := self._task_params(window, from_ms, every_channel=every_channel)) is None:
                return TaskPage((), 0)  # by the servers' clock all of it lies in the future
            else:
                answer = await self._ask_tasks(params)
            read = partial(read_tasks, tracking_id=answer.tracking_id, org_id=self._org_id)
            page, odd = await read_apart(answer.body, read)
            self._warn(odd)
            return self._with_safe_link(page)

        return await self._retrier.run("tasks", attempt)

    async def _ask_tasks(self, params: dict[str, str | int]) -> ApiReply:
        """Ask; when the refusal shows that the servers' clock is behind ours, ask once more up to their now."""
        url = f"{self._settings.api_url}/tasks"
        try:
            return await self._calls.get(url, params)
        except HTTPStatusError as refusal:
            sooner = latest_end_ms(int(params["to"]), self._calls.servers_now_ms)
            # Its `Date` may just have shown that our `to` lay in its future; what is left must still be a window.
            if refusal.status != BAD_REQUEST or not int(params["from"]) < sooner < int(params["to"]):
                raise
        # Not in the handler, and once: a second refusal is about something else.
        return await self._calls.get(url, params | {"to": sooner})

    def _task_params(self, window: Window, from_ms: int, *, every_channel: bool) -> dict[str, str | int] | None:
        params: dict[str, str | int] = {
            "from": from_ms - 1,
            "to": latest_end_ms(window.to_ms + 1, self._calls.servers_now_ms),
            "pageSize": self._settings.page_size,
        }
        if int(params["to"]) <= from_ms:
            return None
        if not every_channel:
            params["channelTypes"] = ",".join(self._settings.channel_types)
        if self._org_id:
            params["orgId"] = self._org_id
        return params

    def _with_safe_link(self, page: TaskPage) -> TaskPage:
        """Drop a next link that would carry our token to another place."""
        # Chained: both origins are the same, and there is one (two links that cannot be read are alike as well).
        if page.next_link is None or _origin(page.next_link) == _origin(self._settings.api_url) is not None:
            return page
        self._emit(Warned("next_link_ignored", "Webex named a next page at another host; it was not followed"))
        return replace(page, next_link=None)

    async def captures(self, task_ids: Sequence[str]) -> CapturesAnswer:
        """Ask for the recordings of 1 to 10 different tasks, with fresh URLs.

        A batch that fails as a whole is halved until the id at fault stands
        alone, so one poisonous id does not take nine others with it, and neither
        does one that is not ours to see.  Raises ValueError for any other number
        of ids, or repeated ones; `AuthError` where every id is refused; never `OperationFailed`.
        """
        _check_batch(task_ids)
        # Where nothing was ever answered and there is no other id to compare with, a 403 is judged by `rules.retry`.
        ask = self._ask_alone if len(task_ids) == 1 and not self._batches_answered else self._ask_batch
        bisection = Bisection(ask, lambda: self._batches_answered)
        await bisection.ask(task_ids)
        if self._is_flag_refused(bisection.failed):
            # The flag is of 2026-09.  Where it is refused, audio is worth more than a count of what is left alone.
            self._asks_for_screens = False
            bisection = Bisection(ask, lambda: self._batches_answered)
            await bisection.ask(task_ids)
        # No id of any batch was ever let through: then it is not the ids.
        if not self._batches_answered and set(bisection.failed.values()) == {f"http_{FORBIDDEN}"}:
            raise _no_permission(bisection.trouble)
        return CapturesAnswer(bisection.found, bisection.failed)

    def _is_flag_refused(self, failed: Mapping[str, str]) -> bool:
        """Say whether it may be the question for screen recordings that is refused, which only serves to count them."""
        only_counted = self._asks_for_screens and Kind.SCREEN not in self._settings.other_kinds
        return only_counted and not self._batches_answered and set(failed.values()) == {f"http_{BAD_REQUEST}"}

    async def captures_once(self, task_ids: Sequence[str]) -> dict[str, Capture]:
        """Ask for 1 to 10 different tasks in one call, for hosts that halve a failing batch themselves.

        Raises ValueError as `captures`, and `OperationFailed` when this call will not succeed.
        """
        _check_batch(task_ids)
        return await self._ask_batch(task_ids, lambda _: False)

    async def renew(self, recording: Recording) -> Recording:
        """Return the same recording with a fresh URL.

        Raises `OperationFailed` with a ``GiveUp``: ``missing`` when Webex answers soundly and
        does not name it (alone no proof of a deletion), ``captures_unsettled`` when an
        answer does not name it that proves nothing, ``no_url`` or ``bad_url``, or the
        reason why it could not be asked.
        """
        answer = await self.captures([recording.task_id])
        capture = answer.captures.get(recording.task_id)
        if capture is None:
            raise OperationFailed(
                GiveUp(answer.failed[recording.task_id]), InvalidResponse("no fresh URL could be had")
            )
        named = [fresh for fresh in capture.recordings if same_recording(recording, fresh)]
        for fresh in named:
            if fresh.url is not None:
                # It is known here under the id that told it apart (`rules.identity`), whatever this answer calls it.
                return replace(fresh, id=recording.id, named_as=recording.named_as)
        if named:
            raise OperationFailed(GiveUp(named[0].problem or "no_url"), InvalidResponse("Webex names no usable URL"))
        # Not named is a proof only in an answer that is whole; nor is it one where the id is there as something else.
        if capture.unsettled or any(
            canonical(each.id) == canonical(recording.named_as or recording.id) for each in capture.attachments
        ):
            raise OperationFailed(
                GiveUp("captures_unsettled"), InvalidResponse("Webex's answer does not settle what it has")
            )
        raise OperationFailed(GiveUp("missing"), InvalidResponse("Webex no longer names this recording"))

    async def _ask_alone(self, ids: Sequence[str], _enough: Enough) -> dict[str, Capture]:
        """Ask for the only id, before any was answered: a 403 is as likely a permission that is missing."""
        found = await self._retrier.run("captures", lambda: self._ask_once(ids))
        self._note_answer(ids)
        return found

    async def _ask_batch(self, ids: Sequence[str], enough: Enough) -> dict[str, Capture]:
        """Ask for a batch, again and again as the retrier sees fit, until ``enough`` says of a failure that it is."""

        async def attempt() -> dict[str, Capture]:
            try:
                return await self._ask_once(ids)
            except RemoteError as exc:
                trouble = exc
            # A refusal of these ids is final at once; that it is not everybody's is checked first.
            if forbids_ids(trouble):
                await self._hold_against_others(trouble)
            if forbids_ids(trouble) or enough(trouble):
                raise OperationFailed(GiveUp(reason_of(trouble)), trouble)
            raise trouble

        found = await self._retrier.run("captures", attempt)
        self._note_answer(ids)
        return found

    def _note_answer(self, ids: Sequence[str]) -> None:
        self._batches_answered += 1
        self._refused_in_row, self._answered_id = 0, ids[0]

    async def _hold_against_others(self, refusal: RemoteError) -> None:
        """After many refusals in a row ask for an id that was answered before; raise `AuthError` unless it still is."""
        self._refused_in_row += 1
        if self._refused_in_row < HOPELESS:
            return
        # Counted anew: the question is worth a call now and then, not one after each refusal.
        self._refused_in_row = 0
        if self._answered_id:
            try:
                await self._ask_once([self._answered_id])
            except RemoteError as trouble:
                refusal = trouble  # one that is no refusal says nothing of the permission
            else:
                return
        if forbids_ids(refusal):
            raise _no_permission(refusal)

    async def _ask_once(self, ids: Sequence[str]) -> dict[str, Capture]:
        # Before the call: a lease taken for too short costs a renewal, one taken for too long a refusal.
        leased_at = anyio.current_time()
        url = f"{self._settings.api_url}/captures/query"
        answer = await self._calls.post(url, self._captures_body(ids), cap=CAPTURES_CAP)
        lease = UrlLease(leased_at, URL_MINUTES * 60.0, answer.tracking_id)
        found, odd = await read_apart(
            answer.body,
            lambda body: read_captures(
                body, ids, lease, self._url_problem, org_id=self._org_id, kinds=self._settings.other_kinds
            ),
        )
        self._warn(odd)
        return found

    def _captures_body(self, ids: Sequence[str]) -> bytes:
        query: dict[str, object] = {
            "taskIds": list(ids),
            "urlExpiration": URL_MINUTES,
            "includeSegments": self._settings.include_segments,
            "includeVARecordings": self._settings.include_va,
        }
        if self._asks_for_screens:
            query["includeScreenRecordings"] = True
        if Kind.TRANSCRIPT in self._settings.other_kinds:
            query["includeAllDigitalVersions"] = True
        if self._org_id:
            query["orgId"] = self._org_id
        return json.dumps({"query": query}, separators=(",", ":")).encode()

    def _url_problem(self, url: str) -> str | None:
        return media_url_problem(url, self._settings.media_hosts, loopback=self._loopback)

    def _warn(self, odd: Iterable[Warned]) -> None:
        for warning in odd:
            self._emit(warning)


def _no_permission(refusal: RemoteError | None) -> AuthError:
    return AuthError(f"Webex refuses permission: {refusal}", tracking_id=getattr(refusal, "tracking_id", None))


def _check_batch(task_ids: Sequence[str]) -> None:
    if not 1 <= len(task_ids) <= MAX_BATCH or len(set(task_ids)) != len(task_ids):
        raise ValueError("captures takes 1 to 10 different ids")


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of an absolute URL, None when it has none or names a user."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or {"https": 443, "http": 80}[parts.scheme]
