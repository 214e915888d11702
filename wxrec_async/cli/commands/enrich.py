"""``ledger enrich``: what older ledgers did not keep, fetched again."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from wxrec_async.cli.command import period_of, run_command
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import EnrichFlags
from wxrec_async.cli.inspection import FindingPrinter, run_inspection
from wxrec_async.cli.summary_lines import NAMED
from wxrec_async.cli.text import harmless, span
from wxrec_async.config import Settings
from wxrec_async.events import Emit
from wxrec_async.maintenance import enrich


def run_enrich(flags: EnrichFlags) -> int:
    """Fill in what the ledger lacks."""
    return run_command(Console(flags), lambda console: _enrich(flags, console))


def _enrich(flags: EnrichFlags, console: Console) -> int:
    printer = FindingPrinter(console)

    def work(settings: Settings, emit: Emit) -> Awaitable[enrich.EnrichReport]:
        return enrich.enrich(settings, period=period_of(flags), on_looked=printer.count_silently, emit=emit)

    return run_inspection(console, flags, work, enrich_lines, printer)


def enrich_lines(report: enrich.EnrichReport) -> Iterator[str]:
    """Write the end of ``ledger enrich`` for people."""
    for what, why in [*report.failed.items()][:NAMED]:
        yield f"not asked: {harmless(what)}: {harmless(why)}"
    if report.failures > NAMED:
        yield f"and {report.failures - NAMED} more; --json names them"
    yield f"filled in: {report.tasks} calls of {report.days} days, {report.recordings} recordings"
    if report.out_of_reach:
        yield f"  {report.out_of_reach} days lie further back than the list of calls reaches"
    if report.not_told:
        yield f"  {report.not_told} recordings are not named by Webex any more"
    yield f"  took {span(report.seconds)}; the next run brings the sidecars up to date"
