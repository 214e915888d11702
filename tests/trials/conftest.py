"""A trial for each test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slowness import slowness
from tests.trials.trial import QUICK, Trial, open_trial

USUAL_START_S = 1.5


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """Serve an empty organisation; what is owed or failed is due again at once."""
    with open_trial(tmp_path / "folder", QUICK) as trial:
        yield trial


@pytest.fixture
def slow() -> float:
    """Return by how much this machine is slower than usual, by how long the program takes to say what it can."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "wxrec_async", "--help"], check=True, capture_output=True)
    return slowness(begun, USUAL_START_S)
