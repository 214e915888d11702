"""The worker's side of a job that an engine hands out: Webex and the bucket, and no ledger.

::

    async with WorkerService(settings, further=engine_has_a_call_to_spare) as station:
        page = await station.page(ask, BatchProgress())
        outcome = await station.carry(batch, kept, heartbeat)

Both may be repeated with the same arguments, on any machine, whatever became of
an earlier attempt: nothing is stored twice, and what an earlier attempt left open
is aborted.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, HTTPStatusError
from wxrec_async.events import Emit, Retrying, ignore
from wxrec_async.model import Task
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.redact import redact_text
from wxrec_async.rules.retry import GiveUp
from wxrec_async.rules.selection import of_channel
from wxrec_async.rules.sources import Source
from wxrec_async.temporal.batch_run import BatchRun, Tell
from wxrec_async.temporal.batch_worker import BatchWorker
from wxrec_async.temporal.call_budget import BudgetSpent, CallAllowance, EngineCallPolicy, ExtraCall, Requeue, allowed
from wxrec_async.temporal.earlier_attempts import left_of, without_answer
from wxrec_async.temporal.messages import Batch, PageAsk, PageRow, TaskMessage
from wxrec_async.temporal.results import BatchOutcome, BatchProgress, TransferResult
from wxrec_async.wiring import clients
from wxrec_async.wiring.account import NO_INJECTION, Injected, load_secrets, number_hash_of
from wxrec_async.wiring.bucket import open_bucket
from wxrec_async.wiring.observed import observed_reach

# So often a batch may fail as a whole before it is halved to find the one id at fault.
BATCH_PATIENCE = 3
# Tokens in a row, each of them new: no expiry looks like that.
MAX_REFUSALS = 3
LAST_SWEEP_S = 10.0


class WorkerService:
    """One organisation and its bucket, open while the context lasts; any number of pieces of work at once.

    Entering raises `ConfigError`, `AuthError` or `RunStopped` as `Backfill` does.
    ``further`` returns when the engine has one more call to Webex to spare; see
    `call_budget`.  ``on_event`` hears what `Backfill` tells of transfers.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        further: ExtraCall,
        on_event: Emit = ignore,
        given: Injected = NO_INJECTION,
    ) -> None:
        self.settings = settings
        self._emit = on_event
        self._terms = EngineCallPolicy(further)
        self._given = replace(given, terms=self._terms)
        self._stack = AsyncExitStack()
        # To be broken off by `abort`, without the engine's having cancelled anything.
        self._in_hand: set[anyio.CancelScope] = set()
        self._refusals = self._renewed_as = 0
        self._name, self._was_unsaved = uuid.uuid4().hex[:12], False

    async def __aenter__(self) -> WorkerService:
        async with AsyncExitStack() as stack:
            reach = observed_reach(self._emit)
            secrets = await load_secrets(self.settings, self._given, self._emit)
            self._hashed = number_hash_of(self.settings, secrets.credentials)
            tls = clients.trusted_tls_context(self.settings)
            bucket = open_bucket(self.settings, self._emit, reach=reach, session=self._given.s3_session)
            store = await stack.enter_async_context(bucket)
            webex = clients.open_webex(self.settings, secrets, tls, self._emit, reach, time.time, self._given)
            self._webex = await stack.enter_async_context(webex)
            made_of = (self._webex.org_id, self._webex.media, store, self._terms, self._emit)
            self._storing = BatchWorker(self.settings, *made_of)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Without a limit: a rotated token that is lost means that somebody has to log in again.
            with anyio.CancelScope(shield=True):
                await self._webex.refresher.save_pending()
            # With one: what is not swept is found by the next run, or by a lifecycle rule.
            with anyio.move_on_after(LAST_SWEEP_S, shield=True):
                await self._storing.transfer.sweep_uncertain()
        finally:
            await self._stack.aclose()

    @property
    def org_id(self) -> str:
        """The organisation all agree on."""
        return self._webex.org_id

    @property
    def calls(self) -> int:
        """How many requests went to Webex's API so far."""
        return self._webex.pacer.passed

    def drain(self) -> None:
        """Begin no recording any more; work in hand comes back with what is left of it."""
        self._storing.draining = True

    def abort(self) -> None:
        """Break off what is in hand, too: its uploads are aborted, and it comes back as a whole."""
        self.drain()
        for scope in self._in_hand:
            scope.cancel()

    # One page

    async def page(self, ask: PageAsk, kept: BatchProgress) -> PageRow:
        """Ask for one page of a window: one call.

        Raises `Requeue`, `AuthError` or `RunStopped`.  A page that cannot be had is an answer: ``refused``.
        """
        if ask.source == Source.SEARCH:
            return await self._searched(ask, kept)
        # By the monotonic clock; subtracted from the servers' time below it gives the moment of asking.
        begun = anyio.current_time()
        # Links travel without the host: no URL goes into a message, and another worker may have another base.
        link = self.settings.webex.api_url + ask.next_link if ask.next_link else None
        client = self._webex.others if ask.others else self._webex.client
        # This worker's file may differ from that of the ledger's keeper, which wants them counted.
        if client is None:
            return PageRow(refused="not_configured", detail="this worker counts no other channels")
        with self._one_call(kept):
            try:
                page = await client.tasks_page(
                    ask.span.window(), from_ms=ask.from_ms, next_link=link, every_channel=ask.every_channel
                )
            except OperationFailed as given_up:
                # An answer, not a failure: what to do about it, halve or give up, is for the lister in the workflow.
                asked_ms = _since(begun, client.servers_now_ms())
                return PageRow(refused=_reason(given_up), detail=redact_text(str(given_up)), asked_ms=asked_ms)
        asked_ms = _since(begun, client.servers_now_ms())
        relative = page.next_link.removeprefix(self.settings.webex.api_url) if page.next_link else None
        asked = () if ask.others else self.settings.webex.channel_types
        rows = self._rows(page.tasks, asked)
        return PageRow(rows, page.rows, relative, page.unreadable, asked_ms, more=page.more)

    async def _searched(self, ask: PageAsk, kept: BatchProgress) -> PageRow:
        """Ask for one page of Search, as `page`."""
        begun, search = anyio.current_time(), self._webex.older
        if search is None:
            return PageRow(refused="not_configured", detail="this worker's settings want no Search")
        with self._one_call(kept):
            try:
                page = await search.search_page(ask.span.window(), ask.cursor)
            except OperationFailed as given_up:
                asked_ms = _since(begun, self._webex.client.servers_now_ms())
                return PageRow(refused=_reason(given_up), detail=redact_text(str(given_up)), asked_ms=asked_ms)
        asked_ms = _since(begun, self._webex.client.servers_now_ms())
        rows = self._rows([each.task for each in page.witnesses], self.settings.webex.channel_types)
        trouble = "Search answered with an error beside its rows" if page.trouble else ""
        return PageRow(rows, page.rows, None, page.unreadable, asked_ms, cursor=page.cursor, trouble=trouble)

    def _rows(self, tasks: Iterable[Task], asked: Sequence[str]) -> list[TaskMessage]:
        """Return tasks as they travel: of those that were not ``asked`` for no more than counts."""
        carried = partial(TaskMessage.of, names=self._names, hashed=self._hashed)
        return [carried(task) if asked and of_channel(task, asked) else _counted(task) for task in tasks]

    @property
    def _names(self) -> bool:
        """Whether names of people may travel: the engine keeps them, so only encrypted."""
        return bool(self.settings.temporal.codec)

    @contextmanager
    def _one_call(self, kept: BatchProgress) -> Iterator[None]:
        """Make the call that was paid for; a refused token was renewed by now, and the call comes back."""
        tries = kept.history()
        try:
            with allowed(CallAllowance(tries=tries)):
                yield
        except BudgetSpent:
            # The request was refused and signed anew, and would have been a second call: the token is new by now, so
            # the next attempt meets nothing of that.
            self._count_refusal()
            raise self._given_back(Requeue("the token was refused and is renewed", 0.0, tries)) from None
        except Requeue as back:
            raise self._given_back(back) from None
        # Something was answered: the token is good.
        self._refusals = 0

    def _given_back(self, back: Requeue) -> Requeue:
        self._emit(Retrying("webex", back.tries.attempts + back.tries.waits, back.after_s, str(back)))
        return back

    def _count_refusal(self) -> None:
        """Count tokens, not calls: any number of calls under way meet the end of the same one."""
        renewed_as = self._webex.refresher.generation
        self._refusals += renewed_as != self._renewed_as
        self._renewed_as = renewed_as
        if self._refusals > MAX_REFUSALS:
            raise AuthError("Webex refuses the token, one that was just renewed too") from None

    # One batch

    async def carry(self, batch: Batch, kept: BatchProgress, tell: Tell, *, repeated: bool = False) -> BatchOutcome:
        """Ask captures for up to ten tasks and store what it has of them: one call, and see `call_budget`.

        ``kept`` is what ``tell`` was told last by an earlier attempt; ``repeated``
        says that there was one, so that the bucket is looked at before anything is
        moved.  Raises `Requeue`, `AuthError` or `RunStopped`; cancelling aborts
        what is being uploaded.
        """
        with anyio.CancelScope() as scope:
            self._in_hand.add(scope)
            try:
                return await self._carry(batch, kept, tell, repeated=repeated)
            finally:
                self._in_hand.discard(scope)
        # Only behind `abort`, whose cancellation ends at this scope; one from outside goes through it.
        raise _leaving(kept)

    async def _carry(self, batch: Batch, kept: BatchProgress, tell: Tell, *, repeated: bool) -> BatchOutcome:
        # Before the call: what is given back now costs none.
        if self._storing.draining:
            raise _leaving(kept)
        begun = anyio.current_time()
        try:
            with self._one_call(kept):
                captures = await self._webex.client.captures_once([todo.id for todo in batch.todos])
        except Requeue as back:
            # As a whole it comes back a few times, for a server that is down; then one of its ids is suspected,
            # and it is halved, a piece of it at the first failure.
            if len(batch.todos) > 1 and back.tries.attempts >= (1 if batch.halved else BATCH_PATIENCE):
                return _halved(batch, kept)
            raise
        except OperationFailed as given_up:
            # One id alone has failed by itself.
            halve = len(batch.todos) > 1 and _may_halve(given_up)
            return _halved(batch, kept) if halve else _all_failed(batch, kept, given_up)
        work = BatchRun(self._storing, batch, kept, tell, repeated=repeated)
        return await self._signed(await work.done(captures, anyio.current_time() - begun))

    async def _signed(self, outcome: BatchOutcome) -> BatchOutcome:
        """Say whether a renewed token could not be stored; who never had such trouble says nothing of it."""
        # After the work: by now the store may take what it refused before.
        saved = await self._webex.refresher.save_pending()
        self._was_unsaved = self._was_unsaved or not saved
        return replace(outcome, worker=self._name, token_unsaved=not saved) if self._was_unsaved else outcome


def _since(begun: float, servers_now_ms: int) -> int:
    """Return when a call was begun, by the servers' time."""
    return servers_now_ms - round((anyio.current_time() - begun) * 1000)


def _counted(task: Task) -> TaskMessage:
    return TaskMessage(task.id, task.channel_type, created_ms=task.created_ms)


def _leaving(kept: BatchProgress) -> Requeue:
    return Requeue("this worker is about to end", 0.0, kept.history())


def _halved(batch: Batch, kept: BatchProgress) -> BatchOutcome:
    """Give a batch back in halves; what earlier attempts at the whole of it brought is told now."""
    todos = [left_of(todo, kept.done) for todo in batch.todos]
    middle = len(todos) // 2
    told = without_answer(batch.todos, kept, "halved")
    return BatchOutcome(told, done=list(kept.done), halves=[todos[:middle], todos[middle:]])


def _all_failed(batch: Batch, kept: BatchProgress, given_up: OperationFailed) -> BatchOutcome:
    """Let the tasks fail, or, of those that an earlier attempt heard about, what it did not bring to an end."""
    reason, words = _reason(given_up), redact_text(str(given_up))
    told = without_answer(batch.todos, kept, reason)
    at_rest = {(each.task_id, each.recording_id) for each in kept.done}
    at_rest |= {(todo.id, name) for todo in batch.todos for name in todo.settled}
    named = [(each.todo.id, one.id) for each in told for one in each.recordings]
    failed = [TransferResult(*ids, "failed", reason=reason, detail=words) for ids in named if ids not in at_rest]
    heard = {task_id for task_id, _ in named}
    silent = {todo.id: reason for todo in batch.todos if todo.id not in heard}
    return BatchOutcome(told, silent, [*kept.done, *failed])


def _may_halve(given_up: OperationFailed) -> bool:
    """Other ids may fare better when the server got the request and did not like it."""
    return isinstance(given_up.trouble, HTTPStatusError) and given_up.trouble.status != 429


def _reason(given_up: OperationFailed) -> str:
    return given_up.decision.reason if isinstance(given_up.decision, GiveUp) else "error"
