"""The commands: what each is called, takes and says of itself.  Its module is loaded when it is carried out.

Nothing here imports one: loading what `verify` needs costs 1.0 s of CPU, the ``--help`` of all commands together
0.16 s, and a shell's completion asks for it at every key.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from wxrec_async._version import __version__
from wxrec_async.cli.flags import (
    CallFlags,
    CleanupFlags,
    DoctorFlags,
    EnrichFlags,
    LoginFlags,
    OutputFlags,
    PlanFlags,
    RebuildFlags,
    ReconcileFlags,
    ReportFlags,
    RunDetailFlags,
    RunFlags,
    RunsFlags,
    SandboxFlags,
    ServeFlags,
    ShowFlags,
    StatusFlags,
    VerifyFlags,
    WorkerFlags,
    WorkFlags,
)
from wxrec_async.cli.help_format import HELP, Command, Group, Program
from wxrec_async.cli.parsing import joined, typed
from wxrec_async.cli.streams import hold_descriptors

SETTINGS = {"help_option_names": [*HELP], "max_content_width": 110}
PROGRAM_HELP = """
Move call recordings out of Webex Contact Center into your own S3 bucket.

Without a command this is `run`: the backfill, as config.toml of this folder has it. It can be stopped and run
again at any time. To try it without an organisation of your own: wxrec-async sandbox
"""
RUNS_HELP = """
List the runs that the ledger knows: who began each, what it was asked for, how it ended.

`runs show RUN` shows everything that was written down of one.
"""
SANDBOX_HELP = """
Do the whole job with a simulated organisation.

It runs on this machine and needs no account. Real audio over real sockets, into a folder. Run it again:
nothing is downloaded twice.
`sandbox serve` leaves the organisation running, to be used like a real one.
"""


@dataclass(frozen=True, slots=True)
class CommandBody:
    """The function of ``cli.commands`` that carries a command out: it takes the flags and returns the exit code."""

    module: str
    function: str

    def load(self) -> Callable[[Any], int]:
        """Import its module, with all that it needs."""
        module = importlib.import_module(f"wxrec_async.cli.commands.{self.module}")
        body: Callable[[Any], int] = getattr(module, self.function)
        return body


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command; the path is what is typed for it, such as ``config show``."""

    path: str
    flags: type[OutputFlags]
    body: CommandBody
    help: str


RUN = CommandBody("run", "run_backfill")
RUN_BY_WORKERS = CommandBody("worker", "run_by_workers")
SANDBOX = CommandBody("sandbox", "run_sandbox")
RUNS = CommandBody("runs", "list_runs")
COMMANDS = (
    CommandEntry(
        "login",
        LoginFlags,
        CommandBody("login", "run_login"),
        "Get the tokens of the organisation, by browser or from a reply, and store them.",
    ),
    CommandEntry(
        "doctor",
        DoctorFlags,
        CommandBody("doctor", "run_doctor"),
        "Check settings, token, organisation, scopes, Search, bucket, permissions and clock; nothing is left behind.",
    ),
    CommandEntry(
        "verify",
        VerifyFlags,
        CommandBody("verify", "run_verify"),
        "Compare the bucket with the ledger, or with the evidence in it; exit 3 when anything is wrong.",
    ),
    CommandEntry(
        "reconcile",
        ReconcileFlags,
        CommandBody("reconcile", "run_reconcile"),
        """
        Prove a period complete, or name what is missing.

        Holds both lists of Webex, the ledger and the bucket against each other. What is found to do becomes work for
        the next run; exit 0 only when nothing is missing. Without Search certificates rest on the list of tasks, and
        say so.
        """,
    ),
    CommandEntry(
        "report",
        ReportFlags,
        CommandBody("report", "run_report"),
        """
        Write HTML, CSV or JSON lines from the ledger, while a run goes on too.

        Files are private (0600) and replaced only as a whole; - is stdout. Exit 0 says that they were written, not
        that nothing failed.
        """,
    ),
    CommandEntry(
        "cleanup",
        CleanupFlags,
        CommandBody("cleanup", "run_cleanup"),
        "Abort this tool's own unfinished multipart uploads.",
    ),
    CommandEntry("run", RunFlags, RUN, "Back up every recording of the period."),
    CommandEntry(
        "plan",
        PlanFlags,
        CommandBody("run", "run_plan"),
        "Say what a run would do; nothing is moved.",
    ),
    CommandEntry(
        "retry",
        WorkFlags,
        CommandBody("run", "run_retry"),
        "Take up only what is left: failed, owed, or found to be missing.",
    ),
    CommandEntry(
        "worker",
        WorkerFlags,
        CommandBody("worker", "run_worker"),
        """
        Work for backfills of `run --temporal`, until a signal comes.

        Any number of workers on any number of machines, for any number of organisations. Needs wxrec-async[temporal].
        A first Ctrl-C or SIGTERM finishes what is in hand within --grace, a second one breaks it off; either way what
        is left goes to another worker.
        """,
    ),
    CommandEntry(
        "status",
        StatusFlags,
        CommandBody("status", "run_status"),
        "Show what the ledger holds, while a run goes on too.",
    ),
    CommandEntry(
        "show",
        CallFlags,
        CommandBody("show", "show_calls"),
        """
        Say where the recordings of a call are, and why not.

        What the ledger knows of each task: state, reason, next question, objects, certificate; with --bucket what lies
        there, too. Exit 3 when a call is not known, or not all of it is stored.
        """,
    ),
    CommandEntry(
        "runs show",
        RunDetailFlags,
        CommandBody("runs", "show_run"),
        "Show everything that was written down of one run.",
    ),
    CommandEntry(
        "ledger enrich",
        EnrichFlags,
        CommandBody("enrich", "run_enrich"),
        """
        Fill in what older ledgers did not keep of calls and recordings, as far as Webex still says it.

        Calls are listed again by days, recordings asked for ten calls at once; broken off, it goes on where it was.
        """,
    ),
    CommandEntry(
        "ledger rebuild",
        RebuildFlags,
        CommandBody("rebuild", "run_rebuild"),
        """
        Make a new ledger from the bucket when the old one is lost or damaged.

        What lies in the bucket is not downloaded again: the next run asks Webex for its tasks and finds it stored.
        After a backup was restored: --merge.
        """,
    ),
    CommandEntry(
        "config show",
        ShowFlags,
        CommandBody("status", "show_config"),
        "Show the effective settings and where each value came from.",
    ),
    CommandEntry(
        "sandbox serve",
        ServeFlags,
        CommandBody("sandbox", "serve_sandbox"),
        "Leave the simulated organisation running, and print how to use it.",
    ),
)

app = typer.Typer(
    cls=Program,
    add_completion=True,
    # Without rich: it would cost as much at every start as all the rest (`help_format`).
    rich_markup_mode=None,
    # Typer's own tracebacks print local variables, and those hold tokens and signed URLs.
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
)


def _group(name: str, help: str | None = None, *, bare: bool = False) -> typer.Typer:  # noqa: A002 - typer's word
    group = typer.Typer(
        cls=Group, rich_markup_mode=None, help=help, no_args_is_help=not bare, context_settings=SETTINGS
    )
    app.add_typer(group, name=name)
    return group


GROUPS = {
    "ledger": _group("ledger", "Look after the ledger."),
    "config": _group("config", "Look at the configuration."),
    "sandbox": _group("sandbox", bare=True),
    "runs": _group("runs", bare=True),
}


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


def _start(ctx: typer.Context, flags: ProgramFlags) -> None:
    # For a command that follows: flags may stand before its name, `joined` adds them to its own.
    ctx.obj = flags
    if ctx.invoked_subcommand is None:
        _carry_out(RUN, flags)


def _start_sandbox(ctx: typer.Context, flags: SandboxFlags) -> None:
    ctx.obj = joined(ctx.obj, flags, "sandbox")
    if ctx.invoked_subcommand is None:
        _carry_out(SANDBOX, ctx.obj)


def _list_runs(ctx: typer.Context, flags: RunsFlags) -> None:
    ctx.obj = joined(ctx.obj, flags, "runs")
    if ctx.invoked_subcommand is None:
        _carry_out(RUNS, ctx.obj)


def _add(entry: CommandEntry) -> None:
    """Register a command under its name, or its group's."""

    def start(ctx: typer.Context, flags: OutputFlags) -> None:
        # ``-n plan`` asks for what a plan is anyway; `plan` itself has no such flag.
        earlier = _allowing_dry_run(ctx.obj) if entry.path == "plan" else ctx.obj
        _carry_out(entry.body, joined(earlier, flags, entry.path))

    group, _, name = entry.path.rpartition(" ")
    where = GROUPS[group] if group else app
    where.command(name, cls=Command, help=entry.help)(typed(entry.flags, start))


def _allowing_dry_run(flags: OutputFlags | None) -> OutputFlags | None:
    return replace(flags, dry_run=False) if isinstance(flags, RunFlags) else flags


def _carry_out(body: CommandBody, flags: OutputFlags) -> None:
    raise typer.Exit(_chosen(body, flags).load()(flags))


def _chosen(body: CommandBody, flags: OutputFlags) -> CommandBody:
    """Hand a run to the workers of Temporal when it says so; what they would do is planned here all the same."""
    by_workers = body is RUN and isinstance(flags, RunFlags) and flags.temporal is not None and not flags.dry_run
    return RUN_BY_WORKERS if by_workers else body


# Without a command this is `run`: a bare ``python -m wxrec_async`` does the job.
app.callback(invoke_without_command=True, help=PROGRAM_HELP)(typed(ProgramFlags, _start))
GROUPS["sandbox"].callback(invoke_without_command=True, help=SANDBOX_HELP)(typed(SandboxFlags, _start_sandbox))
GROUPS["runs"].callback(invoke_without_command=True, help=RUNS_HELP)(typed(RunsFlags, _list_runs))
for entry in COMMANDS:
    _add(entry)


def main() -> None:
    """Be the program: parse the command line, carry the command out, exit."""
    hold_descriptors()
    try:
        app(prog_name="wxrec-async")
    except SystemExit as ending:
        # Only where it was loaded; every other command ends as Python does.
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
    # As the interpreter reads it: nothing is 0, a text is 1.
    os._exit(ending.code if isinstance(ending.code, int) else int(ending.code is not None))
