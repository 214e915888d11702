"""Opens the worlds, and reconciles a period day by day, oldest first."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.events import Emit, ignore
from wxrec_async.evidence import open_issuer
from wxrec_async.flow.operator import current_operator
from wxrec_async.flow.policies import ages_of, asked_period, reach_of
from wxrec_async.flow.summary import EXIT_AUTH
from wxrec_async.model import Period, Window, iso
from wxrec_async.reconciliation.day import Certifier, DayReconciler, OnDifference, ReconcileContext
from wxrec_async.reconciliation.day_report import DayReport, Difference, ReconcileReport
from wxrec_async.reconciliation.opened_context import open_context
from wxrec_async.rules import windows
from wxrec_async.rules.evidence import Claim
from wxrec_async.rules.windows import AskedPeriod
from wxrec_async.wiring.account import NO_INJECTION, Injected

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
    given: Injected = NO_INJECTION,
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
    async with open_context(settings, on_difference, emit, given, clock) as (bench, bucket):
        author = current_operator()
        await bench.ledger.begin_run(report.run_id, now_ms(), asked.period, author=author, command="reconcile")
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
                    claim = Claim(window, day.attested_numbers(), report.filters, report.run_id, day.basis)
                    day.certificate = await certifier.certify(claim, bench.sightings)
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
        return windows.clamp(period, lookback_days=reach_of(settings).days, now_ms=now_ms)
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
