"""What every test of the suite shares."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio: aiohttp and aioboto3 know no other loop."""
    return "asyncio"
