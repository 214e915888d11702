"""What ``verify``, ``ledger rebuild`` and ``cleanup`` do, from their flags to their exit codes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol, TypeVar

import anyio

from wxrec_async import cleanup as cleaning
from wxrec_async import evidence
from wxrec_async import rebuild as rebuilding
from wxrec_async import verify as verifying
from wxrec_async.cli.cleanup import CleanupFlags
from wxrec_async.cli.desk import Desk
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.failing import cause_of
from wxrec_async.cli.findings import (
    audit_lines,
    cleaned_line,
    cleaned_record,
    cleanup_lines,
    finding_line,
    finding_record,
    left_line,
    left_record,
    problem_line,
    problem_record,
    rebuild_lines,
    verify_lines,
)
from wxrec_async.cli.flags import CommonFlags
from wxrec_async.cli.ledger import RebuildFlags
from wxrec_async.cli.running import guarded, settings_of
from wxrec_async.cli.session import until_signal
from wxrec_async.cli.summary import NAMED
from wxrec_async.cli.verify import VerifyFlags
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit
from wxrec_async.model import Window, iso
from wxrec_async.rules.windows import read_moment

TICK_S = 1.0
TELL_EVERY_S = 30.0
MEANINGS = {
    0: "all is well",
    3: "something is wrong and is named above",
    4: "a permission is missing",
}


class Report(Protocol):
    """What all three end with."""

    @property
    def exit_code(self) -> int: ...

    def as_json(self) -> dict[str, object]: ...


R = TypeVar("R", bound=Report)


def verify(flags: VerifyFlags) -> int:
    """Compare the bucket with the ledger, or with the evidence that lies in it."""
    if flags.evidence:
        return guarded(Desk(flags), _refuse_mark if flags.mark else lambda desk: _audit(desk, flags))

    def body(desk: Desk) -> int:
        named = Named(desk)

        def hear(finding: verifying.Finding) -> None:
            shown = finding.verdict is not verifying.Verdict.OK
            named.hear(lambda: finding_record(finding), lambda: finding_line(finding), shown=shown)

        def work(settings: Settings, emit: Emit) -> Awaitable[verifying.VerifyReport]:
            level = verifying.Level(flags.level)
            return verifying.verify(
                settings, level=level, period=_period(flags), mark=flags.mark, on_finding=hear, emit=emit
            )

        return carried_out(desk, flags, work, verify_lines, named)

    return guarded(Desk(flags), body)


def _audit(desk: Desk, flags: VerifyFlags) -> int:
    named = Named(desk)

    def hear(problem: evidence.Problem) -> None:
        named.hear(lambda: problem_record(problem), lambda: problem_line(problem))

    def work(settings: Settings, emit: Emit) -> Awaitable[evidence.AuditReport]:
        full = flags.level == "full"
        return evidence.audit(
            settings, full=full, period=_period(flags), on_problem=hear, on_looked=named.looked, emit=emit
        )

    return carried_out(desk, flags, work, audit_lines, named)


def _refuse_mark(_desk: Desk) -> int:
    raise ConfigError("--mark goes with the ledger, not with --evidence; verify without --evidence to mark")


def rebuild(flags: RebuildFlags) -> int:
    """Make a new ledger from the bucket."""

    def body(desk: Desk) -> int:
        named = Named(desk)

        def hear(left: rebuilding.LeftOut) -> None:
            named.hear(lambda: left_record(left), lambda: left_line(left))

        def work(settings: Settings, emit: Emit) -> Awaitable[rebuilding.RebuildReport]:
            return rebuilding.rebuild(settings, replace=flags.replace, on_left_out=hear, emit=emit)

        return carried_out(desk, flags, work, rebuild_lines, named)

    return guarded(Desk(flags), body)


def cleanup(flags: CleanupFlags) -> int:
    """Abort unfinished uploads."""
    if flags.older_than is not None and not flags.all_under_prefix:
        return guarded(Desk(flags), _refuse_older_than)

    def body(desk: Desk) -> int:
        named = Named(desk, most=None)

        def hear(cleaned: cleaning.Cleaned) -> None:
            named.hear(lambda: cleaned_record(cleaned), lambda: cleaned_line(cleaned))

        def work(settings: Settings, emit: Emit) -> Awaitable[cleaning.CleanupReport]:
            return cleaning.cleanup(
                settings,
                all_under_prefix=flags.all_under_prefix,
                older_than_s=cleaning.OLDER_THAN_S if flags.older_than is None else flags.older_than,
                dry_run=flags.dry_run,
                on_upload=hear,
                emit=emit,
            )

        return carried_out(desk, flags, work, cleanup_lines, named)

    return guarded(Desk(flags), body)


def _refuse_older_than(_desk: Desk) -> int:
    raise ConfigError("--older-than goes with --all-under-prefix; what the ledger knows is aborted whatever its age")


class Named:
    """Writes what is named as it comes: everything with ``--json``, else the first ``most`` (None: all) lines."""

    def __init__(self, desk: Desk, most: int | None = NAMED) -> None:
        self._desk, self._most = desk, most
        self._lines = 0
        self.count = 0

    def hear(self, record: Callable[[], dict[str, object]], line: Callable[[], str], *, shown: bool = True) -> None:
        """Write one; ``shown`` says whether people are told of it, too."""
        self.count += 1
        if self._desk.json:
            self._desk.out.later(record())
        elif shown:
            self._lines += 1
            if self._most is None or self._lines <= self._most:
                self._desk.out.line(line())

    def looked(self) -> None:
        """Count one of which there is nothing to say."""
        self.count += 1

    def rest(self) -> Iterator[str]:
        """Say how many were not written."""
        if self._most is not None and self._lines > self._most:
            yield f"and {self._lines - self._most} more; --json names all"


def carried_out(
    desk: Desk,
    flags: CommonFlags,
    work: Callable[[Settings, Emit], Awaitable[R]],
    lines: Callable[[R], Iterator[str]],
    named: Named,
    *,
    meanings: Mapping[int, str] = MEANINGS,
) -> int:
    """Do the work until it ends or a signal comes, tell what it found, and return the exit code."""
    settings = settings_of(flags, desk)
    emit = EventLog(desk.log, desk.level).hear
    telling = not (flags.quiet or flags.no_progress)
    try:
        report = anyio.run(
            until_signal, lambda: work(settings, emit), lambda: _tick(desk, named, telling), backend="asyncio"
        )
    except BaseExceptionGroup as failures:
        raise cause_of(failures) from None
    finally:
        desk.out.flush()
    if desk.json:
        desk.out.record(report.as_json())
        return report.exit_code
    for line in (*named.rest(), *lines(report)):
        desk.out.line(line)
    desk.out.line(f"exit {report.exit_code}: {meanings[report.exit_code]}")
    return report.exit_code


async def _tick(desk: Desk, named: Named, telling: bool) -> None:
    """Hand lines on while the work goes on, and say now and then how far it is."""
    last = anyio.current_time()
    while True:
        await anyio.sleep(TICK_S)
        await desk.out.drain()
        if telling and anyio.current_time() - last >= TELL_EVERY_S:
            last = anyio.current_time()
            desk.say(f"{named.count} so far")


def _period(flags: VerifyFlags) -> Window | None:
    if flags.from_ is None and flags.to is None:
        return None
    from_ms = read_moment(flags.from_, "--from") if flags.from_ else 0
    to_ms = read_moment(flags.to, "--to") if flags.to else round(time.time() * 1000)
    if from_ms >= to_ms:
        raise ConfigError(f"--from {iso(from_ms)} is not before --to {iso(to_ms)}")
    return Window(from_ms, to_ms)
