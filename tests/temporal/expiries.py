"""By hand: what token expiries cost two workers.  ``python -m tests.temporal.expiries 100``

Two worker processes with one token file, the real server; every access token is
expired again and again while they list and store.
"""

from __future__ import annotations

import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from tests.e2e.world import World, finish, sandbox
from tests.temporal.kit import Server, fleet, per_minute, temporal

CALLS_BETWEEN = 4  # so that both workers, who take turns at the queue, have met an expiry before the next one
TASKS_FOR_EACH = 60  # a page of ten and its batch are a call each
CALLS_A_SECOND = 5  # the work must outlast the expiries


def cost(folder: Path, server: Server, expiries: int) -> tuple[int, int]:
    """Expire the token so often; return how many refreshes the token endpoint granted, and calls it refused."""
    options = ("--seconds", "0.2", "0.4", "--no-large", "--days", "1", "--seed", "7")
    tasks = str(TASKS_FOR_EACH * (expiries + 1))
    with sandbox(folder, "--tasks", tasks, *options) as world, fleet(world, server) as crew:
        per_minute(world, 60 * CALLS_A_SECOND)
        world.config.write_text(world.config.read_text().replace("[webex]", "[webex]\npage_size = 10"))
        crew.workers(2)
        run = crew.run("--days-back", "3", "--log-level", "error")  # nobody reads its log meanwhile
        mark = 0
        for _ in range(expiries):
            world.wait_for(lambda: calls(world, mark, 200) >= CALLS_BETWEEN, run)  # noqa: B023 - called at once
            mark = last(world, mark)
            urllib.request.urlopen(f"{world.told['control_url']}/expiry", b"").close()  # noqa: S310 - loopback
            world.wait_for(lambda: seen(world, mark, "token"), run)  # noqa: B023
        ended = finish(run, 300)
        assert ended.code == 0, ended.err[-3000:] + crew.said()[-3000:]
        assert world.bucket() == world.truth()
        assert {row["status"] for row in seen(world, 0, "token")} == {200}
        return len(seen(world, 0, "token")), calls(world, 0, 401)


def seen(world: World, mark: int, *operations: str) -> list[dict[str, Any]]:
    """Return what the sandbox saw of these operations behind a place in its log."""
    return [row for row in world.ask(f"log?since={mark}") if row["operation"] in operations]


def calls(world: World, mark: int, status: int) -> int:
    return sum(row["status"] == status for row in seen(world, mark, "tasks", "captures"))


def last(world: World, mark: int) -> int:
    return max((int(row["number"]) for row in world.ask(f"log?since={mark}")), default=mark)


if __name__ == "__main__":
    count = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as name, temporal(Path(name) / "server") as running:
        refreshes, refused = cost(Path(name), running, count)
    print(f"{count} expiries, {refused} calls refused: {refreshes} refreshes")  # noqa: T201
    assert count <= refreshes <= 2 * count
