"""The program's own command line, called in this process as a person would call it."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer.main

from tests.worlds.bucket import BUCKET, REGION
from tests.worlds.clock import SKY, TooLong
from tests.worlds.truth import CLIENT_SECRET, ORG, REFRESH

COMMAND_S = 6 * 3600.0  # a store that says SlowDown for ever is waited for 120 times a recording
CPU_S = 20.0  # of the machine's own work, then a command hangs, however busy the machine is with others
CRASHED, HANGS = -1, -2
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAWORLDS", "AWS_SECRET_ACCESS_KEY": "CANARY-SK-77ab20", "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left: its exit code, the lines of ``--json``, everything it printed, and how long it took."""

    command: str
    code: int
    records: tuple[dict[str, Any], ...]
    out: str
    err: str
    seconds: float
    unhelpful: bool = True
    doors: frozenset[str] = field(default_factory=frozenset)

    @property
    def summary(self) -> dict[str, Any]:
        return next((each for each in reversed(self.records) if each.get("event") == "summary"), {})


class Stuck(BaseException):
    """The machine's own time is up."""


def prepare(folder: Path, settings: dict[str, dict[str, object]], certificates: Path) -> None:
    """Write what the program is set up with."""
    for name, value in ENVIRONMENT.items():
        os.environ[name] = value
    secrets = {"client_id": "worlds", "client_secret": CLIENT_SECRET, "org_id": ORG}
    _private(folder / "secrets.json", secrets)
    tables: dict[str, dict[str, object]] = {
        "webex": {"region": "us1", "org_id": ORG, "requests_per_minute": 60_000},
        "auth": {"credentials": str(folder / "secrets.json"), "tokens": str(folder / "tokens.json")},
        "s3": {"bucket": BUCKET, "region": REGION},
        "backfill": {"concurrency": 4},
        "ledger": {"path": str(folder / "wxrec.db")},
    }
    for section, table in settings.items():
        tables[section] = {**tables.get(section, {}), **table}
    lines = [f"ca_bundle = {json.dumps(str(certificates))}"]
    for section, table in tables.items():
        lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    (folder / "config.toml").write_text("\n".join(lines) + "\n")


def write_tokens(folder: Path, access_token: str, expires_at: float) -> None:
    """Log in, as far as the program can tell."""
    tokens = {"access_token": access_token, "refresh_token": REFRESH, "expires_at": expires_at, "expires_in": 1209599}
    _private(folder / "tokens.json", tokens)


def _private(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value))
    path.chmod(0o600)


def call(folder: Path, command: str) -> Said:
    """Carry out one command, ``run --scheduled`` for example, to its end."""
    begun, out, err = SKY.now, io.StringIO(), io.StringIO()
    name, *flags = command.split()
    more = ["--json", "--no-progress", "--log-level", "debug", "--config", str(folder / "config.toml")]
    program = _program()
    SKY.until = begun + COMMAND_S
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _deadline():
        code = _exit_code(program, [name, *flags, *more])
    SKY.until = float("inf")
    return Said(command, code, tuple(_records(out.getvalue())), out.getvalue(), err.getvalue(), SKY.now - begun)


@functools.cache
def _program() -> Any:
    """Import the program, and let what it builds anew for every command, at the same price each time, be built once."""
    for name in (
        "backfill",
        "cli.commands.reconcile",
        "cli.commands.run",
    ):  # heavy, and not to be counted as a command's own work
        importlib.import_module(f"wxrec_async.{name}")
    boto: Any = importlib.import_module("aioboto3")
    boto.Session = functools.cache(boto.Session)
    return typer.main.get_command(importlib.import_module("wxrec_async.cli.app").app)


def _exit_code(app: Any, arguments: list[str]) -> int:
    try:
        app(arguments, prog_name="wxrec-async")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except (TooLong, Stuck):
        return HANGS
    except BaseException:  # noqa: BLE001 - whatever gets out of a command is a finding
        traceback.print_exc(file=sys.stderr)
        return CRASHED
    return 0


@contextlib.contextmanager
def _deadline() -> Any:
    def over(*_: object) -> None:
        raise Stuck

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _records(out: str) -> list[dict[str, Any]]:
    found = []
    for line in out.splitlines():
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                found.append(record)
    return found
