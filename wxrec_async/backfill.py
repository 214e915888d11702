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
from typing import TYPE_CHECKING

import anyio

from wxrec_async.auth.token_store import TokenStore
from wxrec_async.auth.token_values import Credentials
from wxrec_async.config import Settings
from wxrec_async.events import Emit, ignore
from wxrec_async.flow.follow import FollowLoop, OnRound, Pause
from wxrec_async.flow.job import new_run_id
from wxrec_async.flow.policies import asked_period, filters_of, reach_of, rhythm_of
from wxrec_async.flow.run_control import EventBroadcaster
from wxrec_async.flow.summary import EXIT_AUTH, Summary
from wxrec_async.ledger.records import Everything, InPeriod, NamedFor
from wxrec_async.model import Window
from wxrec_async.planning.period_plan import plan_period
from wxrec_async.planning.plan import Plan
from wxrec_async.rules import windows
from wxrec_async.rules.filters import NO_FILTERS
from wxrec_async.wiring import account, clients, storage
from wxrec_async.wiring.local_runner import LocalRounds, LocalRunner
from wxrec_async.wiring.observed import observed_reach

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
        self._given = account.Injected(token_store, credentials, api_transport, media_transport, s3_session)
        self._read_only = read_only
        self._stack = AsyncExitStack()
        self._webex: clients.WebexClients | None = None
        self._storage: storage.BucketAndLedger | None = None
        self._reach = observed_reach(self._emit)
        self._busy = False
        self._runner: LocalRunner | None = None

    async def __aenter__(self) -> Backfill:
        async with AsyncExitStack() as stack:
            secrets = await account.load_secrets(self.settings, self._given, self._emit, self._clock)
            tls = clients.trusted_tls_context(self.settings)
            if not self._read_only:
                hashed = account.number_hash_of(self.settings, secrets.credentials)
                whose = (self.settings, secrets.org_id, self._emit, self._reach, self._given)
                opening = storage.open_storage(*whose, hashed)
                self._storage = await stack.enter_async_context(opening)
            webex = clients.open_webex(self.settings, secrets, tls, self._emit, self._reach, self._clock, self._given)
            self._webex = await stack.enter_async_context(webex)
            if self._storage is not None:
                self._runner = LocalRunner(self.settings, self._webex, self._storage, self._emit, self._now_ms)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._webex = self._storage = self._runner = None
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
        with self._one_run(on_event) as runner:
            command = "run --scheduled" if scheduled else "run"
            log = runner.log(InPeriod(asked.period), asked.period, asked.clamped, limit=limit, command=command)
            return await runner.run(log, await runner.listing(log, asked.period, scheduled=scheduled), max_duration_s)

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
        with self._one_run(on_event) as runner:
            log = runner.log(InPeriod(asked.period), asked.period, asked.clamped, command="run --follow")
            summary = await runner.run(log, await runner.listing(log, asked.period, scheduled=True))
            on_round(summary)
            if summary.ending.stopped or summary.ending.error_exit == EXIT_AUTH:
                return summary
            self._follower = self._follow_loop(LocalRounds(runner, asked.period))
            if runner.stop_reason:
                self._follower.stop(runner.stop_reason)
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
        with self._one_run(on_event) as runner:
            facts = {"run_id": run_id, "filters": NO_FILTERS, "limit": limit, "command": "run --task-ids-from"}
            log = runner.log(NamedFor(run_id), None, notes, **facts)
            return await runner.run(log, replace(log.job, task_ids=task_ids), max_duration_s)

    async def retry(
        self, *, limit: int | None = None, max_duration_s: float | None = None, on_event: Emit | None = None
    ) -> Summary:
        """Take up only what is left: failed, owed, unfinished or found by `reconcile`, whenever it was listed.

        The days of calls that went on are listed again, to learn whether they are over.
        """
        with self._one_run(on_event) as runner:
            log = runner.log(Everything(), limit=limit, command="retry")
            going_on = await log.going_on(Everything(), due_only=False)
            job = replace(log.job, windows=tuple(going_on), look_again=Window(0, self._now_ms() + 1))
            return await runner.run(log, job, max_duration_s)

    async def plan(self, period: Window | None = None) -> Plan:
        """Say what `run` would do: tasks are listed, nothing is asked of captures, nothing is written."""
        asked = self._clamped(period)
        # Looking for what is left out must not hand it out to a run that is under way.
        opened = None if filters_of(self.settings) else self._storage
        async with storage.ledger_view(self.settings.ledger.path, opened) as ledger:
            return await plan_period(self.settings, self._in_webex, ledger, asked, self._now_ms())

    def stop(self, reason: str) -> None:
        """Take no new work; what is in flight has the grace period to finish.  Without a run it does nothing."""
        if not self._busy:
            return
        if self._follower is not None:
            self._follower.stop(reason)
        self._in_runner.stop(reason)

    def abort(self) -> None:
        """Break off what is in flight; uploads are aborted on the way out.  Without a run it does nothing."""
        if self._busy:
            self._in_runner.abort()

    @contextmanager
    def _one_run(self, on_event: Emit | None) -> Iterator[LocalRunner]:
        if self._busy:
            raise RuntimeError("one Backfill does one run at a time")
        runner = self._in_runner
        self._busy = True
        try:
            with self._emit.heard_by(on_event):
                yield runner
        finally:
            runner.ready()
            self._busy, self._follower = False, None

    @property
    def _in_webex(self) -> clients.WebexClients:
        if self._webex is None:
            raise RuntimeError("use Backfill as an async context manager")
        return self._webex

    @property
    def _in_runner(self) -> LocalRunner:
        if self._runner is None:
            raise RuntimeError("this Backfill is read only" if self._webex else "use Backfill as a context manager")
        return self._runner

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)

    def _clamped(self, period: Window | None) -> windows.AskedPeriod:
        if period is None:
            return self.period()
        return windows.clamp(period, lookback_days=reach_of(self.settings).days, now_ms=self._now_ms())

    def _follow_loop(self, rounds: LocalRounds) -> FollowLoop:
        return FollowLoop(
            rounds,
            rhythm_of(self.settings),
            lookback_days=reach_of(self.settings).days,
            now_ms=self._now_ms,
            emit=self._emit,
            pause=self._pause,
        )


FILTERS_PASSED_OVER = "the filters of the settings do not apply to tasks that are named by id"
