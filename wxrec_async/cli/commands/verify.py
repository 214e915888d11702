"""What ``verify``, ``ledger rebuild`` and ``cleanup`` find, into lines for people and records for ``--json``."""

from __future__ import annotations

from collections.abc import Iterator

from wxrec_async import cleanup as cleaning
from wxrec_async import evidence
from wxrec_async import rebuild as rebuilding
from wxrec_async import verify as verifying
from wxrec_async.cli.text import harmless, size, span, visible
from wxrec_async.model import iso


def finding_record(finding: verifying.Finding) -> dict[str, object]:
    """Return the JSON line for an object."""
    row = finding.row
    record: dict[str, object] = {
        "event": finding.verdict.value,
        "task_id": row.task_id,
        "recording_id": row.recording_id,
    }
    record["key"] = row.key
    if finding.verdict is verifying.Verdict.OK:
        return record
    return record | {"what": list(finding.what), "detail": harmless(finding.detail), "marked": finding.marked}


def finding_line(finding: verifying.Finding) -> str:
    """Name an object for people."""
    row = finding.row
    marked = " (marked: the next run takes it up)" if finding.marked else ""
    return (
        f"{finding.verdict.value}: {visible(row.key)}: task {visible(row.task_id)} "
        f"recording {visible(row.recording_id)}: {harmless(finding.detail)}{marked}"
    )


def verify_lines(report: verifying.VerifyReport) -> Iterator[str]:
    """Write the end of ``verify`` for people."""
    counts = ", ".join(f"{report.counts[verdict]} {verdict.value}" for verdict in verifying.Verdict)
    yield f"{report.checked} stored recordings looked at ({report.level.value}): {counts}"
    if report.level is verifying.Level.HEAD:
        yield "  sizes and checksums as S3 names them; --level full reads the bytes back"
    else:
        yield f"  {size(report.bytes_read)} read back"
    if report.denied:
        yield f"  {report.denied} refused: s3:GetObject is needed, and s3:ListBucket to tell missing from forbidden"
    if report.marked:
        yield f"  {report.marked} marked; `wxrec-async retry` fetches them again"
    elif report.counts[verifying.Verdict.MISSING] or report.counts[verifying.Verdict.DIFFERENT]:
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
        heard = ", ".join(f"{how.replace('_', ' ')} {days}" for how, days in report.heard("search").items())
        yield f"  Search, by days certified: {heard}; {report.tasks} tasks named as having nothing to store"
    for tip in report.tips:
        yield f"  newest certificate of {visible(tip.org_id)}: {tip.n}, SHA-256 {tip.sha256}; note it elsewhere"
    if report.unnamed:
        yield f"  {report.unnamed} objects of certified days are in no manifest: stored since; certify these days again"
    if report.bytes_read:
        yield f"  {size(report.bytes_read)} read back"
    if report.denied:
        yield f"  {report.denied} refused: s3:GetObject and s3:ListBucket are needed"
    yield f"  took {span(report.seconds)}"


def left_record(left: rebuilding.LeftOut) -> dict[str, object]:
    """Return the JSON line for an object that was not taken."""
    return {"event": "left_out", "key": left.key, "why": left.why.value, "detail": harmless(left.detail)}


def left_line(left: rebuilding.LeftOut) -> str:
    """Name an object that was not taken for people."""
    detail = f": {harmless(left.detail)}" if left.detail else ""
    return f"left out: {visible(left.key)}: {left.why.value.replace('_', ' ')}{detail}"


def rebuild_lines(report: rebuilding.RebuildReport) -> Iterator[str]:
    """Write the end of ``ledger rebuild`` for people."""
    if report.set_aside:
        yield f"the damaged ledger is now {report.set_aside}"
    yield (
        f"{report.path}: {report.recordings} recordings of {report.tasks} tasks, {size(report.bytes)}, "
        f"from {report.objects} objects under {report.prefix or 'the whole bucket'}"
    )
    left = ", ".join(f"{count} {why.value.replace('_', ' ')}" for why, count in report.left_out.items())
    if left:
        yield f"  left out: {left}"
    yield f"  took {span(report.seconds)}; the next run asks Webex for these tasks again and downloads none of this"


def cleaned_record(cleaned: cleaning.Cleaned) -> dict[str, object]:
    """Return the JSON line for an upload."""
    upload = cleaned.upload
    return {
        "event": cleaned.fate.value,
        "key": upload.key,
        "upload_id": upload.upload_id,
        "begun": iso(upload.started_ms),
        "known": cleaned.known,
    }


def cleaned_line(cleaned: cleaning.Cleaned) -> str:
    """Name an upload for people."""
    upload = cleaned.upload
    begun = f", begun {iso(upload.started_ms)}" if upload.started_ms is not None else ""
    known = "" if cleaned.known else ", not in the ledger"
    return f"{cleaned.fate.value.replace('_', ' ')}: {visible(upload.key)} {visible(upload.upload_id)}{begun}{known}"


def cleanup_lines(report: cleaning.CleanupReport) -> Iterator[str]:
    """Write the end of ``cleanup`` for people."""
    fates = (cleaning.Fate.ABORTED, cleaning.Fate.COMPLETED, cleaning.Fate.LEFT, cleaning.Fate.YOUNG)
    told = ", ".join(f"{report.counts[fate]} {fate.value.replace('_', ' ')}" for fate in fates if report.counts[fate])
    yield f"{report.found} unfinished uploads" + (f": {told}" if told else "")
    if report.dry_run:
        yield "  nothing was aborted; leave out --dry-run to do it"
    yield from (f"  {harmless(problem)}" for problem in report.problems)
    if report.counts[cleaning.Fate.LEFT]:
        yield "  what is left open needs s3:AbortMultipartUpload, or a lifecycle rule for incomplete uploads"
