"""What commands that look through the bucket have in common: what they find is printed as it comes, then the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol, TypeVar

import anyio

from wxrec_async.cli.command import settings_of
from wxrec_async.cli.console import Console
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.flags import CommonFlags
from wxrec_async.cli.session import run_until_signal
from wxrec_async.cli.summary_lines import NAMED
from wxrec_async.config import Settings
from wxrec_async.events import Emit

TICK_S = 1.0
MESSAGE_EVERY_S = 30.0
MEANINGS = {
    0: "all is well",
    3: "something is wrong and is named above",
    4: "a permission is missing",
}


class InspectionReport(Protocol):
    """What such a command ends with."""

    @property
    def exit_code(self) -> int: ...

    def as_json(self) -> dict[str, object]: ...


R = TypeVar("R", bound=InspectionReport)


class FindingPrinter:
    """Writes findings as they come: everything with ``--json``, else the first ``most`` (None: all) lines."""

    def __init__(self, console: Console, most: int | None = NAMED) -> None:
        self._console, self._most = console, most
        self._lines = 0
        self.count = 0

    # Functions: of a large bucket most lines are never written, and need not be made.
    def print(self, record: Callable[[], dict[str, object]], line: Callable[[], str], *, shown: bool = True) -> None:
        """Write one; ``shown`` says whether people see it, too."""
        self.count += 1
        if self._console.json:
            self._console.out.later(record())
        elif shown:
            self._lines += 1
            if self._most is None or self._lines <= self._most:
                self._console.out.line(line())

    def count_silently(self) -> None:
        """Count one of which there is nothing to say."""
        self.count += 1

    def rest(self) -> Iterator[str]:
        """Name how many were not written."""
        if self._most is not None and self._lines > self._most:
            yield f"and {self._lines - self._most} more; --json names all"


def run_inspection(
    console: Console,
    flags: CommonFlags,
    work: Callable[[Settings, Emit], Awaitable[R]],
    lines: Callable[[R], Iterator[str]],
    printer: FindingPrinter,
    *,
    meanings: Mapping[int, str] = MEANINGS,
) -> int:
    """Do the work until it ends or a signal comes, print the end of its report, and return the exit code."""
    settings = settings_of(flags, console)
    emit = EventLog(console.log, console.level).on_event
    messages = not (flags.quiet or flags.no_progress)
    try:
        report = run_until_signal(lambda: work(settings, emit), lambda: _tick(console, printer, messages))
    finally:
        # What was found before a failure or a signal is said all the same.
        console.out.flush()
    if console.json:
        console.out.record(report.as_json())
        return report.exit_code
    for line in (*printer.rest(), *lines(report)):
        console.out.line(line)
    console.out.line(f"exit {report.exit_code}: {meanings[report.exit_code]}")
    return report.exit_code


async def _tick(console: Console, printer: FindingPrinter, messages: bool) -> None:
    """Hand lines on while the work goes on, and print now and then how far it is."""
    last = anyio.current_time()
    while True:
        await anyio.sleep(TICK_S)
        await console.out.drain()
        if messages and anyio.current_time() - last >= MESSAGE_EVERY_S:
            last = anyio.current_time()
            console.message(f"{printer.count} so far")
