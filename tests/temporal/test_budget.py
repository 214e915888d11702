"""One request budget for all workers, kept by the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.temporal.budget import seen_of
from tests.temporal.kit import Server

pytestmark = pytest.mark.temporal


def test_calls_of_any_kind_of_two_workers_stay_within_one_budget(tmp_path: Path, server: Server) -> None:
    """Listing, captures, renewals, replays and retries together: 5 a second are allowed, 300 tasks offered at once."""
    seen = seen_of(tmp_path, server, 300)
    assert seen.expired > 0.2 * seen.recordings
    assert seen.a_second <= 5.2
    # The server paces when work begins; a busy machine bunches a few of the calls that follow.
    assert seen.most_in_ten <= 62
    assert seen.most_in_a_minute <= 312
    assert seen.refused < 0.01 * seen.calls
