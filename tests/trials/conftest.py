"""A trial for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trials.trial import QUICK, Trial, open_trial


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """Serve an empty organisation; what is owed or failed is due again at once."""
    with open_trial(tmp_path / "folder", QUICK) as trial:
        yield trial
