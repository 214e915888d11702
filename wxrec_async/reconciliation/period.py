"""Opens the worlds, and reconciles a period day by day, oldest first."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.events import Emit, ignore
from wxrec_async.evidence import open_issuer
from wxrec_async.flow.policies import ages_of, asked_period, filters_of, job_of
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.flow.summary import EXIT_AUTH
from wxrec_async.flow.task_lister import Lister
from wxrec_async.ledger import Everything, open_seen_tasks
from wxrec_async.maintenance.verify import Comparison, Level
from wxrec_async.model import Period, Window, iso
from wxrec_async.reconciliation.day import Certifier, DayReconciler, OnDifference, ReconcileContext
from wxrec_async.reconciliation.day_report import DayReport, Difference, ReconcileReport
from wxrec_async.reconciliation.facts import FactsBuilder
from wxrec_async.reconciliation.recheck import CapturesRecheck
from wxrec_async.rules import windows
from wxrec_async.rules.server_time import believed_ms
from wxrec_async.rules.windows import AskedPeriod
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.wiring import clients
from wxrec_async.wiring.bucket import ledger_identity, open_bucket, open_ledger_of
from wxrec_async.wiring.observed import observed_reach

BEHIND_MS = 60_000  # the servers' time is told rather too late than too early, and it judges what is old enough
OnDay = Callable[[DayReport], None]


def _unheard(_: Difference | DayReport) -> None:
    """Listen for those who only want the report."""


async def reconcile(  # noqa: PLR0913 - what a host may hand in, each by its name
    settings: Settings,
    *,
    period: Window | None = None,
    certifier: Certifier | None = None,
    certify: bool = True,
    on_difference: OnDifference = _unheard,
    on_day: OnDay = _unheard,
    emit: Emit = ignore,
    given: clients.Injected = clients.NO_INJECTION,
    clock: Callable[[], float] = time.time,
) -> ReconcileReport:
    """Say of every task of ``period`` (default: what the settings ask for) where it stands.

    The ledger is held alone, and what is found to do becomes work in it; of the
    bucket only the evidence is written.  A period without an end of its own ends
    where calls are old enough to be judged.  Each whole UTC day with nothing
    missing gets manifest and certificate, unless ``certify`` is false, or what
    ``certifier`` makes of it; ``on_difference`` and ``on_day`` hear of what is
    found as it is found; ``given`` is as `Backfill` takes it, ``clock`` is epoch seconds.
    Raises `ConfigError`, `AuthError`, `LedgerError` or `RunStopped`.
    """

    def now_ms() -> int:
        return round(clock() * 1000)

    asked, begun = _asked(settings, period, now_ms()), anyio.current_time()
    report = ReconcileReport(f"reconcile-{uuid.uuid4().hex[:12]}", asked.period, notes=asked.clamped)
    report.ends_itself = period is None and not settings.backfill.to
    report.begins_late, report.filters = asked.begins_late, named_filters(settings)
    async with _bench(settings, on_difference, emit, given, clock) as (bench, bucket):
        await bench.ledger.begin_run(report.run_id, now_ms(), asked.period)
        try:
            if certify and certifier is None:
                certifier = await open_issuer(bucket, bench.ledger, clock=clock)
            await _day_by_day(report, bench, certifier if certify else None, on_day)
        except (AuthError, RunStopped) as refusal:
            code = refusal.exit_code if isinstance(refusal, RunStopped) else EXIT_AUTH
            await bench.ledger.end_run(report.run_id, now_ms(), code, report.as_json() | {"exit_code": code})
            raise
        finally:
            with anyio.CancelScope(shield=True):
                report.token_unsaved = not await bench.save_token()
        report.seconds = anyio.current_time() - begun
        await bench.ledger.end_run(report.run_id, now_ms(), report.exit_code, report.as_json())
    return report


async def _day_by_day(
    report: ReconcileReport, bench: ReconcileContext, certifier: Certifier | None, on_day: OnDay
) -> None:
    refusal: AuthError | RunStopped | None = None
    for asked in windows.cut(report.period):
        # The end that nobody gave is where calls are old enough, and how late it is at Webex is known by now.
        end = min(asked.to_ms, bench.servers_now_ms() - bench.ages.settle_ms) if report.ends_itself else asked.to_ms
        if end <= asked.from_ms:
            break
        window = Window(asked.from_ms, end)
        day = await DayReconciler(window, bench).run()
        if certifier is not None and day.certified and day.is_whole_day:
            try:
                if refusal is None:
                    day.certificate = await certifier.certify(
                        window,
                        day.attested_numbers(),
                        report.filters,
                        report.run_id,
                        basis=day.basis,
                        ended=bench.sightings,
                    )
                    day.attested = True
            except (AuthError, RunStopped) as failure:
                refusal = failure  # the evidence is one chain: what keeps one certificate out keeps out the next
            if refusal is not None:
                day.troubles.append(f"no certificate: {refusal}")
                day.denied += isinstance(refusal, AuthError)
        report.days.append(day)
        if bench.search is not None:
            report.search, report.search_words = ("absent" if bench.search.absent else "asked"), bench.search.absent
        on_day(day)


def _asked(settings: Settings, period: Window | None, now_ms: int) -> AskedPeriod:
    if period is not None:
        return windows.clamp(period, lookback_days=settings.webex.lookback_days, now_ms=now_ms)
    asked = asked_period(settings, now_ms)
    settled = now_ms - ages_of(settings).settle_ms - BEHIND_MS
    if settings.backfill.to or settled <= asked.period.from_ms:
        return asked
    note = f"ending at {iso(settled)}: younger calls cannot be judged ([backfill] settle_minutes)"
    return AskedPeriod(Period(asked.period.from_ms, settled), (*asked.clamped, note), asked.begins_late)


def named_filters(settings: Settings) -> dict[str, object]:
    """Return what was looked at and what was left out, as a certificate names it."""
    chosen = {name: value for name, value in settings.filters.model_dump(mode="json").items() if value}
    return {"channel_types": list(settings.webex.channel_types), **chosen}


@asynccontextmanager
async def _bench(
    settings: Settings, tell: OnDifference, emit: Emit, given: clients.Injected, clock: Callable[[], float]
) -> AsyncIterator[tuple[ReconcileContext, S3ReadStore]]:
    """Open Webex, the bucket and the ledger, in the order in which they can be refused."""
    secrets = await clients.load_secrets(settings, given, emit)
    await ledger_identity(settings)  # says that there is no ledger before anything is made
    tls, reach, path = clients.trusted_tls_context(settings), observed_reach(emit), settings.ledger.path
    async with (
        open_bucket(settings, emit, reach=reach, session=given.s3_session) as bucket,
        open_ledger_of(settings, secrets.org_id, emit) as ledger,
        open_seen_tasks(path) as sightings,
        clients.open_webex(settings, secrets, tls, emit, reach, clock, given) as webex,
    ):
        chosen, ages = settings.webex, ages_of(settings)

        def judged_ms() -> int:
            return believed_ms(round(clock() * 1000), webex.client.servers_now_ms())

        log = RunLog(job_of(settings, secrets.org_id, Everything()), ledger, emit, judged_ms)
        bench = ReconcileContext(
            ledger=ledger,
            sightings=sightings,
            lister=Lister(webex.client, chosen.page_size, chosen.channel_types),
            search=SearchReader(webex.search) if webex.search and chosen.search != "off" else None,
            search_required=chosen.search == "required",
            asker=CapturesRecheck(webex.client, ledger, log),
            bucket=bucket,
            comparison=Comparison(bucket, Level.HEAD),
            sides=FactsBuilder(filters_of(settings), counts=chosen.search_counts),
            ages=ages,
            channel_types=chosen.channel_types,
            concurrency=settings.backfill.concurrency,
            max_failures_in_row=settings.backfill.max_failures_in_row,
            now_ms=lambda: round(clock() * 1000),
            servers_now_ms=judged_ms,
            tell=tell,
            save_token=webex.refresher.save_pending,
        )
        yield bench, bucket
