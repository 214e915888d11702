"""A small organisation, its servers in this process, and the program in another one that can be killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anyio import to_thread

from tests import warm
from tests.kill.dying_client import Moment
from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.sandbox.audio import MULAW, Audio
from wxrec_async.sandbox.organisation import HOUR_MS, SandboxTask
from wxrec_async.sandbox.seeded import Draw
from wxrec_async.sandbox.token_service import Rotation

CONCURRENCY = 2
PATIENCE_S = 360.0
LARGE = 12 << 20  # three parts of 5 MiB, the last one shorter
KINDS = ("one", "none", "legs", "one", "unknown", "named", "one", "one")


class Few(Organisation):
    """Eight calls, one of each kind; the first has a recording of three parts, the others are small."""

    def _generate(self, count: int, same_ms: int, fresh: int) -> Iterator[SandboxTask]:
        for index, kind in enumerate(KINDS):
            requested = {"none": False, "unknown": None}.get(kind, True)
            recordings = 2 if kind == "legs" else int(requested is True)
            task_id = Draw(self.seed, "task id", index).uuid()
            yield SandboxTask(
                index, task_id, self._oldest_ms + index * HOUR_MS, "telephony", requested, kind, 0, recordings
            )

    def _audio(self, task: SandboxTask, leg: int) -> Audio:
        size = LARGE if (task.index, leg) == (0, 0) else 20_000 + 1000 * task.index + leg
        return Audio(self.seed, f"sandbox task {task.id} leg {leg}", size // MULAW.frame, MULAW)


class Program:
    """The program under way, or ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def end(self) -> tuple[int, str, str]:
        """Wait for its end; return exit code, standard output and standard error."""
        out, err = await to_thread.run_sync(self._communicate, abandon_on_cancel=True)
        return self.process.returncode, out, err

    def _communicate(self) -> tuple[str, str]:
        try:
            return self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, err = self.process.communicate()
            raise AssertionError(f"did not end: {err[-3000:]}") from None


class Site:
    """The sandbox, the files of the program, and ways to look at both."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.config = sandbox.write_config(folder, s3={"part_size_mib": 5}, backfill={"concurrency": CONCURRENCY})
        self.ledger_path = folder / "wxrec.db"
        self.tokens_path = folder / "tokens.json"
        self.running: Program | None = None

    # The program

    async def start(self, *more: str, moment: Moment | None = None) -> Program:
        """Begin a run, one that dies at ``moment`` when there is one."""
        module = ["wxrec_async"] if moment is None else ["tests.kill.dying_client", json.dumps(asdict(moment))]
        arguments = ["run", "--config", str(self.config), "--json", *more]
        process = warm.start(
            [sys.executable, "-W", "error", "-m", *module, *arguments],
            env={**os.environ, **self.sandbox.environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.running = Program(process)
        return self.running

    def kill(self) -> None:
        """Kill the program and wait until it is dead: a rule's ``before`` or ``after``, so no answer overtakes this."""
        assert self.running is not None
        pid = self.running.pid
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while _lives(pid):
            assert time.monotonic() < deadline
            time.sleep(0.0005)

    def send(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        assert self.running is not None
        os.kill(self.running.pid, number)

    def kill_at(self, operation: str, *, key: str = "*", done: bool) -> None:
        """Let an operation's first request be the program's last; ``done`` says whether it is still carried out."""
        if done:
            self.sandbox.faults.add(operation, "call", key=key, limit=1, attempts=None, after=self.kill)
        else:
            self.sandbox.faults.add(operation, "reset_before", key=key, limit=1, attempts=None, before=self.kill)

    async def dies(self, *more: str, moment: Moment | None = None, by: signal.Signals = signal.SIGKILL) -> None:
        """Run until the program is killed; it must not end otherwise."""
        code, out, err = await (await self.start(*more, moment=moment)).end()
        assert code == -by, (code, out[-1000:], err[-3000:])
        self.sandbox.faults.clear()

    async def run(self, *more: str) -> tuple[int, dict[str, Any]]:
        """Run to the end; return exit code and summary."""
        code, out, err = await (await self.start(*more)).end()
        lines = [json.loads(line) for line in out.splitlines()]
        assert lines, err[-3000:]
        return code, lines[-1]

    # What is there

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the ledger, as it lies there, without the program's own code."""
        with closing(sqlite3.connect(f"{self.ledger_path.as_uri()}?mode=rw", uri=True)) as db:
            db.create_function("wxrec_seal", -1, lambda *_: None, deterministic=True)
            return db.execute(query).fetchall()

    def written(self, pattern: str = "*") -> bytes:
        """Everything in the program's files, one after the other."""
        return b"".join(file.read_bytes() for file in self.files(pattern))

    def files(self, pattern: str) -> list[Path]:
        return [file for file in self.folder.glob(pattern) if file.is_file()]

    def number(self, query: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {query}")[0][0])  # noqa: S608 - a test's own words

    def count(self, operation: str, *statuses: int) -> int:
        """How many requests of an operation came, or were answered with one of these statuses."""
        found = self.sandbox.log.of(operation)
        return len([entry for entry in found if not statuses or entry.status in statuses])

    async def check_as_undisturbed(self, kills: int = 1) -> None:
        """Same bytes, nothing twice, little fetched again, nothing open, the ledger whole."""
        truth = self.sandbox.truth()
        assert await self.sandbox.differences() == []
        assert self.sandbox.uploads() == []
        assert self.count("media.get") <= len(truth) + kills * (CONCURRENCY + 1)
        assert self.rows("PRAGMA integrity_check") == [("ok",)]
        assert self.number("recordings WHERE state = 'stored'") == len(truth)
        assert self.number("open_uploads") == 0
        assert b"X-Amz-" not in self.written()

    async def ends_as_undisturbed(self, kills: int = 1) -> dict[str, Any]:
        """Run again: to the end, exit 0, and everything as `check_as_undisturbed` has it; return the summary."""
        code, summary = await self.run()
        assert code == 0, summary
        assert summary["recordings"] == len(self.sandbox.truth())
        await self.check_as_undisturbed(kills)
        return summary


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@asynccontextmanager
async def site(folder: Path, rotation: Rotation = "old_stays_valid") -> AsyncIterator[Site]:
    """Open a sandbox for `Few` and write the program's files into ``folder``."""
    async with Sandbox(Options(organisation=Few(0, 1), requests_per_minute=0, rotation=rotation)) as sandbox:
        opened = Site(sandbox, folder)
        try:
            yield opened
        finally:
            if opened.running is not None and opened.running.process.returncode is None:
                opened.running.process.kill()
                opened.running.process.wait()
