"""A period of any size takes the memory of a page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parents[2]


def peak_mib(tasks: int) -> float:
    command = [sys.executable, "-m", "tests.reconcile.memory_child", str(tasks)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, cwd=HOME)
    seen, certified, _, after = map(int, done.stdout.split())
    assert (seen, certified) == (tasks, 30)
    return after / 1024


def test_ten_times_the_tasks_take_no_more_memory() -> None:
    """A month of 800 and of 8,000 tasks, both lists, ledger and bucket: the peaks differ by a few MiB."""
    assert peak_mib(8_000) - peak_mib(800) < 8
