"""What several rules are tested with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def _clocks_show(zone: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def far_east() -> Iterator[None]:
    """Let this machine's clock show the time of Tokyo, nine hours ahead of UTC."""
    with _clocks_show("JST-9"):
        yield


@pytest.fixture
def far_west() -> Iterator[None]:
    """Let this machine's clock show the time of Honolulu, ten hours behind UTC."""
    with _clocks_show("HST10"):
        yield
