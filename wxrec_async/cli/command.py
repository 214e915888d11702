"""What commands have in common: their errors, their settings, and the end of those that move recordings."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wxrec_async.cli import early_signals, rlimits
from wxrec_async.cli.console import Console
from wxrec_async.cli.early_signals import StoppedBySignal
from wxrec_async.cli.exit_codes import exit_code_of, sentence
from wxrec_async.cli.flags import CommonFlags, OutputFlags, PartFlags
from wxrec_async.cli.parsing import overrides
from wxrec_async.cli.session import Check, Interrupted, Session
from wxrec_async.cli.summary_lines import run_lines
from wxrec_async.cli.text import harmless
from wxrec_async.config import Settings, load_config_with_origins
from wxrec_async.errors import ConfigError
from wxrec_async.flow.summary import EXIT_FAILED, EXIT_OK, EXIT_OWED, Summary
from wxrec_async.model import Window, iso
from wxrec_async.rules.windows import read_moment

if TYPE_CHECKING:
    from wxrec_async import Backfill

Job = Callable[["Backfill"], Awaitable[Summary]]
UNTOLD_CODES = (EXIT_OK, EXIT_OWED)


def run_command(console: Console, body: Callable[[Console], int]) -> int:
    """Carry a command out; whatever goes wrong is one line and an exit code."""
    # Before anything secret is read.
    rlimits.forbid_core_dumps()
    # From here on something may be open that has to be closed.
    early_signals.raise_instead()
    code = _carried_out(console, body)
    # The job is done as the code says, but whoever reads stdout was not told of it.
    if console.out.lost and code in UNTOLD_CODES:
        console.error(f"stdout could not be written ({console.out.lost}): what was done is in the ledger alone")
        return EXIT_FAILED
    return code


def _carried_out(console: Console, body: Callable[[Console], int]) -> int:
    try:
        return body(console)
    # It is an Exception too, so before those: a signal is no failure.
    except Interrupted as interrupted:
        return interrupted.exit_code
    # While no event loop has taken the signals over yet, or has given them back.
    except KeyboardInterrupt as stopped:
        name = stopped.name if isinstance(stopped, StoppedBySignal) else "SIGINT"
        console.message(f"{name}: stopped")
        return Interrupted(name).exit_code
    except Exception as failure:  # noqa: BLE001 - this is where the program ends
        console.trace(failure)
        console.error(sentence(failure))
        return exit_code_of(failure)


def settings_of(flags: CommonFlags, console: Console) -> Settings:
    """Read the settings the flags stand above, and warn of what is odd about them; raises `ConfigError`."""
    return read_settings(flags.config, flags, console)


def read_settings(file: Path | None, flags: OutputFlags, console: Console) -> Settings:
    """Do the same for a file that is named apart from the flags."""
    loaded = load_config_with_origins(file, overrides=overrides(flags))
    for warning in loaded.warnings:
        console.log.warning(warning)
    return loaded.settings


def period_of(flags: PartFlags, now_ms: int | None = None) -> Window | None:
    """Return the period that was asked for, None when it is all there is; raises `ConfigError` when it is empty."""
    if flags.from_ is None and flags.to is None:
        return None
    latest_ms = round(time.time() * 1000) if now_ms is None else now_ms
    from_ms = read_moment(flags.from_, "--from") if flags.from_ else 0
    to_ms = read_moment(flags.to, "--to") if flags.to else latest_ms
    if from_ms >= to_ms:
        raise ConfigError(f"--from {iso(from_ms)} is not before --to {iso(to_ms)}")
    return Window(from_ms, to_ms)


def move_recordings(
    settings: Settings, console: Console, work: Job, *, check: Check | None = None, steady: bool = False
) -> int:
    """Have a `Backfill` do ``work``, print its summary, and return its exit code."""
    session = Session(_fitting_settings(settings, console), console, work, check=check, steady=steady)
    return print_summary(session.run(), session, console)


def print_summary(summary: Summary, session: Session[Summary], console: Console) -> int:
    """Write the last line of a command that moves recordings, and return its exit code."""
    if console.json:
        console.out.record(summary_record(summary))
    else:
        for line in run_lines(summary, session.notes, session.tokens):
            console.out.line(line)
    return summary.exit_code


def summary_record(summary: Summary) -> dict[str, object]:
    """Return the JSON line of a summary, its error masked."""
    record = summary.as_json()
    return record | {"error": harmless(str(record["error"])) if record["error"] else None}


def _fitting_settings(settings: Settings, console: Console) -> Settings:
    """Lower the concurrency when the operating system allows too few open files."""
    fitting = rlimits.raise_file_limit(settings)
    if fitting == settings.backfill.concurrency:
        return settings
    console.log.warning(
        "too_few_open_files", hint="ulimit -n", concurrency=fitting, wanted=settings.backfill.concurrency
    )
    # Fewer workers are slower; too many open files would fail recordings.
    backfill = settings.backfill.model_copy(update={"concurrency": fitting})
    return settings.model_copy(update={"backfill": backfill})
