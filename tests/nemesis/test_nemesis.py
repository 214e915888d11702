"""The nemesis run in the suite: a small one always, and the commit tier with one seed."""

from __future__ import annotations

import pytest

from tests.nemesis.campaign import Asked, run, table
from tests.nemesis.plan import LASTING, make


@pytest.mark.fault("C2", "C3", "C5", "C11", "C13")
def test_fifty_recordings_under_every_kind_of_fault() -> None:
    """Nothing is lost, doubled, corrupt or unexplained, and what cannot be had fails for its own reason."""
    result = run(Asked(recordings=50, seed=3, concurrency=16, kills=1, large_every=12))
    assert result.verdict.clean, table(result)
    assert result.verdict.figures["faults"] >= 100
    assert any(operation.startswith("s3.CompleteMultipartUpload") for operation in result.hits)


@pytest.mark.fault("C1", "C2", "C3", "C5", "C11", "C12", "C13")
def test_the_commit_tier() -> None:
    """A thousand recordings and two thousand faults, every kind of them hit."""
    result = run(Asked(recordings=1000, seed=7, concurrency=32))
    assert result.verdict.clean, table(result)
    assert result.verdict.figures["faults"] >= 2000


@pytest.mark.fault("C9", "C10")
def test_a_fifth_of_all_requests_failing_costs_half_as_many_again_at_most() -> None:
    """Amplification is requests on the wire for requests needed; whatever is transient is had in one start."""
    result = run(Asked(recordings=150, seed=21, concurrency=32, mode="transient20"))
    assert result.verdict.clean, table(result)
    assert len(result.rounds) == 1
    assert result.verdict.figures["amplification"] <= 1.5


def test_a_plan_is_the_same_every_time_and_every_fate_is_dealt() -> None:
    """A seed replays; a run of the commit tier's size meets every lasting fault."""
    one, two = make(5, 1000), make(5, 1000)
    assert (one.campaign, one.expected) == (two.campaign, two.expected)
    assert {fate.name for fate in one.expected.values()} >= {fate.name for fate in LASTING}
    assert make(6, 1000).expected != one.expected
