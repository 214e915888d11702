"""Jobs on this machine: log, orchestrator, recovery and control, put together from what is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import RunStopped
from wxrec_async.flow.follow import Shape
from wxrec_async.flow.job import Job
from wxrec_async.flow.orchestrator import Orchestrator
from wxrec_async.flow.policies import job_of
from wxrec_async.flow.recovery import EarlierUploads, Recovery
from wxrec_async.flow.run_control import BudgetMeter, EventBroadcaster, RunControl, both_clocks
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.summary import EXIT_NO_ANSWER, EXIT_USAGE, Ending, Summary
from wxrec_async.ledger.records import CatchUp, Everything, Scope
from wxrec_async.model import Window
from wxrec_async.plumbing.host_names import has_address
from wxrec_async.rules.follow_schedule import Look
from wxrec_async.rules.media_urls import host_of
from wxrec_async.rules.server_time import believed_ms
from wxrec_async.s3.bucket_owner import denied_hints
from wxrec_async.wiring.clients import WebexClients
from wxrec_async.wiring.storage import BucketAndLedger, LedgerLog
from wxrec_async.wiring.transfers import make_sidecars, make_transfer


class LocalRunner:
    """Carries out one job after the other; `stop` and `abort` concern the one under way.

    ``now_ms`` is this machine's time, in milliseconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        webex: WebexClients,
        storage: BucketAndLedger,
        emit: EventBroadcaster,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings, self._webex, self._storage = settings, webex, storage
        self._emit, self._now_ms = emit, now_ms
        self._control: RunControl | None = None
        self.stop_reason: str | None = None

    def log(self, scope: Scope, period: Window | None = None, notes: tuple[str, ...] = (), **facts: Any) -> RunLog:
        """Return what keeps a job in the ledger, the job as the settings want it; nothing is written yet.

        ``facts`` are further fields of the job.
        """
        settings, storage = self._settings, self._storage
        facts = {"concurrency": storage.concurrency} | facts
        job = job_of(settings, self._webex.org_id, scope, period=period, notes=notes, **facts)
        sidecars = None
        if settings.s3.sidecar:
            webex = self._webex
            sidecars = make_sidecars(settings, webex.org_id, storage.store, storage.ledger, self._emit, webex.records)
        return RunLog(
            job,
            storage.ledger,
            self._emit,
            self._now_ms,
            judged_ms=self._servers_now_ms,
            sidecars=sidecars,
            denied_hint=denied_hints(settings.s3),
        )

    async def listing(self, log: RunLog, period: Window, *, scheduled: bool) -> Job:
        """Return the job of a run with what of a period is still to be listed."""
        left = await log.windows_left(period, scheduled=scheduled)
        return replace(log.job, windows=tuple(left), due_only=scheduled, look_again=period)

    async def run(
        self, log: RunLog, job: Job, max_duration_s: float | None = None, shape: Shape = lambda summary: summary
    ) -> Summary:
        """Run one job from its first note in the ledger to its last; raises `LedgerError` alone."""
        with self._emit.heard_by(log.hear):
            await log.begin(len(job.windows))
            try:
                ending = await self._carry_out(log, job, max_duration_s)
            finally:
                # A refresh token that was renewed and not saved would be lost with us: the old one is void.
                with anyio.CancelScope(shield=True):
                    saved = await self._webex.refresher.save_pending()
            if log.incomplete and not self._webex.answered:
                ending = ending.or_refused(await self._nobody_answered())
            return await log.finish(replace(ending, token_unsaved=not saved), shape)

    async def _nobody_answered(self) -> RunStopped:
        """Return what a run says that heard nothing of Webex: the network is away, or the name is wrong."""
        host = host_of(self._settings.webex.api_url)
        # The bucket was reached, or there would be no run: where its network is, a name that is right has an address.
        if not await has_address(host):
            return RunStopped(f"there is no host {host}; correct [webex] region or base_url", exit_code=EXIT_USAGE)
        words = f"no answer from {host}; check the network, firewall and [webex] proxy, or run again later"
        return RunStopped(words, exit_code=EXIT_NO_ANSWER)

    async def lag(self) -> CatchUp:
        """Return how far the ledger has come."""
        return await self._storage.ledger.lag()

    def stop(self, reason: str) -> None:
        """Take no new work, in this job and in those that follow until `ready`.  The first reason stays."""
        self.stop_reason = self.stop_reason or reason
        if self._control is not None:
            self._control.stop(reason)

    def abort(self) -> None:
        """Break off what is in flight."""
        if self._control is not None:
            self._control.abort()

    def ready(self) -> None:
        """Forget that anybody asked to stop."""
        self.stop_reason = None

    async def _carry_out(self, log: RunLog, job: Job, max_duration_s: float | None) -> Ending:
        """Tidy up after a crash, run, and sweep the keys of which it is not known whether an upload is open."""
        storage, webex = self._storage, self._webex
        uploads = LedgerLog(storage.ledger, self._now_ms)
        transfer = make_transfer(self._settings, webex.media, storage.store, uploads, self._emit)
        earlier = EarlierUploads(storage.store, transfer, job.key_template)
        orchestrator = Orchestrator(
            job, webex.client, log, transfer, self._emit, others=webex.others, earlier=earlier, older=webex.older
        )
        recovery = Recovery(storage.ledger, storage.store, transfer, job.key_template, self._emit)

        async def prepare() -> None:
            # Before any upload of this run is begun: afterwards its own could not be told from those left behind.
            await recovery.run(job.run_id, self._now_ms(), log.interrupted)
            await earlier.look()

        self._control = RunControl(
            orchestrator,
            prepare,
            BudgetMeter(lambda: webex.pacer.passed, self._settings.webex.requests_per_minute),
            grace_s=self._settings.backfill.grace_seconds,
            emit=self._emit,
            moment=lambda: both_clocks(self._now_ms),
        )
        if self.stop_reason:
            self._control.stop(self.stop_reason)
        try:
            error = await self._control.carry_out(max_duration_s)
        finally:
            self._control = None  # who stops or aborts from now on finds nothing in flight
        error = error or await storage.sweep_uncertain(transfer)
        return Ending(stopped=orchestrator.stopped).or_refused(error)

    def _servers_now_ms(self) -> int:
        """Return the time by which ages are judged: the servers', unless this clock is another one on purpose."""
        return believed_ms(self._now_ms(), self._webex.client.servers_now_ms())


class LocalRounds:
    """What a follower has this machine do: rounds over ``period`` and what came after it."""

    def __init__(self, runner: LocalRunner, period: Window) -> None:
        self._runner, self._period = runner, period

    async def round(self, look: Look, shape: Shape) -> Summary:
        """List what the backfill of the period left, and a window anew, closed or not; work on all that is due."""
        log = self._runner.log(Everything(), look.window, command="run --follow")
        left = await log.windows_of_round(self._period, look.window)
        trailing = Window(look.window.to_ms - log.job.trailing_ms, look.window.to_ms)
        job = replace(log.job, windows=tuple(left), due_only=True, look_again=trailing)
        return await self._runner.run(log, job, shape=lambda done: shape(replace(done, period=None)))

    async def lag(self) -> CatchUp:
        """Return how far the ledger has come."""
        return await self._runner.lag()
