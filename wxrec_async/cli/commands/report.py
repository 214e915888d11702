"""What ``report`` does, from its flags to its exit code."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TextIO

import anyio

from wxrec_async.cli.desk import Desk
from wxrec_async.cli.failing import cause_of
from wxrec_async.cli.output import silence
from wxrec_async.cli.report import ReportFlags
from wxrec_async.cli.running import guarded, settings_of
from wxrec_async.cli.session import until_signal
from wxrec_async.cli.text import harmless, size, visible
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError, WxrecError
from wxrec_async.ledger import Counts
from wxrec_async.model import Window, iso
from wxrec_async.report import EXIT_OK
from wxrec_async.reporting import ReportDone, Wanted, write_report
from wxrec_async.reporting.rows import Privacy
from wxrec_async.rules.windows import read_moment

STDOUT = "-"


def report(flags: ReportFlags) -> int:
    """Write what is asked for."""
    return guarded(Desk(flags), lambda desk: _report(flags, desk))


def _report(flags: ReportFlags, desk: Desk) -> int:
    targets = {name: value for name in ("html", "csv", "jsonl") if (value := getattr(flags, name)) is not None}
    _check(targets, flags)
    settings = settings_of(flags, desk)
    now_ms = round(time.time() * 1000)
    plain = flags.phone_numbers == "plain"
    places = {name: _target(name, value, settings) for name, value in targets.items()}
    wanted = Wanted(
        html=places.get("html"),
        csv=places.get("csv"),
        jsonl=places.get("jsonl"),
        period=_period(flags, now_ms),
        privacy=Privacy(plain_numbers=plain, agent_names=flags.agent_names),
    )
    if plain and settings.ledger.phone_numbers == "masked":
        desk.say(
            'the ledger keeps numbers masked ([ledger] phone_numbers = "masked"): plain is only what it was given so'
        )
    try:
        done = anyio.run(until_signal, lambda: write_report(settings.ledger.path, wanted, now_ms=now_ms))
        sys.stdout.flush()
    except BaseExceptionGroup as failures:
        return _ended_by(cause_of(failures))
    except OSError as failure:
        return _ended_by(failure)
    _tell(desk, targets, done)
    return EXIT_OK


def _ended_by(cause: BaseException) -> int:
    """Let a reader who has seen enough (``| head``) end it quietly; whatever else it was is told."""
    if isinstance(cause, OSError):
        silence(sys.stdout)  # the interpreter would stumble over what is left in it at exit
    if isinstance(cause, BrokenPipeError):
        return EXIT_OK
    if isinstance(cause, OSError):
        raise WxrecError(f"the report could not be written: {cause.strerror}") from None
    raise cause from None


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
            sys.stdout.reconfigure(encoding="utf-8", errors="strict", newline="")
        return sys.stdout
    path = Path(value)
    kept = [settings.auth.credentials, settings.auth.tokens]
    if any(path.absolute() == Path(each).absolute() for each in kept):
        raise ConfigError(f"--{name} {value} is a file of secrets ([auth]); name another file")
    return path


def _period(flags: ReportFlags, now_ms: int) -> Window | None:
    if flags.from_ is None and flags.to is None:
        return None
    from_ms = read_moment(flags.from_, "--from") if flags.from_ else 0
    to_ms = read_moment(flags.to, "--to") if flags.to else now_ms
    if from_ms >= to_ms:
        raise ConfigError(f"--from {iso(from_ms)} is not before --to {iso(to_ms)}")
    return Window(from_ms, to_ms)


def _tell(desk: Desk, targets: dict[str, str], done: ReportDone) -> None:
    """Say what was written where; on stderr when stdout was one of the places."""
    if desk.json:
        desk.out.record(_record(targets, done))
        return
    tell = desk.say if STDOUT in targets.values() else desk.out.line
    for name, value in targets.items():
        if value != STDOUT:
            rows = "" if name == "html" else f", {done.rows} rows"
            tell(f"{visible(value)}: {name}, {size(Path(value).stat().st_size)}{rows}")
    if done.facts is not None and STDOUT not in targets.values():
        tell(_counts_line(done.facts.counts))


def _counts_line(counts: Counts) -> str:
    """Say what the page says at its top."""
    stored = counts.stored + counts.already_stored
    return (
        f"  {counts.tasks_listed} tasks: {stored} recordings stored, {counts.failed + counts.failed_tasks} failed, "
        f"{counts.owed} owed, {counts.unfinished_tasks} unfinished"
    )


def _record(targets: dict[str, str], done: ReportDone) -> dict[str, object]:
    files = {name: harmless(value) for name, value in targets.items()}
    return {"event": "report", "schema": 1, **files, "rows": done.rows, "exit_code": EXIT_OK}
