"""The share of the request budget that a run uses."""

from __future__ import annotations

import anyio
import pytest

from wxrec_async.flow.run_control import BudgetMeter


def test_each_reading_counts_from_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are differences, the share is of what was allowed in between; a burst is all of it, not more."""
    now, passed = [100.0], [40]
    monkeypatch.setattr(anyio, "current_time", lambda: now[0])
    budget = BudgetMeter(lambda: passed[0], per_minute=300)

    def after(seconds: float, requests: int) -> tuple[int, float]:
        now[0] += seconds
        passed[0] += requests
        return budget.used()

    assert after(0, 0) == (0, 0.0)
    assert after(10, 25) == (25, 0.5)
    assert after(10, 50) == (50, 1.0)
    assert after(1, 50) == (50, 1.0)
    assert after(10, 0) == (0, 0.0)
