"""What each command does, from its flags to its exit code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import anyio

from wxrec_async.cli import limits
from wxrec_async.cli.desk import Desk
from wxrec_async.cli.failing import exit_code_of, sentence
from wxrec_async.cli.flags import (
    SETTING_OF,
    CommonFlags,
    PlanFlags,
    RunFlags,
    SandboxFlags,
    ServeFlags,
    ShowFlags,
    WorkFlags,
    overrides,
)
from wxrec_async.cli.looking import ALL, ledger_status, setting_line, settings_shown
from wxrec_async.cli.outcomes import failure_record, incomplete_record
from wxrec_async.cli.session import Check, Interrupted, Session
from wxrec_async.cli.site import Site
from wxrec_async.cli.summary import NAMED, plan_lines, run_lines
from wxrec_async.cli.task_ids import TaskIds
from wxrec_async.cli.text import harmless
from wxrec_async.config import Settings, load_config, load_config_with_origins
from wxrec_async.errors import ConfigError
from wxrec_async.report import EXIT_FAILED, EXIT_OK, EXIT_SIGINT, Summary

if TYPE_CHECKING:
    from wxrec_async import Backfill

Job = Callable[["Backfill"], Awaitable[Summary]]


def run(flags: RunFlags) -> int:
    """Back up a period, or named tasks."""
    if flags.dry_run:
        return plan(flags)
    if flags.temporal is not None:
        from wxrec_async.cli import fleet  # noqa: PLC0415 - an extra, imported by those who ask for it

        return fleet.run(flags)
    if flags.follow:
        return guarded(Desk(flags), lambda desk: _follow(flags, desk))
    return guarded(Desk(flags, moves=True), lambda desk: _run(flags, desk))


def retry(flags: WorkFlags) -> int:
    """Take up what failed or is owed."""

    def work(backfill: Backfill) -> Awaitable[Summary]:
        return backfill.retry(limit=flags.limit, max_duration_s=flags.max_duration)

    return guarded(Desk(flags, moves=True), lambda desk: _move(settings_of(flags, desk), desk, work))


def plan(flags: PlanFlags | RunFlags) -> int:
    """Say what a run would do."""
    return guarded(Desk(flags), lambda desk: _plan(flags, desk))


def status(flags: CommonFlags) -> int:
    """Show what the ledger holds."""
    return guarded(Desk(flags), lambda desk: _status(flags, desk))


def show_config(flags: ShowFlags) -> int:
    """Show the effective settings."""
    return guarded(Desk(flags), lambda desk: _show_config(flags, desk))


def sandbox(flags: SandboxFlags) -> int:
    """Do the whole job against a simulated organisation."""
    return guarded(Desk(flags, moves=True), lambda desk: _sandbox(flags, desk))


def serve(flags: ServeFlags) -> int:
    """Leave a simulated organisation running."""
    return guarded(Desk(flags), lambda desk: _serve(flags, desk))


def guarded(desk: Desk, body: Callable[[Desk], int]) -> int:
    """Carry a command out; whatever goes wrong is one line and an exit code."""
    limits.forbid_core_dumps()
    try:
        return body(desk)
    except Interrupted as interrupted:
        return interrupted.exit_code
    except KeyboardInterrupt:
        return EXIT_SIGINT
    except Exception as failure:  # noqa: BLE001 - this is where the program ends
        desk.trace(failure)
        desk.complain(sentence(failure))
        return exit_code_of(failure)


def settings_of(flags: CommonFlags, desk: Desk) -> Settings:
    """Read the settings the flags stand above, and tell what is odd about them; raises `ConfigError`."""
    loaded = load_config_with_origins(flags.config, overrides=overrides(flags))
    for warning in loaded.warnings:
        desk.log.warning(warning)
    return loaded.settings


def _with_room(settings: Settings, desk: Desk) -> Settings:
    """Lower the concurrency when the operating system allows too few open files."""
    fitting = limits.make_room(settings)
    if fitting == settings.backfill.concurrency:
        return settings
    desk.log.warning("too_few_open_files", hint="ulimit -n", concurrency=fitting, wanted=settings.backfill.concurrency)
    backfill = settings.backfill.model_copy(update={"concurrency": fitting})
    return settings.model_copy(update={"backfill": backfill})


def _run(flags: RunFlags, desk: Desk) -> int:
    settings, limit, seconds = settings_of(flags, desk), flags.limit, flags.max_duration
    if flags.task_ids_from is None:
        return _move(settings, desk, _backfill(flags), check=_period)
    if flags.scheduled:
        raise ConfigError("--task-ids-from names the tasks and asks for them now; leave out --scheduled")
    if flags.from_ or flags.to or flags.days_back is not None:
        raise ConfigError("--task-ids-from takes the place of --from, --to and --days-back; give one or the other")
    if overrides(flags).keys() & {key for key in SETTING_OF.values() if key.startswith("filters.")}:
        raise ConfigError(
            "--task-ids-from names the tasks; filters choose among those of a period, give one or the other"
        )
    ids = TaskIds(flags.task_ids_from)
    return _move(settings, desk, lambda backfill: backfill.archive(ids, limit=limit, max_duration_s=seconds))


def _backfill(flags: RunFlags) -> Job:
    limit, seconds = flags.limit, flags.max_duration
    if flags.scheduled:
        return lambda backfill: backfill.run(limit=limit, max_duration_s=seconds, scheduled=True)
    return lambda backfill: backfill.run(limit=limit, max_duration_s=seconds)


def _follow(flags: RunFlags, desk: Desk) -> int:
    given = {"--limit": flags.limit, "--max-duration": flags.max_duration, "--task-ids-from": flags.task_ids_from}
    if stray := [name for name, value in given.items() if value is not None]:
        raise ConfigError(f"--follow goes on until it is stopped; leave out {stray[0]}")

    def tell(summary: Summary) -> None:
        if desk.json:
            desk.out.later(_record(summary))

    settings = settings_of(flags, desk)
    return _move(settings, desk, lambda backfill: backfill.follow(on_round=tell), check=_period, steady=True)


def _period(backfill: Backfill) -> object:
    """Refuse an impossible period before anything is opened."""
    return backfill.period()


def _record(summary: Summary) -> dict[str, object]:
    record = summary.as_json()
    return record | {"error": harmless(str(record["error"])) if record["error"] else None}


def _move(settings: Settings, desk: Desk, work: Job, *, check: Check | None = None, steady: bool = False) -> int:
    session = Session(_with_room(settings, desk), desk, work, check=check, steady=steady)
    return tell_summary(session.run(), session, desk)


def tell_summary(summary: Summary, session: Session[Summary], desk: Desk) -> int:
    """Write the last line of a command that moves recordings, and return its exit code."""
    if desk.json:
        desk.out.record(_record(summary))
    else:
        for line in run_lines(summary, session.noted):
            desk.out.line(line)
    return summary.exit_code


def _plan(flags: PlanFlags | RunFlags, desk: Desk) -> int:
    if isinstance(flags, RunFlags) and flags.task_ids_from is not None:
        raise ConfigError("a plan lists a period; leave out --task-ids-from")
    settings = settings_of(flags, desk)
    planned = Session(settings, desk, lambda backfill: backfill.plan(), check=_period, read_only=True).run()
    if desk.json:
        desk.out.record(planned.as_json())
    else:
        for line in plan_lines(planned):
            desk.out.line(line)
    return EXIT_FAILED if any(window.problem for window in planned.windows) else EXIT_OK


def _status(flags: CommonFlags, desk: Desk) -> int:
    path = settings_of(flags, desk).ledger.path
    found = anyio.run(ledger_status, path, ALL if desk.json else NAMED, backend="asyncio")
    if desk.json:
        for failure in found.failures:
            desk.out.later(failure_record(failure))
        for task in found.incomplete:
            desk.out.later(incomplete_record(task))
        desk.out.record(found.as_json())
    else:
        for line in found.lines():
            desk.out.line(line)
    return EXIT_OK


def _show_config(flags: ShowFlags, desk: Desk) -> int:
    shown = settings_shown(load_config_with_origins(flags.config, overrides=overrides(flags)))
    if desk.json:
        desk.out.record({"event": "config", "schema": 1, "settings": {each.key: asdict(each) for each in shown}})
    else:
        for each in shown:
            desk.out.line(setting_line(each))
    return EXIT_OK


def _sandbox(flags: SandboxFlags, desk: Desk) -> int:
    site = Site.of(flags)
    with site.running() as ready, ready.environment():
        desk.say(f"a simulated organisation of {site.tasks} contacts answers; its bucket is in {site.folder}")
        settings = load_config(ready.config, overrides=overrides(flags))
        exit_code = _move(
            settings, desk, lambda backfill: backfill.run(limit=flags.limit, max_duration_s=flags.max_duration)
        )
    tell = desk.say if desk.json else desk.out.line
    if recording := site.a_recording():
        tell(f"listen to one:  {recording}")
    again = "downloads nothing" if exit_code == EXIT_OK else "takes up what is left"
    tell(f"all of them, the ledger and the settings are in {site.folder}; the same command again {again}")
    return exit_code


def _serve(flags: ServeFlags, desk: Desk) -> int:
    site = Site.of(flags)
    with site.running(port=flags.port) as ready:
        if desk.json:
            desk.out.record(ready.addresses)
        else:
            desk.out.line(f"A simulated organisation of {site.tasks} contacts is running; Ctrl-C ends it.  To use it:")
            for name, value in ready.keys.items():
                desk.out.line(f"export {name}={value}")
            desk.out.line(f"wxrec-async --config {ready.config}")
        ready.wait()
    return EXIT_OK
