"""``worker``, and ``run --temporal``: the commands that need the extra ``temporal``."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
from anyio.abc import TaskStatus

from wxrec_async.cli.command import print_summary, read_settings, run_command, settings_of
from wxrec_async.cli.console import Console
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.exit_codes import cause_of
from wxrec_async.cli.flags import RunFlags, WorkerFlags
from wxrec_async.cli.session import Session
from wxrec_async.cli.signals import SIGNALS
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit
from wxrec_async.flow.summary import EXIT_OK, Summary

if TYPE_CHECKING:
    from wxrec_async import Backfill

PR_SET_PDEATHSIG = 1  # prctl(2)
EXTRA = "this needs the extra: pip install 'wxrec-async[temporal]'"
# What concerns the run; the rest is the workers' business and stands in their configuration.
GO_WITH_TEMPORAL = frozenset({
    "config", "ledger", "from_", "to", "days_back", "temporal", "queue", "exclude_queue", "direction", "min_duration",
    "profile", "region", "ca_bundle", "json", "log_level", "log_format", "no_progress", "quiet", "verbose", "version",
})  # fmt: skip
WORKERS_OWN = "how workers work stands in their own configuration"
INSTEAD = dict.fromkeys(("follow", "scheduled"), "a Temporal schedule does that, see README.md")


def run_by_workers(flags: RunFlags) -> int:
    """Back up a period by the workers of a Temporal server."""
    return run_command(Console(flags, moves=True), lambda console: _run(flags, console))


def run_worker(flags: WorkerFlags) -> int:
    """Work until a signal comes."""
    if flags.processes is not None and flags.processes > 1:
        return run_command(Console(flags), lambda console: _many(flags, flags.processes or 1, console))
    return run_command(Console(flags), lambda console: _work(flags, console))


def _run(flags: RunFlags, console: Console) -> int:
    _refuse_stray(flags)
    try:
        # An extra that may be missing; 0.9 s of CPU, which wrong usage is spared.
        from wxrec_async.temporal.driver import FleetBackfill  # noqa: PLC0415
    except ImportError as missing:
        raise _without_extra(missing) from None
    address = flags.temporal or ""

    def opener(settings: Settings, *, on_event: Emit, read_only: bool) -> Backfill:  # noqa: ARG001 - it writes
        return cast("Backfill", FleetBackfill(settings, address, on_event=on_event))

    session: Session[Summary] = Session(settings_of(flags, console), console, lambda fleet: fleet.run(), opener=opener)
    return print_summary(session.run(), session, console)


def _refuse_stray(flags: RunFlags) -> None:
    given = {each.name for each in fields(flags) if getattr(flags, each.name) != each.default}
    if stray := given - GO_WITH_TEMPORAL:
        first = min(stray)
        name, why = first.strip("_").replace("_", "-"), INSTEAD.get(first, WORKERS_OWN)
        raise ConfigError(f"--{name} does not go with --temporal: {why}")


def _without_extra(missing: ImportError) -> ConfigError:
    # Something else is missing, of ours or of theirs: a fault, and not for pip to mend.
    if (missing.name or "").partition(".")[0] != "temporalio":
        raise missing
    return ConfigError(EXTRA)


def _work(flags: WorkerFlags, console: Console) -> int:
    if flags.temporal is None:
        raise ConfigError("--temporal HOST:PORT is needed: where the Temporal server is")
    try:
        # An extra that may be missing; 0.9 s of CPU and its memory, which the parent of --processes is spared.
        from wxrec_async.temporal.worker import serve  # noqa: PLC0415
    except ImportError as missing:
        raise _without_extra(missing) from None
    files: list[Path | None] = [*flags.config] if flags.config else [None]
    settings = [read_settings(file, flags, console) for file in files]
    address, log = flags.temporal, EventLog(console.log, console.level)

    async def main() -> None:
        stop, abort = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as group:
            # Until it listens, not only until it began: a signal may come while the server is being reached.
            await group.start(_listen, console, stop, abort)
            await serve(
                settings,
                address,
                stop=stop,
                abort=abort,
                keeps_ledger=flags.keep_ledger,
                on_event=log.on_event,
                on_ready=lambda fleet: console.message(f"ready: {fleet}"),
                on_summary=lambda summary: console.message(f"run {summary.run_id} ended with {summary.exit_code}"),
            )
            # `_listen` does not end by itself.
            group.cancel_scope.cancel()

    try:
        anyio.run(main, backend="asyncio")
    except BaseExceptionGroup as failures:
        raise cause_of(failures) from None
    return EXIT_OK


async def _listen(
    console: Console,
    stop: anyio.Event,
    abort: anyio.Event,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """The first signal drains, the second one breaks off."""
    with anyio.open_signal_receiver(*SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            if stop.is_set():
                console.message(f"{number.name}: breaking off")
                abort.set()
            else:
                console.message(f"{number.name}: finishing what is in hand; a second signal breaks it off")
                stop.set()


def _many(flags: WorkerFlags, count: int, console: Console) -> int:
    """Run so many processes of the same command; they end together, with the first exit code that is not 0."""
    if flags.keep_ledger:
        raise ConfigError("--keep-ledger is for one process; leave out --processes")
    command = [sys.executable, "-m", "wxrec_async", *_without_processes(sys.argv[1:])]
    prepare = _ends_with(os.getpid())
    children = [
        subprocess.Popen(command, preexec_fn=prepare)  # noqa: S603, PLW1509 - our own program; it calls the kernel, no more
        for _ in range(count)
    ]

    def forward(number: int, _frame: object) -> None:
        for child in children:
            # It looks first whether the child still is: by now another process may have its number.
            child.send_signal(number)

    for number in SIGNALS:
        signal.signal(number, forward)
    console.message(f"{count} processes: {', '.join(str(child.pid) for child in children)}")
    codes = [child.wait() for child in children]
    return next((code for code in codes if code), EXIT_OK)


def _ends_with(parent: int) -> Callable[[], None] | None:
    """Return what has a child get SIGTERM when its parent is gone, even by kill -9; where the kernel can do that."""
    if sys.platform != "linux":
        return None
    kernel = ctypes.CDLL(None)

    def prepare() -> None:
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGTERM.value)
        if os.getppid() != parent:  # it was gone before we asked
            os._exit(1)

    return prepare


def _without_processes(arguments: list[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        # As one word (--processes=4) or as two: a child that saw either would start children of its own.
        if skip or argument.startswith("--processes"):
            skip = argument == "--processes"
            continue
        kept.append(argument)
    return kept
