"""``report``: the ledger as a page, as CSV and as JSON lines."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TextIO

from wxrec_async.cli.command import period_of, run_command, settings_of
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import ReportFlags
from wxrec_async.cli.output import silence
from wxrec_async.cli.session import run_until_signal
from wxrec_async.cli.text import harmless, size, visible
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError, WxrecError
from wxrec_async.flow.summary import EXIT_OK
from wxrec_async.ledger import Counts
from wxrec_async.reporting import ReportDone, Wanted, write_report
from wxrec_async.reporting.table_rows import Privacy

STDOUT = "-"


def run_report(flags: ReportFlags) -> int:
    """Write what is asked for."""
    return run_command(Console(flags), lambda console: _report(flags, console))


def _report(flags: ReportFlags, console: Console) -> int:
    targets = {name: value for name in ("html", "csv", "jsonl") if (value := getattr(flags, name)) is not None}
    _check(targets, flags)
    settings = settings_of(flags, console)
    # One moment for the period's end and for everything in the report: a page must not contradict itself.
    now_ms = round(time.time() * 1000)
    plain = flags.phone_numbers == "plain"
    places = {name: _target(name, value, settings) for name, value in targets.items()}
    wanted = Wanted(
        html=places.get("html"),
        csv=places.get("csv"),
        jsonl=places.get("jsonl"),
        period=period_of(flags, now_ms),
        privacy=Privacy(plain_numbers=plain, agent_names=flags.agent_names),
    )
    if plain and settings.ledger.phone_numbers != "plain":
        console.message("the ledger keeps numbers masked ([ledger] phone_numbers): plain is only what it was given so")
    try:
        done = run_until_signal(lambda: write_report(settings.ledger.path, wanted, now_ms=now_ms))
        # Here, where a failure can be told; at the interpreter's exit the exit code is settled.
        sys.stdout.flush()
    except OSError as failure:
        return _ended_by(failure)
    _print_done(console, targets, done)
    return EXIT_OK


def _ended_by(failure: OSError) -> int:
    """Let a reader who has seen enough (``| head``) end it quietly; raises `WxrecError` for whatever else it was."""
    silence(sys.stdout)  # the interpreter would stumble over what is left in it at exit
    if isinstance(failure, BrokenPipeError):
        return EXIT_OK
    raise WxrecError(f"the report could not be written: {failure.strerror}") from None


def _check(targets: dict[str, str], flags: ReportFlags) -> None:
    if not targets:
        raise ConfigError("say what to write: --html FILE, --csv FILE or --jsonl FILE (- is stdout)")
    for name, value in targets.items():
        if not value or "\0" in value:
            raise ConfigError(f"--{name} needs the name of a file, or - for stdout")
    to_stdout = [f"--{name} -" for name, value in targets.items() if value == STDOUT]
    if flags.json:
        to_stdout.append("--json")
    if len(to_stdout) > 1:
        raise ConfigError(f"{' and '.join(to_stdout)} would mix on stdout; give one of them a file")


def _target(name: str, value: str, settings: Settings) -> Path | TextIO:
    if value == STDOUT:
        if hasattr(sys.stdout, "reconfigure"):
            # A file's form, whatever the locale: `Console` has made errors lenient, which would falsify ids in silence.
            # newline="" leaves the CSV its own CRLF.
            sys.stdout.reconfigure(encoding="utf-8", errors="strict", newline="")
        return sys.stdout
    path = Path(value)
    kept = [settings.auth.credentials, settings.auth.tokens]
    if any(path.absolute() == Path(each).absolute() for each in kept):
        raise ConfigError(f"--{name} {value} is a file of secrets ([auth]); name another file")
    return path


def _print_done(console: Console, targets: dict[str, str], done: ReportDone) -> None:
    """Print what was written where; on stderr when stdout was one of the places."""
    if console.json:
        console.out.record(_record(targets, done))
        return
    write = console.message if STDOUT in targets.values() else console.out.line
    for name, value in targets.items():
        if value != STDOUT:
            rows = "" if name == "html" else f", {done.rows} rows"
            write(f"{visible(value)}: {name}, {size(Path(value).stat().st_size)}{rows}")
    if done.facts is not None and STDOUT not in targets.values():
        write(_counts_line(done.facts.counts))


def _counts_line(counts: Counts) -> str:
    """Write what the page has at its top."""
    stored = counts.stored + counts.already_stored
    return (
        f"  {counts.tasks_listed} tasks: {stored} recordings stored, {counts.failed + counts.failed_tasks} failed, "
        f"{counts.owed} owed, {counts.unfinished_tasks} unfinished"
    )


def _record(targets: dict[str, str], done: ReportDone) -> dict[str, object]:
    files = {name: harmless(value) for name, value in targets.items()}
    return {"event": "report", "schema": 1, **files, "rows": done.rows, "exit_code": EXIT_OK}
