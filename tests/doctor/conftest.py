"""A sandbox for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .kit import Clinic, clinic


@pytest.fixture
async def ward(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Clinic]:
    """Open a healthy sandbox."""
    async with clinic(tmp_path / "site") as opened:
        yield opened
