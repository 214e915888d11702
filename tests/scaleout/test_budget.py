"""One request budget for all workers, kept by the server."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import World, finish, sandbox
from tests.scaleout.kit import Server, fleet, per_minute

pytestmark = pytest.mark.temporal
CALLS = ("tasks", "captures", "organization")


def faults(world: World, *rules: dict[str, Any]) -> None:
    """Set what goes wrong in the sandbox from now on."""
    body = json.dumps({"rules": rules}).encode()
    urllib.request.urlopen(f"{world.told['control_url']}/faults", body).close()  # noqa: S310 - loopback


def most_within(times: list[float], seconds: float) -> int:
    """Return how many of ``times`` lie in the busiest span of so many seconds."""
    return max(sum(1 for other in times if each <= other < each + seconds) for each in times)


def test_calls_of_any_kind_of_two_workers_stay_within_one_budget(tmp_path: Path, server: Server) -> None:
    """Listing, captures, renewals, replays and retries together: 5 a second are allowed, 300 tasks a second offered."""
    options = ("--tasks", "300", "--seconds", "0.3", "0.6", "--no-large", "--rate", "300", "--seed", "6")
    with sandbox(tmp_path, *options) as world, fleet(world, server) as crew:
        per_minute(world, 300)
        faults(
            world,
            {"operation": "media.get", "kind": "expired", "share": 0.3, "attempts": [1, 2, 3]},
            {"operation": "media.get", "kind": "short_body", "at": "middle", "limit": 1},
            {"operation": "captures", "kind": "token_401", "limit": 1},
            {"operation": "captures", "kind": "error", "status": 500, "share": 0.05},
            {"operation": "tasks", "kind": "throttle", "retry_after": "2", "limit": 1},
        )
        crew.workers(2)
        ended = finish(crew.run(), 120)
        assert ended.code == 0, ended.err[-3000:] + crew.said()[-3000:]
        assert world.bucket() == world.truth()

        calls = [row for name in CALLS for row in world.requests(name)]
        times = sorted(row["started"] for row in calls)
        expired = [row for row in world.requests("media.get") if row["fault"] == "expired"]
        refused = [row for row in calls if row["status"] == 429 and not row["fault"]]
        assert len(expired) > 0.2 * len(world.truth())
        assert len(times) / (times[-1] - times[0]) <= 5.2
        # The server paces when work begins; a busy machine bunches a few of the calls that follow.
        assert most_within(times, 10) <= 57
        assert len(refused) < 0.01 * len(calls)
