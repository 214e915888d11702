"""Opens the real worlds and hands them to the flow: what an embedding service calls.

::

    async with Backfill(load_config("config.toml"), on_event=listener) as backfill:
        summary = await backfill.run()

Nothing here prints, installs signal handlers, sets up logging or chooses an
event loop.  Cancelling `Backfill.run` from outside aborts its uploads and leaves
nothing behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio

from wxrec_async.auth.token_store import TokenStore
from wxrec_async.auth.token_values import Credentials
from wxrec_async.config import Settings
from wxrec_async.events import Emit, ignore
from wxrec_async.flow.filtered_out import count_left_out
from wxrec_async.flow.follow import FollowLoop, OnRound, Pause, Shape
from wxrec_async.flow.job import Job, new_run_id
from wxrec_async.flow.orchestrator import Orchestrator
from wxrec_async.flow.policies import ages_of, asked_period, filters_of, job_of, rhythm_of
from wxrec_async.flow.recovery import EarlierUploads, Recovery
from wxrec_async.flow.run_control import BudgetMeter, EventBroadcaster, RunControl
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.flow.sidecar_writer import Sidecars
from wxrec_async.flow.summary import EXIT_AUTH, Ending, Summary
from wxrec_async.flow.task_lister import Lister
from wxrec_async.flow.transfer import Transfer
from wxrec_async.ledger.records import CatchUp, Everything, InPeriod, NamedFor, Scope
from wxrec_async.model import Window
from wxrec_async.planning.plan import Plan
from wxrec_async.planning.planned_day import Outlook
from wxrec_async.planning.planner import Planner
from wxrec_async.rules import windows
from wxrec_async.rules.filters import NO_FILTERS, Filters
from wxrec_async.rules.follow_schedule import Look, Rhythm
from wxrec_async.rules.retention import Timeline
from wxrec_async.rules.server_time import believed_ms
from wxrec_async.s3.bucket_owner import denied_hints
from wxrec_async.wiring import clients
from wxrec_async.wiring.observed import observed_reach
from wxrec_async.wiring.transfers import make_sidecars, make_transfer

if TYPE_CHECKING:
    import aioboto3
    import httpx


def _nobody(_summary: Summary) -> None:
    """Be told nothing."""


class Backfill:
    """One organisation, one bucket, one ledger, held open while the context lasts.

    Entering checks everything that can be checked before work begins, in this
    order and without writing anything: settings, secrets, organisation, bucket;
    then the ledger is opened.  Raises `ConfigError`, `AuthError` or `LedgerError`
    with one line that says what to do.

    ``on_event`` is called in the event loop with each event; it must neither
    block nor raise.  ``token_store`` and ``credentials`` stand in for those the
    settings name, and so do an ``s3_session`` that knows AWS credentials, an
    ``api_transport`` for Webex and its token endpoint, and a ``media_transport``
    for the recordings: each must send a request once, follow no redirect, raise
    httpx's exceptions and have deadlines; what is handed in is not closed.
    The media host's addresses are checked by our own transport only.  With
    ``read_only`` neither bucket nor ledger is touched and only `plan` can be
    called.  ``clock`` is epoch seconds; ``pause`` is how `follow` waits, both to
    be replaced together in simulations.
    """

    def __init__(  # noqa: PLR0913 - what a host may hand in, each by its name
        self,
        settings: Settings,
        *,
        on_event: Emit = ignore,
        token_store: TokenStore | None = None,
        credentials: Credentials | None = None,
        api_transport: httpx.AsyncBaseTransport | None = None,
        media_transport: httpx.AsyncBaseTransport | None = None,
        s3_session: aioboto3.Session | None = None,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
        pause: Pause = anyio.sleep,
    ) -> None:
        self._pause = pause
        self._follower: FollowLoop | None = None
        self.settings = settings
        self._emit = EventBroadcaster(on_event)
        self._clock = clock
        self._given = clients.Injected(token_store, credentials, api_transport, media_transport, s3_session)
        self._read_only = read_only
        self._stack = AsyncExitStack()
        self._webex: clients.WebexClients | None = None
        self._storage: clients.BucketAndLedger | None = None
        self._reach = observed_reach(self._emit)
        self._busy = False
        self._running: RunControl | None = None
        self._stop_reason: str | None = None

    async def __aenter__(self) -> Backfill:
        async with AsyncExitStack() as stack:
            secrets = await clients.load_secrets(self.settings, self._given, self._emit, self._clock)
            tls = clients.trusted_tls_context(self.settings)
            if not self._read_only:
                opening = clients.open_storage(self.settings, secrets.org_id, self._emit, self._reach, self._given)
                self._storage = await stack.enter_async_context(opening)
            webex = clients.open_webex(self.settings, secrets, tls, self._emit, self._reach, self._clock, self._given)
            self._webex = await stack.enter_async_context(webex)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._webex = self._storage = None
        await self._stack.aclose()

    def period(self) -> windows.AskedPeriod:
        """Return the period the settings ask for, as of now; raises `ConfigError` when it is none."""
        return asked_period(self.settings, self._now_ms())

    async def run(
        self,
        period: Window | None = None,
        *,
        limit: int | None = None,
        max_duration_s: float | None = None,
        scheduled: bool = False,
        on_event: Emit | None = None,
    ) -> Summary:
        """Back up every recording of ``period`` (default: what the settings ask for) and return what was done.

        Work that earlier runs left in the period (failed, owed, unfinished) is
        taken up again; closed windows are not, but for the days of calls that went
        on, and stored recordings not, but for tasks that deserve a second look.
        With ``scheduled``, for who calls it every hour, what is owed or failed waits
        until it is due, and the trailing days are listed again.  ``limit``
        is a number of recordings, ``max_duration_s`` seconds after which no new
        work is begun, ``on_event`` one listener more, for this run alone.  Raises
        `LedgerError`; refused tokens and permissions are told in the summary, whose
        ``exit_code`` is that of the README's table.
        """
        asked = self._clamped(period)
        with self._one_run(on_event):
            log = self._log(self._job_of(InPeriod(asked.period), asked.period, asked.clamped, limit=limit))
            return await self._do(log, await self._listing(log, asked.period, scheduled=scheduled), max_duration_s)

    async def follow(
        self, period: Window | None = None, *, on_round: OnRound = _nobody, on_event: Emit | None = None
    ) -> Summary:
        """Back up ``period`` as `run` does, then keep polling the trailing days until stopped or cancelled.

        Owed and failed work is asked for again when it is due, whenever it was
        listed.  ``on_round`` is called in the event loop with the summary of the
        backfill and of each round; a round counts the whole ledger.  Returns the
        last summary: after `stop` its ``exit_code`` says so, and 4 is a refused
        login or permission.  Any other trouble is that of one round, and waits for
        the next.  Raises `LedgerError`.
        """
        asked = self._clamped(period)
        with self._one_run(on_event):
            log = self._log(self._job_of(InPeriod(asked.period), asked.period, asked.clamped))
            summary = await self._do(log, await self._listing(log, asked.period, scheduled=True), None)
            on_round(summary)
            if summary.ending.stopped or summary.ending.error_exit == EXIT_AUTH:
                return summary
            self._follower = self._make_follower(asked.period)
            if self._stop_reason:
                self._follower.stop(self._stop_reason)
            return await self._follower.run(on_round)

    async def archive(
        self,
        task_ids: Iterable[str],
        *,
        limit: int | None = None,
        max_duration_s: float | None = None,
        on_event: Emit | None = None,
    ) -> Summary:
        """Back up the recordings of these tasks, whether Webex still lists them or not.

        Who names a task wants it: the settings' filters do not apply.
        """
        run_id, notes = new_run_id(), (FILTERS_PASSED_OVER,) if filters_of(self.settings) else ()
        job = self._job_of(NamedFor(run_id), None, notes, run_id=run_id, filters=NO_FILTERS, limit=limit)
        with self._one_run(on_event):
            return await self._do(self._log(job), replace(job, task_ids=task_ids), max_duration_s)

    async def retry(
        self, *, limit: int | None = None, max_duration_s: float | None = None, on_event: Emit | None = None
    ) -> Summary:
        """Take up only what is left: failed, owed, unfinished or found by `reconcile`, whenever it was listed.

        The days of calls that went on are listed again, to learn whether they are over.
        """
        with self._one_run(on_event):
            log = self._log(self._job_of(Everything(), limit=limit))
            going_on = await log.going_on(Everything(), due_only=False)
            job = replace(log.job, windows=tuple(going_on), look_again=Window(0, self._now_ms() + 1))
            return await self._do(log, job, max_duration_s)

    async def _round(self, period: Window, look: Look, shape: Shape) -> Summary:
        """List what the backfill of ``period`` left, and a window anew, closed or not; work on all that is due."""
        log = self._log(self._job_of(Everything(), look.window))
        left = await log.windows_of_round(period, look.window)
        trailing = Window(look.window.to_ms - log.job.trailing_ms, look.window.to_ms)
        job = replace(log.job, windows=tuple(left), due_only=True, look_again=trailing)
        summary = await self._do(log, job, None, shape=lambda done: shape(replace(done, period=None)))
        self._running = None
        return summary

    async def plan(self, period: Window | None = None) -> Plan:
        """Say what `run` would do: tasks are listed, nothing is asked of captures, nothing is written."""
        asked = self._clamped(period)
        webex, filters, now_ms = self.settings.webex, filters_of(self.settings), self._now_ms()
        lister = Lister(self._in_webex.client, webex.page_size, webex.channel_types, sure=False)
        # Looking for what is left out must not hand it out to a run that is under way.
        storage = None if filters else self._storage
        async with clients.ledger_view(self.settings.ledger.path, storage) as ledger:
            closed = await ledger.closed_windows(asked.period)
            left = await count_left_out(ledger, InPeriod(asked.period), filters, now_ms)
            known = left.without(await ledger.counts(InPeriod(asked.period), None))
            listed = windows.subtract(asked.period, windows.left(asked.period, closed))
            behind = [await count_left_out(ledger, InPeriod(span), filters, now_ms) for span in listed]
            planner = Planner(ledger, lister, self._sizes(), self._outlook(filters, now_ms))
            planned, days = await planner.plan(asked.period, windows.left(asked.period, closed))
        return Plan(
            asked.period,
            planned,
            known,
            webex.requests_per_minute,
            notes=(*asked.clamped, *planner.notes),
            known_left_out=sum(each.tasks for each in behind),
            days=days,
            retention_days=webex.retention_days,
        )

    def _sizes(self) -> SearchReader | None:
        """Return what tells how large recordings are before they are there, if there is such a thing."""
        wanted = self.settings.webex.search != "off"
        return SearchReader(self._in_webex.search) if wanted and self._in_webex.search else None

    def _outlook(self, filters: Filters, now_ms: int) -> Outlook:
        webex, speed = self.settings.webex, self.settings.backfill.max_mib_per_second
        timeline = Timeline(now_ms, webex.requests_per_minute, webex.retention_days, speed * (1 << 20))
        return Outlook(timeline, ages_of(self.settings), filters, now_ms)

    def stop(self, reason: str) -> None:
        """Take no new work; what is in flight has the grace period to finish.  Without a run it does nothing."""
        if self._busy:
            self._stop_reason = self._stop_reason or reason
        if self._follower is not None:
            self._follower.stop(reason)
        if self._running is not None:
            self._running.stop(reason)

    def abort(self) -> None:
        """Break off what is in flight; uploads are aborted on the way out.  Without a run it does nothing."""
        if self._running is not None:
            self._running.abort()

    @contextmanager
    def _one_run(self, on_event: Emit | None) -> Iterator[None]:
        if self._busy:
            raise RuntimeError("one Backfill does one run at a time")
        self._busy = True
        try:
            with self._emit.heard_by(on_event):
                yield
        finally:
            self._busy, self._running, self._stop_reason, self._follower = False, None, None, None

    @property
    def _in_webex(self) -> clients.WebexClients:
        if self._webex is None:
            raise RuntimeError("use Backfill as an async context manager")
        return self._webex

    @property
    def _in_storage(self) -> clients.BucketAndLedger:
        if self._storage is None:
            raise RuntimeError("this Backfill is read only" if self._webex else "use Backfill as a context manager")
        return self._storage

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)

    def _servers_now_ms(self) -> int:
        """Return the time by which ages are judged: the servers', unless this clock is another one on purpose."""
        return believed_ms(self._now_ms(), self._in_webex.client.servers_now_ms())

    def _clamped(self, period: Window | None) -> windows.AskedPeriod:
        if period is None:
            return self.period()
        return windows.clamp(period, lookback_days=self.settings.webex.lookback_days, now_ms=self._now_ms())

    def _rhythm(self) -> Rhythm:
        return rhythm_of(self.settings)

    async def _listing(self, log: RunLog, period: Window, *, scheduled: bool) -> Job:
        """Return the job of a run with what of a period is still to be listed."""
        left = await log.windows_left(period, scheduled=scheduled)
        return replace(log.job, windows=tuple(left), due_only=scheduled, look_again=period)

    def _make_follower(self, period: Window) -> FollowLoop:
        return FollowLoop(
            _Rounds(self, period),
            self._rhythm(),
            lookback_days=self.settings.webex.lookback_days,
            now_ms=self._now_ms,
            emit=self._emit,
            pause=self._pause,
        )

    def _job_of(self, scope: Scope, period: Window | None = None, notes: tuple[str, ...] = (), **facts: Any) -> Job:
        facts = {"concurrency": self._in_storage.concurrency} | facts
        return job_of(self.settings, self._in_webex.org_id, scope, period=period, notes=notes, **facts)

    def _log(self, job: Job) -> RunLog:
        return RunLog(
            job,
            self._in_storage.ledger,
            self._emit,
            self._now_ms,
            judged_ms=self._servers_now_ms,
            sidecars=self._sidecars() if self.settings.s3.sidecar else None,
            denied_hint=denied_hints(self.settings.s3),
        )

    async def _do(
        self, log: RunLog, job: Job, max_duration_s: float | None, shape: Shape = lambda summary: summary
    ) -> Summary:
        """Run one job from its first note in the ledger to its last."""
        with self._emit.heard_by(log.hear):
            await log.begin(len(job.windows))
            try:
                ending = await self._carry_out(log, job, max_duration_s)
            finally:
                with anyio.CancelScope(shield=True):
                    saved = await self._in_webex.refresher.save_pending()
            return await log.finish(replace(ending, token_unsaved=not saved), shape)

    async def _carry_out(self, log: RunLog, job: Job, max_duration_s: float | None) -> Ending:
        """Tidy up after a crash, run, and sweep the keys of which it is not known whether an upload is open."""
        storage, carrier, webex = self._in_storage, self._transfer(), self._in_webex
        earlier = EarlierUploads(storage.store, carrier, job.key_template)
        orchestrator = Orchestrator(job, webex.client, log, carrier, self._emit, others=webex.others, earlier=earlier)
        recovery = Recovery(storage.ledger, storage.store, carrier, job.key_template, self._emit)

        async def prepare() -> None:
            await recovery.run(job.run_id, self._now_ms(), log.interrupted)
            await earlier.look()

        self._running = RunControl(
            orchestrator,
            prepare,
            BudgetMeter(lambda: webex.pacer.passed, self.settings.webex.requests_per_minute),
            grace_s=self.settings.backfill.grace_seconds,
            emit=self._emit,
        )
        if self._stop_reason:
            self._running.stop(self._stop_reason)
        error = await self._running.carry_out(max_duration_s)
        error = error or await storage.sweep_uncertain(carrier)
        return Ending(stopped=orchestrator.stopped).or_refused(error)

    def _sidecars(self) -> Sidecars:
        storage, org_id = self._in_storage, self._in_webex.org_id
        return make_sidecars(self.settings, org_id, storage.store, storage.ledger, self._emit)

    def _transfer(self) -> Transfer:
        storage, media = self._in_storage, self._in_webex.media
        log = clients.LedgerLog(storage.ledger, self._now_ms)
        return make_transfer(self.settings, media, storage.store, log, self._emit)


class _Rounds:
    """What a follower has a `Backfill` do."""

    def __init__(self, backfill: Backfill, period: Window) -> None:
        self._backfill, self._period = backfill, period

    async def round(self, look: Look, shape: Shape) -> Summary:
        return await self._backfill._round(self._period, look, shape)

    async def lag(self) -> CatchUp:
        return await self._backfill._in_storage.ledger.lag()


FILTERS_PASSED_OVER = "the filters of the settings do not apply to tasks that are named by id"
