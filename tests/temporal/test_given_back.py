"""What a worker gives back to the queue is expected: it says so in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.world import finish, sandbox
from tests.temporal.budget import faults
from tests.temporal.kit import Server, fleet

pytestmark = pytest.mark.temporal

NOW_AND_THEN = (
    {"operation": "captures", "kind": "throttle", "attempts": None, "share": 0.5, "limit": 2, "retry_after": "1"},
    {"operation": "captures", "kind": "error", "status": 503, "attempts": None, "limit": 4},
    {"operation": "tasks", "kind": "expire_token", "limit": 1},
)


def test_429_503_and_a_renewed_token_are_a_line_each_and_no_traceback(tmp_path: Path, server: Server) -> None:
    """Temporal's own log of a failed activity would be forty lines of an exception for each."""
    with sandbox(tmp_path, "--tasks", "40", "--seconds", "0.5", "1", "--no-large") as world:
        faults(world, *NOW_AND_THEN)
        with fleet(world, server) as crew:
            crew.workers(1, "--log-level", "info")
            ended = finish(crew.run("--to", "2099-01-01"), 720)
            assert ended.code == 0, ended.err[-3000:]
            assert ["lies in the future" in note for note in ended.summary["notes"]] == [True]
            said = crew.said()
            met = [row["status"] for name in ("captures", "tasks") for row in world.requests(name)]
    assert set(met) >= {401, 429, 503}
    assert "Traceback" not in said, said[-3000:]
    assert "Completing activity as failed" not in said
    assert any("retrying" in line and "info" in line for line in said.splitlines())  # one a minute stands for the rest
