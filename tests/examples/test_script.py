"""The plain script, run as its reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.world import sandbox
from tests.examples.kit import SMALL, some_recordings, spoil

SCRIPT = Path(__file__).with_name("script.py")


def test_the_script_stores_everything_and_exits_with_the_runs_code(tmp_path: Path) -> None:
    """Outside of any package of ours, with every warning an error."""
    with sandbox(tmp_path, *SMALL) as world:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(SCRIPT), str(world.config)],
            env=world.environment, cwd=tmp_path, text=True, capture_output=True, timeout=360, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert world.bucket() == world.truth()
        stored, size = len(world.truth()), sum(size for size, _ in world.truth().values())
    assert re.fullmatch(rf"\d+ tasks to ask for\n{stored} recordings, {size:,} bytes\n", done.stdout)
    assert done.stderr == ""


def test_the_script_names_what_failed(tmp_path: Path) -> None:
    """Exit code 3, and a line for each recording."""
    with sandbox(tmp_path, *SMALL) as world:
        spoil(world, some_recordings(world, 2))
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(world.config)],
            env=world.environment, cwd=tmp_path, text=True, capture_output=True, timeout=360, check=False,
        )  # fmt: skip
        assert len(world.bucket()) == len(world.truth()) - 2
    assert done.returncode == 3, done.stderr
    assert len(done.stderr.splitlines()) == 2
