"""``sandbox`` and ``sandbox serve``: a simulated organisation, to try the program on."""

from __future__ import annotations

from wxrec_async.cli.command import move_recordings, run_command
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import SandboxFlags, ServeFlags
from wxrec_async.cli.parsing import overrides
from wxrec_async.cli.sandbox_process import SandboxProcess
from wxrec_async.config import load_config
from wxrec_async.flow.summary import EXIT_OK


def run_sandbox(flags: SandboxFlags) -> int:
    """Do the whole job against a simulated organisation."""
    return run_command(Console(flags, moves=True), lambda console: _run(flags, console))


def serve_sandbox(flags: ServeFlags) -> int:
    """Leave a simulated organisation running."""
    return run_command(Console(flags), lambda console: _serve(flags, console))


def _run(flags: SandboxFlags, console: Console) -> int:
    sandbox = SandboxProcess.of(flags)
    with sandbox.running() as ready, ready.environment():
        console.message(
            f"a simulated organisation of {sandbox.tasks} contacts answers; its bucket is in {sandbox.folder}"
        )
        settings = load_config(ready.config, overrides=overrides(flags))
        exit_code = move_recordings(
            settings, console, lambda backfill: backfill.run(limit=flags.limit, max_duration_s=flags.max_duration)
        )
    # With --json stdout is for records alone.
    write = console.message if console.json else console.out.line
    if recording := sandbox.a_recording():
        write(f"listen to one:  {recording}")
    again = "downloads nothing" if exit_code == EXIT_OK else "takes up what is left"
    write(f"all of them, the ledger and the settings are in {sandbox.folder}; the same command again {again}")
    return exit_code


def _serve(flags: ServeFlags, console: Console) -> int:
    sandbox = SandboxProcess.of(flags)
    with sandbox.running(port=flags.port) as ready:
        if console.json:
            console.out.record(ready.addresses)
        else:
            console.out.line(
                f"A simulated organisation of {sandbox.tasks} contacts is running; Ctrl-C ends it.  To use it:"
            )
            for name, value in ready.keys.items():
                console.out.line(f"export {name}={value}")
            console.out.line(f"wxrec-async --config {ready.config}")
        ready.wait()
    return EXIT_OK
