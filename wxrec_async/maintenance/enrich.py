"""What older ledgers did not keep of calls and recordings, fetched again where Webex still says it.

Calls are listed again, day by day, as far back as the list reaches; recordings
are asked for ten calls at once.  Both only fill gaps.  What was filled, or is
not to be had any more, is not asked for again: broken off, it goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from wxrec_async.config import Settings
from wxrec_async.events import Emit, ignore
from wxrec_async.flow.batch import CAPTURES_BATCH, CapturesResult
from wxrec_async.flow.summary import EXIT_FAILED, EXIT_OK, SUMMARY_SCHEMA
from wxrec_async.flow.task_lister import Lister
from wxrec_async.ledger import SqliteLedger
from wxrec_async.model import Task, TaskPage, Window
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.rules import windows
from wxrec_async.rules.server_time import believed_ms
from wxrec_async.wiring import clients
from wxrec_async.wiring.account import NO_INJECTION, Injected, load_secrets, number_hash_of
from wxrec_async.wiring.bucket import ledger_identity, open_ledger_of
from wxrec_async.wiring.observed import observed_reach

PAGE = 500
AT_ONCE = 4  # calls of captures: the budget, not their number, says how fast it goes
KEPT = 1000

OnLooked = Callable[[], None]


def _unheard() -> None:
    """Listen for those who only want the report."""


@dataclass(slots=True)
class EnrichReport:
    """What was filled in; ``out_of_reach`` are days that the list does not reach.

    ``not_told`` are recordings that Webex does not name any more; ``failed`` names the
    first thousand days and calls that could not be asked for, and why.
    """

    tasks: int = 0
    recordings: int = 0
    days: int = 0
    out_of_reach: int = 0
    not_told: int = 0
    failures: int = 0
    seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Return 0, or 3 when something could not be asked for: run it again."""
        return EXIT_FAILED if self.failures else EXIT_OK

    def fail(self, what: str, why: str) -> None:
        """Count and name one."""
        self.failures += 1
        if len(self.failed) < KEPT:
            self.failed[what] = why

    def as_json(self) -> dict[str, object]:
        """Return the summary line of ``--json``."""
        return {
            "event": "summary",
            "schema": SUMMARY_SCHEMA,
            "tasks": self.tasks,
            "recordings": self.recordings,
            "days": self.days,
            "days_out_of_reach": self.out_of_reach,
            "recordings_not_told": self.not_told,
            "failed": self.failures,
            "failures": [{"what": what, "why": why} for what, why in self.failed.items()],
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }


class CapturesSource(Protocol):
    """Webex, as far as captures go."""

    async def captures(self, task_ids: Sequence[str]) -> CapturesResult: ...


async def enrich(
    settings: Settings,
    *,
    period: Window | None = None,
    on_looked: OnLooked = _unheard,
    emit: Emit = ignore,
    given: Injected = NO_INJECTION,
    clock: Callable[[], float] = time.time,
) -> EnrichReport:
    """Fill in what the ledger lacks of calls of ``period`` (default: all); ``on_looked`` hears of each call looked at.

    The ledger is held alone, requests share the one budget.  Raises `ConfigError`,
    `AuthError`, `LedgerError` or `RunStopped` when it cannot begin or go on.
    """
    secrets = await load_secrets(settings, given, emit)
    await ledger_identity(settings)  # says that there is no ledger before one is made
    tls, reach = clients.trusted_tls_context(settings), observed_reach(emit)
    begun, report = anyio.current_time(), EnrichReport()
    async with (
        open_ledger_of(settings, secrets.org_id, emit, number_hash_of(settings, secrets.credentials)) as ledger,
        clients.open_webex(settings, secrets, tls, emit, reach, clock, given) as webex,
    ):
        chosen = settings.webex
        work = _Enriching(ledger, report, on_looked)
        now_ms = believed_ms(round(clock() * 1000), webex.client.servers_now_ms())
        try:
            await work.list_again(Lister(webex.client, chosen.page_size, chosen.channel_types), period, now_ms, chosen)
            await work.ask_again(webex.client, period)
        finally:
            await webex.refresher.save_pending()
    report.seconds = anyio.current_time() - begun
    return report


class ListReach(Protocol):
    """How far back the list goes."""

    @property
    def lookback_days(self) -> int: ...


class _Enriching:
    """Fills one ledger in, and counts."""

    def __init__(self, ledger: SqliteLedger, report: EnrichReport, on_looked: OnLooked) -> None:
        self._ledger, self._report, self._on_looked = ledger, report, on_looked

    async def list_again(self, lister: Lister, period: Window | None, now_ms: int, reach: ListReach) -> None:
        """Read the list of every day of which something is lacking."""
        for day in await self._ledger.days_lacking(period):
            listed = windows.listable(day, lookback_days=reach.lookback_days, now_ms=now_ms)
            if listed is None:
                self._report.out_of_reach += 1
            elif trouble := await lister.read(listed, self._take_in):
                self._report.fail(str(listed), trouble)
            else:
                self._report.days += 1
                await self._ledger.all_told(listed)

    async def _take_in(self, _window: Window, _page: TaskPage, tasks: Sequence[Task]) -> None:
        self._report.tasks += await self._ledger.fill_tasks(tasks)
        for _ in tasks:
            self._on_looked()

    async def ask_again(self, webex: CapturesSource, period: Window | None) -> None:
        """Ask captures for every call with recordings of which something is lacking."""
        after = 0

        async def ask(task_ids: Sequence[str]) -> None:
            answer = await webex.captures(task_ids)
            for task_id, why in answer.failed.items():
                self._report.fail(task_id, why)
            for task_id, capture in answer.captures.items():
                sound = not capture.unsettled
                filled, gone = await self._ledger.fill_recordings(task_id, capture.recordings, sound=sound)
                self._report.recordings += filled
                self._report.not_told += gone if sound else 0
                if gone and not sound:
                    self._report.fail(task_id, capture.unsettled)
                self._on_looked()

        while rows := await self._ledger.recordings_lacking(period, after=after, limit=PAGE):
            after = rows[-1][0]
            ids = [task_id for _, task_id in rows]
            batches = [ids[start : start + CAPTURES_BATCH] for start in range(0, len(ids), CAPTURES_BATCH)]
            await each_of(batches, ask, AT_ONCE)
