"""``verify``: the bucket against the ledger, or against the evidence that lies in it."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from wxrec_async import evidence
from wxrec_async.cli.command import period_of, run_command
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import VerifyFlags
from wxrec_async.cli.inspection import FindingPrinter, run_inspection
from wxrec_async.cli.text import harmless, size, span, visible
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit
from wxrec_async.maintenance import verify as verification


def run_verify(flags: VerifyFlags) -> int:
    """Compare the bucket with the ledger, or with the evidence that lies in it."""
    against = _audit if flags.evidence else _verify
    return run_command(Console(flags), lambda console: against(flags, console))


def _verify(flags: VerifyFlags, console: Console) -> int:
    printer = FindingPrinter(console)

    def print_finding(finding: verification.ObjectFinding) -> None:
        shown = finding.verdict is not verification.ObjectVerdict.OK
        printer.print(lambda: finding_record(finding), lambda: finding_line(finding), shown=shown)

    def work(settings: Settings, emit: Emit) -> Awaitable[verification.VerifyReport]:
        level = verification.Level(flags.level)
        return verification.verify(
            settings, level=level, period=period_of(flags), mark=flags.mark, on_finding=print_finding, emit=emit
        )

    return run_inspection(console, flags, work, verify_lines, printer)


def _audit(flags: VerifyFlags, console: Console) -> int:
    if flags.mark:
        raise ConfigError("--mark goes with the ledger, not with --evidence; verify without --evidence to mark")
    printer = FindingPrinter(console)

    def print_problem(problem: evidence.Problem) -> None:
        printer.print(lambda: problem_record(problem), lambda: problem_line(problem))

    def work(settings: Settings, emit: Emit) -> Awaitable[evidence.AuditReport]:
        return evidence.audit(
            settings,
            full=flags.level == "full",
            period=period_of(flags),
            on_problem=print_problem,
            on_looked=printer.count_silently,
            emit=emit,
        )

    return run_inspection(console, flags, work, audit_lines, printer)


def finding_record(finding: verification.ObjectFinding) -> dict[str, object]:
    """Return the JSON line for an object."""
    row = finding.row
    record: dict[str, object] = {
        "event": finding.verdict.value,
        "task_id": row.task_id,
        "recording_id": row.recording_id,
    }
    record["key"] = row.key
    if finding.verdict is verification.ObjectVerdict.OK:
        return record
    return record | {"what": list(finding.what), "detail": harmless(finding.detail), "marked": finding.marked}


def finding_line(finding: verification.ObjectFinding) -> str:
    """Name an object for people."""
    row = finding.row
    marked = " (marked: the next run takes it up)" if finding.marked else ""
    return (
        f"{finding.verdict.value}: {visible(row.key)}: task {visible(row.task_id)} "
        f"recording {visible(row.recording_id)}: {harmless(finding.detail)}{marked}"
    )


def verify_lines(report: verification.VerifyReport) -> Iterator[str]:
    """Write the end of ``verify`` for people."""
    counts = ", ".join(f"{report.counts[verdict]} {verdict.value}" for verdict in verification.ObjectVerdict)
    yield f"{report.checked} stored recordings looked at ({report.level.value}): {counts}"
    if report.level is verification.Level.HEAD:
        yield "  sizes and checksums as S3 names them; --level full reads the bytes back"
    else:
        yield f"  {size(report.bytes_read)} read back"
    if report.denied:
        yield f"  {report.denied} refused: s3:GetObject is needed, and s3:ListBucket to tell missing from forbidden"
    if report.marked:
        yield f"  {report.marked} marked; `wxrec-async retry` fetches them again"
    elif report.counts[verification.ObjectVerdict.MISSING] or report.counts[verification.ObjectVerdict.DIFFERENT]:
        yield "  nothing was changed; with --mark the next run fetches them again"
    yield f"  took {span(report.seconds)}"


def problem_record(problem: evidence.Problem) -> dict[str, object]:
    """Return the JSON line for something that is wrong with the evidence, or in the bucket."""
    record: dict[str, object] = {"event": problem.wrong.value, "key": problem.key, "detail": harmless(problem.detail)}
    if problem.task_id:
        record |= {"task_id": problem.task_id, "recording_id": problem.recording_id}
    return record


def problem_line(problem: evidence.Problem) -> str:
    """Name it for people."""
    task = f": task {visible(problem.task_id)} recording {visible(problem.recording_id)}" if problem.task_id else ""
    return f"{problem.wrong.value.replace('_', ' ')}: {visible(problem.key)}{task}: {harmless(problem.detail)}"


def audit_lines(report: evidence.AuditReport) -> Iterator[str]:
    """Write the end of ``verify --evidence`` for people."""
    wrong = ", ".join(f"{count} {kind.value.replace('_', ' ')}" for kind, count in report.counts.items())
    yield (
        f"{report.certificates} certificates of {report.days} days, {report.recordings} recordings looked at "
        f"({report.level}): {wrong or 'all is well'}"
    )
    if report.witnesses:
        answers = ", ".join(f"{how.replace('_', ' ')} {days}" for how, days in report.heard("search").items())
        yield f"  Search, by days certified: {answers}; {report.tasks} tasks named as having nothing to store"
    for tip in report.tips:
        yield f"  newest certificate of {visible(tip.org_id)}: {tip.n}, SHA-256 {tip.sha256}; note it elsewhere"
    if report.unnamed:
        yield f"  {report.unnamed} objects of certified days are in no manifest: stored since; certify these days again"
    if report.bytes_read:
        yield f"  {size(report.bytes_read)} read back"
    if report.denied:
        yield f"  {report.denied} refused: s3:GetObject and s3:ListBucket are needed"
    yield f"  took {span(report.seconds)}"
