"""A machine that slept: a process stopped in the middle of a question, whose clock is an hour on when it goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

import anyio
import pytest

from .kit import Connection, Request, serving

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
HOUR_S = 3604.0


def stopped(pid: int) -> bool:
    """Whether the kernel has stopped the process, by proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"


def asked_by(child_url: str, moved_on: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "webex.sleep_child", child_url, str(moved_on)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.fault("W34")
@pytest.mark.parametrize(
    ("date_off_s", "said"),
    # The server stamps its answer before the sleep, or as it is sent: neither speaks against our clock.
    [
        (0.0, ["{}", "{}"]),
        (-HOUR_S, ["this machine's clock is 36xx s ahead of 127.0.0.1's; set the clock and run again"]),
    ],
    ids=["slept", "wrong clock"],
)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells that a process is stopped")
async def test_a_process_that_slept_an_hour_has_no_wrong_clock(
    date_off_s: float, said: list[str], tmp_path: Path
) -> None:
    """The answer's `Date` is an hour old when it is read; a clock that is wrong is still found, by two answers."""
    moved_on = tmp_path / "moved_on"
    moved_on.write_text("0", "ascii")
    started: list[subprocess.Popen[str]] = []
    questions = 0

    async def answer(connection: Connection, _: Request) -> None:
        nonlocal questions
        questions += 1
        now = float(moved_on.read_text("ascii"))
        date = formatdate(_real() + date_off_s + now, usegmt=True)
        if questions == 1:
            started[0].send_signal(signal.SIGSTOP)
            while not stopped(started[0].pid):
                await anyio.sleep(0.01)
            moved_on.write_text(str(HOUR_S), "ascii")
        head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n{{}}"
        await connection.send(head.encode())
        started[0].send_signal(signal.SIGCONT)

    async with serving(answer) as server:
        child = asked_by(server.url("/tasks"), moved_on)
        started.append(child)
        try:
            out = await anyio.to_thread.run_sync(lambda: child.communicate(timeout=300)[0])
        finally:
            child.kill()
    assert re.sub(r"36\d\d", "36xx", out).splitlines() == said


def _real() -> float:
    return float(subprocess.run(["date", "+%s.%N"], capture_output=True, text=True, check=True).stdout)
