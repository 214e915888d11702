"""``reconcile``: both lists of Webex, the ledger and the bucket against each other."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from wxrec_async.cli.command import run_command
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import ReconcileFlags
from wxrec_async.cli.inspection import FindingPrinter, run_inspection
from wxrec_async.cli.summary_lines import KINDS
from wxrec_async.cli.text import harmless, size, span, visible
from wxrec_async.config import Settings
from wxrec_async.events import Emit
from wxrec_async.model import SearchState, iso
from wxrec_async.reconciliation.day_report import STATES, DayReport, Difference, ReconcileReport
from wxrec_async.reconciliation.period import reconcile

MEANINGS = {
    0: "certified: every task of the period is stored and verified, has no recording, or was deleted at Webex",
    3: "not certified: something failed or is not known, and is named above",
    4: "not certified: a permission is missing",
    5: "not certified: nothing failed, but something is still to come; run, then reconcile again",
}


def run_reconcile(flags: ReconcileFlags) -> int:
    """Prove a period complete, or name what is missing."""
    return run_command(Console(flags), lambda console: _reconcile(flags, console))


def _reconcile(flags: ReconcileFlags, console: Console) -> int:
    # All of them: the period is proved complete, or what is missing is named.
    printer = FindingPrinter(console, most=None)

    def work(settings: Settings, emit: Emit) -> Awaitable[ReconcileReport]:
        def print_difference(difference: Difference) -> None:
            printer.print(lambda: difference_record(difference), lambda: difference_line(difference))

        def print_day(day: DayReport) -> None:
            # People get the days at the end; here they would stand among the differences.
            if console.json:
                console.out.later({"event": "day", **day.as_json()})

        return reconcile(settings, on_difference=print_difference, on_day=print_day, emit=emit)

    return run_inspection(console, flags, work, report_lines, printer, meanings=MEANINGS)


def difference_record(difference: Difference) -> dict[str, object]:
    """Return the JSON line for a difference."""
    return {
        "event": "difference",
        "day": str(iso(difference.day.from_ms))[:10],
        "task_id": difference.task_id,
        "recording_id": difference.recording_id or None,
        "state": difference.standing.value,
        "reason": difference.reason,
        "detail": harmless(difference.words),
        "work": difference.work,
    }


def difference_line(difference: Difference) -> str:
    """Name a difference for people."""
    recording = f" recording {visible(difference.recording_id)}" if difference.recording_id else ""
    work = " (the next run takes it up)" if difference.work else ""
    return (
        f"{str(iso(difference.day.from_ms))[:10]} {difference.standing.value.replace('_', ' ')}: "
        f"task {visible(difference.task_id)}{recording}: {visible(difference.reason)}: "
        f"{harmless(difference.words)}{work}"
    )


def report_lines(report: ReconcileReport) -> Iterator[str]:
    """Write the end of a reconciliation for people."""
    counts = report.counts
    yield f"{report.period}   {report.run_id}"
    yield from _day_lines(report)
    yield f"  tasks       {counts['tasks']}   " + (
        ", ".join(f"{counts[state]} {state.value.replace('_', ' ')}" for state in STATES if counts[state]) or "none"
    )
    yield f"  verified    {counts['recordings']} recordings, {size(counts['bytes'])}, by the checksums S3 names"
    for kind, word in KINDS.items():
        if counts[f"recordings_{kind}"]:
            yield f"   of them    {counts[f'recordings_{kind}']} {word}"
    yield _search_line(report)
    if counts["left_out"]:
        yield f"  left out    {counts['left_out']} tasks by filters; they are not part of what is certified"
    if counts["other_channels"]:
        yield f"  others      {counts['other_channels']} contacts of other channels were seen and left"
    if report.token_unsaved:
        yield "the refreshed token could not be saved"
    yield from (f"note: {harmless(note)}" for note in report.notes)
    yield f"  took        {span(report.seconds)}"


def _day_lines(report: ReconcileReport) -> Iterator[str]:
    certified = [day for day in report.days if day.certified]
    yield f"  certified   {len(certified)} of {len(report.days)} days"
    for day in report.days:
        if not day.certified:
            yield f"  {str(iso(day.window.from_ms))[:10]}  not certified: {harmless('; '.join(day.why_not()))}"
        elif day.certificate:
            yield f"  {str(iso(day.window.from_ms))[:10]}  certificate {visible(day.certificate)}"
        for note in day.notes:
            yield f"  {str(iso(day.window.from_ms))[:10]}  note: {harmless(note)}"


def _search_line(report: ReconcileReport) -> str:
    counts = report.counts
    match report.search:
        case "asked":
            only = f"{counts['only_listed']} only on the list of tasks, {counts['only_searched']} only in Search"
            return f"  search      {counts['searched']} tasks; {only}"
        case "absent":
            # The report calls both absent, no Search at all and one that refuses us; the days tell them apart.
            refused = any(day.search_heard is SearchState.REFUSED for day in report.days)
            who = "it does not answer us" if refused else "this organisation has none"
            return f"  search      {who} ({harmless(report.search_words)}): the list of tasks stands alone"
    return '  search      not asked ([webex] search = "off"): the list of tasks stands alone'
