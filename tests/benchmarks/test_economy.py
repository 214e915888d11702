"""What became of the budget, added up and measured once in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.economy import economy, measure
from wxrec_async.sandbox.log import Entry

pytestmark = pytest.mark.anyio


def entry(operation: str, started: float, status: int = 200) -> Entry:
    return Entry(0, "webex", "GET", "/", started, 0.0, (), {}, operation=operation, status=status)


def test_calls_are_held_against_the_limit_from_the_first_to_the_last() -> None:
    """101 calls in 10 s of a clock that runs twice as fast are 100 of the 100 that a third of a minute allows."""
    calls = [entry("captures" if n % 10 else "tasks", 5.0 + n / 10) for n in range(101)]
    found = economy([entry("media", 0.0), *calls, entry("s3.PutObject", 99.0)], tasks=900, rate=300, factor=2)
    assert found.share_of_rate == pytest.approx(1.0)
    assert found.captures_ratio == pytest.approx(1.0)
    assert found.kept
    assert "kept" in str(found)
    slower = economy(calls, tasks=900, rate=250, factor=2.2)
    assert slower.share_of_limit == pytest.approx(1 / 1.1)
    assert not economy([*calls, entry("tasks", 6.0, 429)], 900, 300, 2).kept


def test_a_log_without_calls_is_refused() -> None:
    """Nothing would be a share of nothing."""
    with pytest.raises(ValueError, match="no calls"):
        economy([entry("media", 1.0)], 10, 300, 1)


async def test_a_backfill_beside_the_sandbox_asks_for_ten_at_a_time_and_is_never_refused(tmp_path: Path) -> None:
    """The real limit, its clock and ours ten times as fast; how much of it is used is a matter of the machine."""
    found = await measure(tmp_path, 300, rate=300, factor=10, latency=0.1, days=2)
    assert 1 <= found.captures_ratio <= 1.03 + 1 / 30
    assert found.refused == 0
    assert 0 < found.share_of_limit <= 1.01
