"""What every test of this folder shares."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import botocore.session
import pytest
from botocore.loaders import create_loader


@pytest.fixture(scope="session", autouse=True)
def _one_loader() -> Iterator[None]:
    """Read botocore's service descriptions once, not again for the client of every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(create_loader))
        yield
