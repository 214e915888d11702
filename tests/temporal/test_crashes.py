"""Workers, the run and the server itself die; nothing is lost, nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.world import finish, sandbox
from tests.temporal.kit import fleet, recordings_in, settings, temporal

pytestmark = pytest.mark.temporal


@pytest.mark.fault("L03", "K9")
def test_whatever_is_killed_every_recording_is_stored_once(tmp_path: Path) -> None:
    """Kill -9 one of two workers, then both, then the server, then the run; start each again."""
    options = ("--tasks", "120", "--seconds", "20", "60", "--media-rate", "1500000")
    with temporal(tmp_path / "server") as server, sandbox(tmp_path, *options) as world, fleet(world, server) as crew:
        settings(world, "heartbeat_seconds = 2")

        def moved() -> int:
            return len(world.bucket())

        def wait_for(count: int) -> None:
            world.wait_for(lambda: moved() >= count, run)

        killed = 0
        first, second = crew.workers(2, "--concurrency", "6")
        run = crew.run()
        wait_for(10)
        first.kill()
        killed += 6
        wait_for(30)
        second.kill()
        (third,) = crew.workers(1, "--concurrency", "6")
        killed += 6
        wait_for(60)
        run.kill()
        run.communicate()
        server.kill()
        server.start()
        run = crew.run()
        wait_for(90)
        third.kill()
        killed += 6
        crew.workers(1, "--concurrency", "12")
        ended = finish(run, 720)

        assert ended.code == 0, ended.err[-3000:] + crew.said()[-3000:]
        assert "joining it" in ended.err
        assert world.bucket() == world.truth()
        assert world.uploads() == []
        assert len(world.requests("s3.PutObject", 200)) + len(world.requests("s3.CompleteMultipartUpload", 200)) == len(
            world.truth()
        )
        # What was in flight is fetched again; what was finished is not, but for what was finished in the last second.
        again = len(world.requests("media.get")) - len(world.truth())
        assert again <= killed * 2
        assert ended.summary["recordings"] == len(world.truth())
        assert recordings_in(world) == len(world.truth())
