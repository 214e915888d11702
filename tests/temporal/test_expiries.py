"""Two worker processes share one token."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.temporal.expiries import cost
from tests.temporal.kit import Server

pytestmark = pytest.mark.temporal


def test_each_expiry_costs_two_workers_one_refresh(tmp_path: Path, server: Server) -> None:
    """At most one more for the loser of a race; calls that were refused are made again, and everything is stored."""
    refreshes, refused = cost(tmp_path, server, 4)
    assert 4 <= refreshes <= 8
    assert refused >= 4
