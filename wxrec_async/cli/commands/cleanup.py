"""``cleanup``: unfinished multipart uploads of this tool are aborted."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Iterator

from wxrec_async.cli.command import run_command
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import CleanupFlags
from wxrec_async.cli.inspection import FindingPrinter, run_inspection
from wxrec_async.cli.prompt import read_line
from wxrec_async.cli.text import harmless, visible
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit
from wxrec_async.maintenance import cleanup
from wxrec_async.model import iso


def run_cleanup(flags: CleanupFlags) -> int:
    """Abort unfinished uploads."""
    return run_command(Console(flags), lambda console: _cleanup(flags, console))


def _cleanup(flags: CleanupFlags, console: Console) -> int:
    if flags.older_than is not None and not flags.all_under_prefix:
        raise ConfigError(
            "--older-than goes with --all-under-prefix; what the ledger knows is aborted whatever its age"
        )
    # All of them: each is a change to the bucket, or one that is still to be made.
    printer = FindingPrinter(console, most=None)

    def print_upload(cleaned: cleanup.Cleaned) -> None:
        printer.print(lambda: cleaned_record(cleaned), lambda: cleaned_line(cleaned))

    async def confirm(count: int) -> None:
        if not flags.yes:
            console.out.flush()  # what would be aborted is read first
            await _ask(count, console)

    def work(settings: Settings, emit: Emit) -> Awaitable[cleanup.CleanupReport]:
        return cleanup.cleanup(
            settings,
            all_under_prefix=flags.all_under_prefix,
            older_than_s=cleanup.OLDER_THAN_S if flags.older_than is None else flags.older_than,
            dry_run=flags.dry_run,
            on_upload=print_upload,
            confirm=confirm,
            emit=emit,
        )

    return run_inspection(console, flags, work, cleanup_lines, printer)


async def _ask(count: int, console: Console) -> None:
    """Have a person at a terminal say yes; raises `ConfigError` when nobody does."""
    words = f"{count} of them, not in this ledger and begun less than a day ago, may be those of a run that goes on"
    if sys.stdin.isatty():
        console.message(f"{words}; type yes to abort them all (it is not shown)")
        if await read_line() == "yes":
            return
    raise ConfigError(f"nothing was aborted: {words}; wait, name a longer --older-than, or say --yes")


def cleaned_record(cleaned: cleanup.Cleaned) -> dict[str, object]:
    """Return the JSON line for an upload."""
    upload = cleaned.upload
    return {
        "event": cleaned.fate.value,
        "key": upload.key,
        "upload_id": upload.upload_id,
        "begun": iso(upload.started_ms),
        "known": cleaned.known,
    }


def cleaned_line(cleaned: cleanup.Cleaned) -> str:
    """Name an upload for people."""
    upload = cleaned.upload
    begun = f", begun {iso(upload.started_ms)}" if upload.started_ms is not None else ""
    known = "" if cleaned.known else ", not in the ledger"
    return f"{cleaned.fate.value.replace('_', ' ')}: {visible(upload.key)} {visible(upload.upload_id)}{begun}{known}"


def cleanup_lines(report: cleanup.CleanupReport) -> Iterator[str]:
    """Write the end of ``cleanup`` for people."""
    fates = (
        cleanup.UploadFate.ABORTED,
        cleanup.UploadFate.COMPLETED,
        cleanup.UploadFate.LEFT,
        cleanup.UploadFate.YOUNG,
    )
    counts = ", ".join(f"{report.counts[fate]} {fate.value.replace('_', ' ')}" for fate in fates if report.counts[fate])
    yield f"{report.found} unfinished uploads" + (f": {counts}" if counts else "")
    if report.dry_run:
        yield "  nothing was aborted; leave out --dry-run to do it"
    yield from (f"  {harmless(problem)}" for problem in report.problems)
    if report.counts[cleanup.UploadFate.LEFT]:
        yield "  what is left open needs s3:AbortMultipartUpload, or a lifecycle rule for incomplete uploads"
