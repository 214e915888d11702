"""The figures of what is purged first: what a call costs, what a batch holds, and what is told."""

from __future__ import annotations

import pytest

from wxrec_async.model import DAY_MS, MINUTE_MS, Task
from wxrec_async.rules import retention
from wxrec_async.rules.retention import AtRisk, Timeline, length_ms

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def test_the_figures_are_those_of_webex() -> None:
    """Stereo G.711 and 16 bit linear at 8 kHz, ten tasks to a call, and the middle of the two as what is likely."""
    assert retention.BYTES_PER_SECOND == (16_000, 32_000)
    assert retention.LIKELY_BYTES_PER_SECOND == 24_000
    assert (retention.BATCH, MINUTE_MS) == (10, 60_000)


def test_a_task_at_risk_is_told_in_dates() -> None:
    """As ``plan --json`` has it."""
    assert AtRisk("t", NOW, NOW + DAY_MS, NOW + 60_000).as_json() == {
        "task_id": "t",
        "created": "2026-01-01T00:00:00Z",
        "purged": "2026-01-02T00:00:00Z",
        "reached": "2026-01-01T00:01:00Z",
    }


@pytest.mark.parametrize(("reached", "late"), [(99, False), (100, True), (101, True)])
def test_at_the_same_moment_the_purge_comes_first(reached: int, late: bool) -> None:
    """Nobody promises the other order."""
    assert AtRisk("t", 0, 100, reached).is_late is late


def test_every_call_takes_its_share_of_a_minute() -> None:
    """Calls to list add up, and ten tasks share a call to ask."""
    timeline = Timeline(NOW, 1, 30)
    timeline.list(2)
    timeline.list(1)
    reached = [timeline.ask(Task("t", created_ms=NOW), 10**9) for _ in range(21)]
    minutes = [(each.reached_ms - NOW) / 60_000 for each in reached if each]
    assert minutes == [4.0] * 10 + [5.0] * 10 + [6.0]


def test_bytes_add_up_under_a_limit() -> None:
    """Each task waits for all the bytes in front of it."""
    timeline = Timeline(NOW, 1e9, 30, bytes_per_s=1000)
    reached = [timeline.ask(Task("t", created_ms=NOW), 3_000) for _ in range(4)]
    assert [each.reached_ms - NOW for each in reached if each] == [0, 3_000, 6_000, 9_000]


def test_a_length_of_nothing_is_known() -> None:
    """Zero is a length; no end, or no beginning, is none."""
    assert length_ms(Task("t", duration_ms=0, created_ms=1, ended_ms=9)) == 0
    assert length_ms(Task("t", ended_ms=9)) is None
