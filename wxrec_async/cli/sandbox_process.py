"""The sandbox in a process of its own, and a folder for it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wxrec_async.cli.flags import SiteFlags
from wxrec_async.errors import ConfigError, WxrecError
from wxrec_async.flow.summary import EXIT_SIGINT, EXIT_SIGTERM

FOLDER = Path("wxrec-sandbox")
ENDS_WITHIN_S = 5.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that answers.  ``addresses`` is what it printed; everything in it is made up."""

    process: subprocess.Popen[str]
    addresses: dict[str, Any]

    @property
    def config(self) -> Path:
        return Path(self.addresses["config"])

    @property
    def keys(self) -> dict[str, str]:
        """The variables under which an AWS SDK finds the bucket's keys."""
        return dict(self.addresses["environment"])

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Let this process be nobody but the sandbox's user, whatever its environment says of AWS and of us."""
        before = dict(os.environ)
        for name in before:
            if name.startswith(("AWS_", "WXREC_")):
                del os.environ[name]
        nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        os.environ.update(self.keys | nowhere)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def wait(self) -> None:
        """Return on SIGINT, SIGTERM or SIGHUP; raises `WxrecError` when the sandbox ends by itself."""
        try:
            self.process.wait()
        # A signal is how it is meant to end.
        except (KeyboardInterrupt, SystemExit):
            return
        raise WxrecError(f"the sandbox ended with {self.process.returncode}")


@contextmanager
def _leaving_by_the_door() -> Iterator[None]:
    """Let signals end this process by way of its ``finally`` clauses."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(EXIT_SIGTERM if number != signal.SIGINT else EXIT_SIGINT)

    old = {number: signal.signal(number, leave) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class SandboxProcess:
    """Which simulated organisation, and the folder that keeps its bucket, ledger and settings."""

    folder: Path
    tasks: int
    seed: int
    faults: str
    days: int = 7
    late: int = 0
    search: str = "full"

    @classmethod
    def of(cls, flags: SiteFlags) -> SandboxProcess:
        """Fill in what was not given."""
        seed = 1 if flags.seed is None else flags.seed
        more = (flags.days or 7, flags.late or 0, flags.search or "full")
        return cls(flags.dir or FOLDER, flags.tasks or 500, seed, flags.faults or "none", *more)

    @contextmanager
    def running(self, *, port: int | None = None) -> Iterator[RunningSandbox]:
        """Start the sandbox, wait until it answers, and end it in the end."""
        self._claim()
        log_path = self.folder / "sandbox.log"
        with log_path.open("w", encoding="utf-8") as log:
            # A session of its own: Ctrl-C is for us, and what is in flight must still find somebody to talk to.
            process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
                # Nothing is ever written to its stdin: that it ends tells the child that we are gone (`sandbox_child`).
                self._command(port), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip
        try:
            with _leaving_by_the_door():
                yield RunningSandbox(process, _first_line(process, log_path))
        finally:
            _end(process)

    def _command(self, port: int | None) -> list[str]:
        given = ["--tasks", str(self.tasks), "--seed", str(self.seed), "--faults", self.faults]
        given += ["--days", str(self.days), "--late", str(self.late), "--search", self.search]
        given += ["--dir", str(self.folder)] + (["--port", str(port)] if port else [])
        return [sys.executable, "-m", "wxrec_async.cli.sandbox_child", *given]

    def _claim(self) -> None:
        """See that the folder is new, or is this organisation's already."""
        mark, mine = self.folder / "sandbox.json", self._mark()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            there = json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else None
            if there is None and any(self.folder.iterdir()):
                raise ConfigError(f"--dir {self.folder} is not empty; name a folder for the sandbox alone")
            if there is None:
                mark.write_text(json.dumps(mine), encoding="utf-8")
        except (OSError, ValueError) as error:
            message = error.strerror if isinstance(error, OSError) else "sandbox.json cannot be read"
            raise ConfigError(f"--dir {self.folder}: {message}") from None
        if there not in (None, mine):
            raise ConfigError(
                f"--dir {self.folder} holds the sandbox of --tasks {there['tasks']} --seed {there['seed']}; "
                "name another folder, or delete this one"
            )

    def _mark(self) -> dict[str, object]:
        """Return what makes this organisation another one than the usual one."""
        # Faults are no part of it: they change the way, not what is there.  What is usual is left out, so that the
        # folder of an older version, which knew nothing else, is still this organisation's.
        mine: dict[str, object] = {"tasks": self.tasks, "seed": self.seed}
        usual = SandboxProcess(self.folder, self.tasks, self.seed, self.faults)
        names = ("days", "late", "search")
        return mine | {name: getattr(self, name) for name in names if getattr(self, name) != getattr(usual, name)}

    def a_recording(self) -> Path | None:
        """Return a WAV file that a run has stored."""
        return next(self.folder.glob("bucket/*/call-detail/*/recording.wav"), None)


def _first_line(process: subprocess.Popen[str], log_path: Path) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        process.wait()
        log_lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = log_lines[-1] if log_lines else f"it ended with {process.returncode}"
        raise WxrecError(f"the sandbox did not start: {last} (see {shlex.quote(str(log_path))})")
    ready: dict[str, Any] = json.loads(line)
    return ready


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
