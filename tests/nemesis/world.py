"""The two processes of a run: the sandbox, and the program started against it as often as it takes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests import warm
from tests.nemesis.plan import DAYS, Plan

START_S = 60.0


@dataclass(slots=True)
class Round:
    """One start of the program; ``log_end`` is the number of the last request the sandbox had seen by its end."""

    code: int
    seconds: float
    killed: bool
    log_end: int = 0


@dataclass(slots=True)
class World:
    """The sandbox's addresses and folder, and what the program was asked to do."""

    folder: Path
    told: dict[str, Any]
    concurrency: int
    rounds: list[Round] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        return self.folder / "wxrec.db"

    @property
    def outputs(self) -> list[Path]:
        """Everything the program wrote, anywhere: what it printed, and its ledger."""
        printed = sorted(self.folder.glob("round-*"))
        return [*printed, *sorted(self.folder.glob("wxrec.db*"))]

    def ask(self, path: str) -> list[dict[str, Any]]:
        """Read JSON lines, or one JSON document, from the sandbox's control port."""
        with urllib.request.urlopen(f"{self.told['control_url']}/{path}") as answer:  # noqa: S310 - loopback
            return [json.loads(line) for line in answer if line.strip()]

    def seen(self) -> int:
        """Return the number of the last request."""
        return int(self.ask("faults")[0]["requests"])

    def run(self, *, within_s: float, kill_after_s: float | None = None) -> Round:
        """Start the program and wait for its end, or kill it at a moment."""
        begun, number = time.monotonic(), len(self.rounds) + 1
        out, err = (self.folder / f"round-{number}.{name}" for name in ("out", "err"))
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = warm.start(
                self._command(), cwd=self.folder, env=self._environment(), stdout=stdout, stderr=stderr
            )
            try:
                killed = self._wait(process, kill_after_s, within_s)
            finally:
                process.kill()  # whatever ended the waiting; a process that has ended does not mind
                process.wait()
        done = Round(process.returncode, time.monotonic() - begun, killed, self.seen())
        self.rounds.append(done)
        return done

    def _wait(self, process: subprocess.Popen[str], kill_after_s: float | None, within_s: float) -> bool:
        try:
            process.wait(within_s if kill_after_s is None else kill_after_s)
        except subprocess.TimeoutExpired:
            if kill_after_s is None:
                process.send_signal(signal.SIGABRT)
            process.kill()
            process.wait()
            if kill_after_s is None:
                raise TimeoutError(f"the program did not end within {within_s:g} s") from None
            return True
        return False

    def _command(self) -> list[str]:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        span = ["--from", (midnight - timedelta(days=DAYS)).isoformat(), "--to", midnight.isoformat()]
        given = ["--config", self.told["config"], "--concurrency", str(self.concurrency), *span]
        more = ["--json", "--no-progress", "--log-level", "debug", "--ca-bundle", str(self.folder / "ca.pem")]
        return [sys.executable, "-W", "error", "-m", "wxrec_async", "run", *given, *more]

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WXREC_"))}
        return {**own, **self.told["environment"]}


@contextmanager
def world(plan: Plan, concurrency: int) -> Iterator[World]:
    """Start the sandbox of a plan; it ends with the context."""
    with tempfile.TemporaryDirectory(prefix="nemesis-") as name:
        folder = Path(name)
        given = {key: value for key, value in asdict(plan).items() if key != "expected"}
        (folder / "plan.json").write_text(json.dumps(given))
        command = [sys.executable, "-m", "tests.nemesis.server", str(folder)]
        process = warm.start(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the sandbox did not start")
            yield World(folder, json.loads(line), concurrency)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.communicate()


def moments(seed: int, kills: int, longest_s: float) -> list[float]:
    """Draw the seconds after which the program is killed, each time it is started."""
    dice = random.Random(f"kills {seed}")
    return [dice.uniform(1.0, longest_s) for _ in range(kills)]
