"""A month of nightly runs, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.ledgers import Month


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger of 3,000 tasks over 30 days, with everything planted that `Month` plants."""
    path = tmp_path_factory.mktemp("month") / "wxrec.db"
    Month(tasks=3000).write(path)
    return path
