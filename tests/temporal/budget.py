"""By hand: the calls of two workers against one budget.  ``python -m tests.temporal.budget 1000``

So many tasks are offered at once against 5 calls a second: the sandbox refuses more
than 300 a minute.  30 % of the URLs have expired; refusals, server errors, a broken
body and a 429 come on top.
"""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.world import World, finish, sandbox
from tests.temporal.kit import Server, fleet, per_minute, temporal

CALLS = ("tasks", "captures", "organization")


@dataclass
class Seen:
    """What the sandbox saw: calls of any kind, how many of them it refused by itself, and URLs that had expired."""

    calls: int
    a_second: float
    most_in_ten: int
    most_in_a_minute: int
    refused: int
    expired: int
    recordings: int

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {self.a_second:.2f} a second, at most {self.most_in_ten} in ten seconds and "
            f"{self.most_in_a_minute} in a minute, "
            f"{self.refused} refused with 429; {self.expired} URLs had expired for {self.recordings} recordings"
        )


def seen_of(folder: Path, server: Server, tasks: int) -> Seen:
    """Run a backfill by two workers and look at the sandbox's log."""
    options = ("--tasks", str(tasks), "--seconds", "0.3", "0.6", "--no-large", "--rate", "300", "--seed", "6")
    with sandbox(folder, *options) as world, fleet(world, server) as crew:
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
        ended = finish(crew.run(), 720 + tasks // 10)
        assert ended.code == 0, ended.err[-3000:] + crew.said()[-3000:]
        assert world.bucket() == world.truth()
        rows = [row for name in CALLS for row in world.requests(name)]
        times = sorted(row["started"] for row in rows)
        return Seen(
            calls=len(rows),
            a_second=len(times) / (times[-1] - times[0]),
            most_in_ten=most_within(times, 10),
            most_in_a_minute=most_within(times, 60),
            refused=sum(row["status"] == 429 and not row["fault"] for row in rows),
            expired=sum(row["fault"] == "expired" for row in world.requests("media.get")),
            recordings=len(world.truth()),
        )


def faults(world: World, *rules: dict[str, Any]) -> None:
    """Set what goes wrong in the sandbox from now on."""
    body = json.dumps({"rules": rules}).encode()
    urllib.request.urlopen(f"{world.told['control_url']}/faults", body).close()  # noqa: S310 - loopback


def most_within(times: list[float], seconds: float) -> int:
    """Return how many of ``times`` lie in the busiest span of so many seconds."""
    return max(sum(1 for other in times if each <= other < each + seconds) for each in times)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, temporal(Path(name) / "server") as running:
        print(seen_of(Path(name), running, int(sys.argv[1])))  # noqa: T201
