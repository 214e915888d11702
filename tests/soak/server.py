"""The sandbox of a real soak, in a process of its own: ``python -m tests.soak.server FOLDER``.

``FOLDER/plan.json`` says how many calls there will be, how many a second, and
how mild it is.  It prints one JSON line when it is ready, and ends by SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from wxrec_async.sandbox import Options, Organisation, Rule, Sandbox
from wxrec_async.sandbox.organisation import DAY_MS, SandboxTask

PAST = 40_000
LATE_EVERY, LATE_MS = 20, 150_000  # one call in so many has its recording only so much later
REFUSED_EVERY_S = 420.0  # Webex forgets every access token, whatever it had promised
TOKEN_LIVES_S = 120
EXPIRED_SHARE = 0.2  # of the signed URLs have ended when they are first used
LARGE_EVERY, LARGE_MIB = 200, (5.5, 7.0)  # of two parts


class Grown(Organisation):
    """An organisation with a past: calls that had no recording, more than the ledger's page cache holds.

    A ledger that begins empty fills that cache for an hour, which is bounded and no leak, and looks like one.
    """

    def remember(self, count: int) -> None:
        """Let so many calls have been, between two days and a day and a quarter ago."""
        now_ms = round(time.time() * 1000)
        for number in range(count):
            created = now_ms - 2 * DAY_MS + number * (DAY_MS * 3 // 4) // count
            task = SandboxTask(number, f"past-{number:06d}", created, "telephony", False, "none", 0, 0)
            self._by_id[task.id] = task
        self._tasks = sorted(self._by_id.values(), key=lambda task: task.created_ms)


async def calls_come(organisation: Organisation, calls: int, a_second: float) -> None:
    """Let one call after the other be listed, evenly."""
    begun = time.time()
    for number in range(calls):
        await asyncio.sleep(max(0.0, begun + number / a_second - time.time()))
        now_ms = round(time.time() * 1000)
        organisation.add(now_ms, ready_ms=now_ms + LATE_MS if number % LATE_EVERY == 0 else 0)


async def tokens_end(sandbox: Sandbox) -> None:
    """Refuse tokens before their time, again and again."""
    while True:
        await asyncio.sleep(REFUSED_EVERY_S)
        sandbox.desk.expire_access()


def options(folder: Path, given: dict[str, Any]) -> Options:
    organisation = Grown(
        0, given["seed"], days=2.5, seconds=(0.3, 3), large_every=LARGE_EVERY, large_mib=LARGE_MIB, odd_names=False
    )
    organisation.remember(PAST)
    return Options(
        organisation=organisation,
        folder=folder / "bucket",
        faults="mild",
        script=[Rule("media.get", "expired", share=EXPIRED_SHARE)],
        rotation="old_revoked",
        token_expires_in=TOKEN_LIVES_S,
    )


def config(sandbox: Sandbox, folder: Path) -> Path:
    return sandbox.write_config(
        folder,
        backfill={"concurrency": 8, "ask_again_minutes": 1, "settle_minutes": 1},
        follow={"poll_minutes": 1, "trailing_days": 1},
        s3={"part_size_mib": 5},
    )


async def serve(folder: Path) -> None:
    given = json.loads((folder / "plan.json").read_text())
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with Sandbox(options(folder, given)) as sandbox, asyncio.TaskGroup() as group:
        ready = sandbox.addresses() | {"config": str(config(sandbox, folder)), "environment": sandbox.environment()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        coming = group.create_task(calls_come(sandbox.organisation, given["calls"], given["a_second"]))
        ending = group.create_task(tokens_end(sandbox))
        await ended.wait()
        coming.cancel()
        ending.cancel()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
