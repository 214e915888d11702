"""A sandbox for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wxrec_async.setup.doctor import notes

from .kit import Clinic, clinic


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once: what is waited for here comes from a script."""
    monkeypatch.setattr(notes, "PAUSE_S", 0.01)


@pytest.fixture
async def ward(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Clinic]:
    """Open a healthy sandbox."""
    async with clinic(tmp_path / "site") as opened:
        yield opened
