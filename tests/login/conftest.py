"""A sandbox for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .kit import Place, place


@pytest.fixture
async def here(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Place]:
    """Open a sandbox nobody is logged in to."""
    async with place(tmp_path / "site") as opened:
        yield opened
