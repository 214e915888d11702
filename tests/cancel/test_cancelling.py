"""The service of this folder, for a few moments; ``python -m tests.cancel --moments 1000`` is the whole of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.fault("C8", "R12", "D31", "P10", "C5")
@pytest.mark.parametrize(("moments", "seed", "faults"), [(20, 1, "none"), (20, 2, "mild")])
def test_a_backfill_cancelled_at_any_moment_leaves_nothing(moments: int, seed: int, faults: str) -> None:
    """No task, file, upload, thread or warning; and the same process and clients do a whole backfill right after."""
    command = [sys.executable, "-W", "error", "-X", "dev", "-m", "tests.cancel", "--moments", str(moments)]
    done = subprocess.run(
        [*command, "--seed", str(seed), "--faults", faults],
        cwd=ROOT, text=True, capture_output=True, timeout=720, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["left"] == []
    assert report["cancelled"] == moments
    assert report["whole_runs"] > moments // 20
    # Debug mode says of a step that took long on a busy machine that it did; that is no warning of ours.
    assert [line for line in done.stderr.splitlines() if not line.startswith("Executing <")] == []
