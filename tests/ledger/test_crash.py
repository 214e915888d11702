"""kill -9: what was acknowledged is there, and the ledger opens."""

from __future__ import annotations

import random
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wxrec_async.ledger import Everything, open_reader
from wxrec_async.model import Window

from .contract import HOME, Opener

pytestmark = pytest.mark.anyio

WRITER = """
import itertools, sys
from pathlib import Path
import anyio
from wxrec_async.events import ignore
from wxrec_async.ledger import Identity, open_ledger
from wxrec_async.model import Recording, StoredObject, Task

async def worker(ledger, worker_id, round_id):
    for number in itertools.count():
        name = f"{round_id}-{worker_id}-{number}"
        await ledger.add_tasks([Task(name, created_ms=1)], listed_in=None, now_ms=1)
        await ledger.captured_many({name: [Recording(name, "a")]}, 2)
        facts = {"run_id": round_id, "already": False, "main_place": True, "now_ms": 3}
        await ledger.stored(name, "a", StoredObject(name, 1, 1), **facts)
        print(name, flush=True)

async def main(path, *identity, round_id):
    async with open_ledger(Path(path), Identity(*identity), mask=str, emit=ignore) as ledger:
        await ledger.begin_run(round_id, 1, None)
        async with anyio.create_task_group() as group:
            for worker_id in range(8):
                group.start_soon(worker, ledger, worker_id, round_id)

anyio.run(lambda: main(*sys.argv[1:5], round_id=sys.argv[5]))
"""


def acknowledged_until_killed(path: Path, round_id: str, wanted: int) -> list[str]:
    """Run the writer until it acknowledged ``wanted`` rows, kill it, and return all it acknowledged."""
    command = [sys.executable, "-c", WRITER, str(path), HOME.org_id, HOME.bucket, HOME.key_template, round_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines: list[str] = []
        deadline = time.monotonic() + 20
        while len(lines) < wanted and time.monotonic() < deadline:
            if select.select([writer.stdout], [], [], 1)[0]:
                lines.append(writer.stdout.readline())
        writer.kill()
        lines += writer.stdout.readlines()
    return [line.strip() for line in lines if line.endswith("\n")]


@pytest.mark.fault("K19", "L03")
async def test_acknowledged_rows_survive_kill_nine(path: Path, opener: Opener) -> None:
    """Eight workers are killed amid their commits, four times on one ledger: nothing acknowledged is lost."""
    dice = random.Random(1)
    acknowledged: list[str] = []
    for number in range(4):
        acknowledged += acknowledged_until_killed(path, f"run-{number}", dice.randrange(20, 200))
        async with open_reader(path) as reader:
            seen = (await reader.counts(Everything(), None)).already_stored
            assert seen >= len(acknowledged)
        async with opener() as ledger:
            counts = await ledger.counts(Everything(), None)
            known = await ledger.asked(acknowledged)
            assert len(known) == len(acknowledged)
            assert counts.already_stored >= len(acknowledged)
            assert {asked.state for asked in known.values()} == {"captured"}
            # At most the work under way: one row a worker that was committed and not yet acknowledged.
            assert counts.tasks_listed <= len(acknowledged) + 8 * (number + 1)
            assert await ledger.closed_windows(Window(0, 1)) == []
