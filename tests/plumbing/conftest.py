"""The plumbing's tests run in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from .virtual import OPTIONS


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on asyncio with a clock that jumps."""
    return "asyncio", OPTIONS
