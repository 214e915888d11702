"""The commands.  Nothing heavy is imported here: `running` is, once a command is to be carried out."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from wxrec_async._version import __version__
from wxrec_async.cli.cleanup import cleanup
from wxrec_async.cli.doctor import doctor
from wxrec_async.cli.flags import (
    CommonFlags,
    OutputFlags,
    PlanFlags,
    RunFlags,
    SandboxFlags,
    ServeFlags,
    ShowFlags,
    WorkerFlags,
    WorkFlags,
    joined,
    takes,
)
from wxrec_async.cli.helping import HELP, Command, Group, Program
from wxrec_async.cli.ledger import rebuild
from wxrec_async.cli.login import login
from wxrec_async.cli.reconcile import reconcile
from wxrec_async.cli.report import report
from wxrec_async.cli.verify import verify

SETTINGS = {"help_option_names": [*HELP], "max_content_width": 110}

app = typer.Typer(
    cls=Program,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
)
config_app = typer.Typer(
    cls=Group, rich_markup_mode=None, help="Look at the configuration.", no_args_is_help=True, context_settings=SETTINGS
)
sandbox_app = typer.Typer(cls=Group, rich_markup_mode=None, context_settings=SETTINGS)
ledger_app = typer.Typer(
    cls=Group, rich_markup_mode=None, help="Look after the ledger.", no_args_is_help=True, context_settings=SETTINGS
)
ledger_app.command("rebuild", cls=Command)(rebuild)
for command in (login, doctor, verify, reconcile, report, cleanup):
    app.command(command.__name__, cls=Command)(command)
app.add_typer(ledger_app, name="ledger")
app.add_typer(config_app, name="config")
app.add_typer(sandbox_app, name="sandbox")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wxrec-async {__version__}")
        raise typer.Exit


@dataclass(kw_only=True)
class ProgramFlags(RunFlags):
    """Those that may stand before a command."""

    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False


@app.callback(invoke_without_command=True)
@takes(ProgramFlags)
def backfill(ctx: typer.Context, flags: ProgramFlags) -> None:
    """Move call recordings out of Webex Contact Center into your own S3 bucket.

    Without a command this is `run`: the backfill, as config.toml of this folder has it. It can be stopped and run
    again at any time. To try it without an organisation of your own: wxrec-async sandbox
    """
    ctx.obj = flags
    if ctx.invoked_subcommand is None:
        _run(flags)


@app.command(cls=Command)
@takes(RunFlags)
def run(ctx: typer.Context, flags: RunFlags) -> None:
    """Back up every recording of the period."""
    _run(joined(ctx.obj, flags, "run"))


@app.command(cls=Command)
@takes(PlanFlags)
def plan(ctx: typer.Context, flags: PlanFlags) -> None:
    """Say what a run would do; nothing is moved."""
    from wxrec_async.cli import running  # noqa: PLC0415 - heavy

    raise typer.Exit(running.plan(joined(_allowing_dry_run(ctx.obj), flags, "plan")))


@app.command(cls=Command)
@takes(WorkFlags)
def retry(ctx: typer.Context, flags: WorkFlags) -> None:
    """Take up only what is left: failed, owed, or found to be missing."""
    from wxrec_async.cli import running  # noqa: PLC0415 - heavy

    raise typer.Exit(running.retry(joined(ctx.obj, flags, "retry")))


@app.command(cls=Command)
@takes(WorkerFlags)
def worker(ctx: typer.Context, flags: WorkerFlags) -> None:
    """Work for backfills of `run --temporal`, until a signal comes.

    Any number of workers on any number of machines, for any number of organisations. Needs wxrec-async[temporal].
    A first Ctrl-C or SIGTERM finishes what is in hand within --grace, a second one breaks it off; either way what is
    left goes to another worker.
    """
    from wxrec_async.cli import fleet  # noqa: PLC0415 - heavy

    raise typer.Exit(fleet.worker(joined(ctx.obj, flags, "worker")))


@app.command(cls=Command)
@takes(CommonFlags)
def status(ctx: typer.Context, flags: CommonFlags) -> None:
    """Show what the ledger holds, while a run goes on too."""
    from wxrec_async.cli import running  # noqa: PLC0415 - heavy

    raise typer.Exit(running.status(joined(ctx.obj, flags, "status")))


@config_app.command("show", cls=Command)
@takes(ShowFlags)
def config_show(ctx: typer.Context, flags: ShowFlags) -> None:
    """Show the effective settings and where each value came from."""
    from wxrec_async.cli import running  # noqa: PLC0415 - heavy

    raise typer.Exit(running.show_config(joined(ctx.obj, flags, "config show")))


@sandbox_app.callback(invoke_without_command=True)
@takes(SandboxFlags)
def sandbox(ctx: typer.Context, flags: SandboxFlags) -> None:
    """Do the whole job with a simulated organisation.

    It runs on this machine and needs no account. Real audio over real sockets, into a folder. Run it again:
    nothing is downloaded twice.
    `sandbox serve` leaves the organisation running, to be used like a real one.
    """
    ctx.obj = joined(ctx.obj, flags, "sandbox")
    if ctx.invoked_subcommand is None:
        from wxrec_async.cli import running  # noqa: PLC0415 - heavy

        raise typer.Exit(running.sandbox(ctx.obj))


@sandbox_app.command(cls=Command)
@takes(ServeFlags)
def serve(ctx: typer.Context, flags: ServeFlags) -> None:
    """Leave the simulated organisation running, and print how to use it."""
    from wxrec_async.cli import running  # noqa: PLC0415 - heavy

    raise typer.Exit(running.serve(joined(ctx.obj, flags, "sandbox serve")))


def _run(flags: RunFlags) -> None:
    from wxrec_async.cli import running  # noqa: PLC0415 - heavy

    raise typer.Exit(running.run(flags))


def _allowing_dry_run(flags: OutputFlags | None) -> OutputFlags | None:
    return replace(flags, dry_run=False) if isinstance(flags, RunFlags) else flags


def main() -> None:
    """Be the program: parse the command line, carry the command out, exit."""
    try:
        app(prog_name="wxrec-async")
    except SystemExit as ending:
        if sys.modules.get("temporalio") is not None:
            _leave_at_once(ending)
        raise


def _leave_at_once(ending: SystemExit) -> None:
    """End without taking the interpreter down: temporalio's own threads may abort a process that does (CPython 3.11).

    Everything is closed by now; what others registered for the end, and what is still buffered, comes first.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or nobody reads it
            stream.flush()
    os._exit(ending.code if isinstance(ending.code, int) else int(ending.code is not None))
