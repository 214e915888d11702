"""``run``, ``plan`` and ``retry``: what is moved, or would be, by this process."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from wxrec_async.cli.command import Job, move_recordings, run_command, settings_of, summary_record
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import SETTING_OF, PlanFlags, RunFlags, WorkFlags
from wxrec_async.cli.parsing import overrides
from wxrec_async.cli.session import Session
from wxrec_async.cli.summary_lines import plan_lines
from wxrec_async.cli.task_ids import TaskIds
from wxrec_async.errors import ConfigError
from wxrec_async.flow.summary import EXIT_FAILED, EXIT_OK, Summary

if TYPE_CHECKING:
    from wxrec_async import Backfill


def run_backfill(flags: RunFlags) -> int:
    """Back up a period, or named tasks."""
    if flags.dry_run:
        return run_plan(flags)
    if flags.follow:
        # Without a display: it goes on for days, and whoever looks after it reads the log.
        return run_command(Console(flags), lambda console: _follow(flags, console))
    return run_command(Console(flags, moves=True), lambda console: _run(flags, console))


def run_retry(flags: WorkFlags) -> int:
    """Take up what failed or is owed."""

    def work(backfill: Backfill) -> Awaitable[Summary]:
        return backfill.retry(limit=flags.limit, max_duration_s=flags.max_duration)

    return run_command(
        Console(flags, moves=True), lambda console: move_recordings(settings_of(flags, console), console, work)
    )


def run_plan(flags: PlanFlags | RunFlags) -> int:
    """Print what a run would do."""
    return run_command(Console(flags), lambda console: _plan(flags, console))


def _run(flags: RunFlags, console: Console) -> int:
    settings, limit, seconds = settings_of(flags, console), flags.limit, flags.max_duration
    if flags.task_ids_from is None:
        return move_recordings(settings, console, _job(flags), check=_period)
    if flags.scheduled:
        raise ConfigError("--task-ids-from names the tasks and asks for them now; leave out --scheduled")
    if flags.from_ or flags.to or flags.days_back is not None:
        raise ConfigError("--task-ids-from takes the place of --from, --to and --days-back; give one or the other")
    if overrides(flags).keys() & {key for key in SETTING_OF.values() if key.startswith("filters.")}:
        raise ConfigError(
            "--task-ids-from names the tasks; filters choose among those of a period, give one or the other"
        )
    ids = TaskIds(flags.task_ids_from)
    return move_recordings(
        settings, console, lambda backfill: backfill.archive(ids, limit=limit, max_duration_s=seconds)
    )


def _job(flags: RunFlags) -> Job:
    limit, seconds = flags.limit, flags.max_duration
    if flags.scheduled:
        return lambda backfill: backfill.run(limit=limit, max_duration_s=seconds, scheduled=True)
    return lambda backfill: backfill.run(limit=limit, max_duration_s=seconds)


def _follow(flags: RunFlags, console: Console) -> int:
    given = {"--limit": flags.limit, "--max-duration": flags.max_duration, "--task-ids-from": flags.task_ids_from}
    if stray := [name for name, value in given.items() if value is not None]:
        raise ConfigError(f"--follow goes on until it is stopped; leave out {stray[0]}")

    def print_round(summary: Summary) -> None:
        if console.json:
            console.out.later(summary_record(summary))

    settings = settings_of(flags, console)
    return move_recordings(
        settings, console, lambda backfill: backfill.follow(on_round=print_round), check=_period, steady=True
    )


def _period(backfill: Backfill) -> object:
    """Refuse an impossible period before anything is opened."""
    return backfill.period()


def _plan(flags: PlanFlags | RunFlags, console: Console) -> int:
    if isinstance(flags, RunFlags) and flags.task_ids_from is not None:
        raise ConfigError("a plan lists a period; leave out --task-ids-from")
    settings = settings_of(flags, console)
    plan = Session(settings, console, lambda backfill: backfill.plan(), check=_period, read_only=True).run()
    if console.json:
        console.out.record(plan.as_json())
    else:
        for line in plan_lines(plan):
            console.out.line(line)
    # A run would count such a window as failed, too.
    return EXIT_FAILED if any(window.problem for window in plan.windows) else EXIT_OK
