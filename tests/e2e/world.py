"""A sandbox in a process of its own, and the program run against it as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import warm

PATIENCE_S = 360.0  # on a machine six times slower, with other tests beside


@dataclass
class Finished:
    """A run that has ended: exit code, standard output as JSON lines, standard error as text."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]

    @property
    def summary(self) -> dict[str, Any]:
        return self.lines[-1]


class World:
    """The sandbox's addresses, what it saw, and the program."""

    def __init__(self, told: dict[str, Any], folder: Path) -> None:
        self.told, self.folder = told, folder
        self.config = Path(told["config"])
        self.ledger = self.config.parent / "wxrec.db"
        self.environment = {**os.environ, **told["environment"]}

    def ask(self, path: str) -> list[dict[str, Any]]:
        """Read JSON lines from the sandbox's control port."""
        with urllib.request.urlopen(f"{self.told['control_url']}/{path}") as answer:  # noqa: S310 - loopback
            return [json.loads(line) for line in answer.read().decode().splitlines() if line.strip()]

    def truth(self) -> dict[str, tuple[int, int]]:
        """Every key that must be in the bucket, with the size and CRC-32 of its source."""
        return {row["key"]: (row["size"], row["crc32"]) for row in self.ask("truth")}

    def bucket(self) -> dict[str, tuple[int, int]]:
        """Every key that is in the bucket, with its size and CRC-32."""
        return {row["key"]: (row["size"], row["crc32"]) for row in self.ask("objects")}

    def uploads(self) -> list[dict[str, Any]]:
        return self.ask("uploads")

    def requests(self, operation: str, status: int | None = None) -> list[dict[str, Any]]:
        """The requests the sandbox saw of one operation, such as ``captures`` or ``s3.PutObject``."""
        found = [row for row in self.ask("log") if row["operation"] == operation]
        return [row for row in found if status is None or row["status"] == status]

    def set_faults(self, rules: Sequence[dict[str, Any]]) -> None:
        """Let this go wrong from now on, and nothing else."""
        body = json.dumps({"rules": list(rules)}).encode()
        urllib.request.urlopen(f"{self.told['control_url']}/faults", body).close()  # noqa: S310 - loopback

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "wxrec_async", *arguments]

    def start(self, *arguments: str, cold: bool = False) -> subprocess.Popen[str]:
        """Begin a run; the caller ends it.  ``cold`` when the process itself is looked at: its memory, its command."""
        command = self.command("run", "--config", str(self.config), *arguments)
        files: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if cold:
            return subprocess.Popen(command, env=self.environment, cwd=self.folder, text=True, **files)
        return warm.start(command, env=self.environment, cwd=self.folder, **files)

    def run(self, *arguments: str, timeout_s: float = PATIENCE_S) -> Finished:
        """Run to the end."""
        process = self.start(*arguments)
        return finish(process, timeout_s)

    def call(self, *arguments: str, timeout_s: float = PATIENCE_S) -> Finished:
        """Run any command of the program to the end."""
        done = warm.run(self.command(*arguments), env=self.environment, cwd=self.folder, timeout=timeout_s)
        return Finished(done.returncode, done.stdout, done.stderr)

    def wait_for(self, state: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
        """Return when ``state`` is true; fail when the process ends before, or when that never comes."""
        deadline = time.monotonic() + PATIENCE_S
        while not state():
            if process is not None and process.poll() is not None:
                raise AssertionError(f"ended with {process.returncode}: {process.communicate()}")
            if time.monotonic() > deadline:
                raise AssertionError("the state did not come")
            time.sleep(0.01)


def finish(process: subprocess.Popen[str], timeout_s: float = PATIENCE_S) -> Finished:
    """Wait for a process to end; kill it when it does not."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"did not end: {err[-2000:]}") from None
    return Finished(process.returncode, out, err)


@contextmanager
def sandbox(folder: Path, *options: str) -> Iterator[World]:
    """Start a sandbox in ``folder`` and end it afterwards; options are those of ``python -m wxrec_async.sandbox``."""
    defaults: Sequence[str] = ("--dir", str(folder / "sandbox"), "--rate", "0")
    command = [sys.executable, "-m", "wxrec_async.sandbox", *defaults, *options]
    process = warm.start(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield World(told, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.communicate()
