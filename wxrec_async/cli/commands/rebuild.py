"""``ledger rebuild``: a new ledger from the bucket."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from wxrec_async.cli.command import run_command
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import RebuildFlags
from wxrec_async.cli.inspection import FindingPrinter, run_inspection
from wxrec_async.cli.text import harmless, size, span, visible
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit
from wxrec_async.maintenance import rebuild


def run_rebuild(flags: RebuildFlags) -> int:
    """Make a new ledger from the bucket."""
    return run_command(Console(flags), lambda console: _rebuild(flags, console))


def _rebuild(flags: RebuildFlags, console: Console) -> int:
    if flags.merge and flags.replace:
        raise ConfigError("--merge adds to a sound ledger, --replace sets a damaged one aside; give one or the other")
    printer = FindingPrinter(console)

    def print_left_out(left: rebuild.SkippedObject) -> None:
        printer.print(lambda: left_out_record(left), lambda: left_out_line(left))

    def work(settings: Settings, emit: Emit) -> Awaitable[rebuild.RebuildReport]:
        return rebuild.rebuild(
            settings, replace=flags.replace, merge=flags.merge, on_left_out=print_left_out, emit=emit
        )

    return run_inspection(console, flags, work, rebuild_lines, printer)


def left_out_record(left: rebuild.SkippedObject) -> dict[str, object]:
    """Return the JSON line for an object that was not taken."""
    return {"event": "left_out", "key": left.key, "why": left.why.value, "detail": harmless(left.detail)}


def left_out_line(left: rebuild.SkippedObject) -> str:
    """Name an object that was not taken for people."""
    detail = f": {harmless(left.detail)}" if left.detail else ""
    return f"left out: {visible(left.key)}: {left.why.value.replace('_', ' ')}{detail}"


def rebuild_lines(report: rebuild.RebuildReport) -> Iterator[str]:
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
