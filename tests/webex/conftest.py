"""Fixtures of the Webex tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio: aiohttp knows no other loop."""
    return "asyncio"
