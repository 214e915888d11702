"""One site for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.verify.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """An organisation whose recordings are all stored."""
    async with open_site(tmp_path, monkeypatch, tasks=8) as site:
        assert (await site.run()).exit_code == 0
        yield site
