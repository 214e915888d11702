"""A few random kills in every commit; a hundred and more by hand, see `random_kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.world import sandbox
from tests.kill.random_kills import kill_at_random


@pytest.mark.fault("L03", "L17", "P5", "C4", "C4b")
def test_killed_at_random_moments_it_ends_as_if_nobody_had_been(tmp_path: Path) -> None:
    """Six kills within two seconds each, then a run to the end, judged by the servers alone."""
    options = ("--tasks", "60", "--seconds", "2", "30", "--media-rate", "400000", "--no-large")
    with sandbox(tmp_path, *options) as world:
        command = world.command("run", "--config", str(world.config), "--concurrency", "4")
        found = kill_at_random(
            command, world.told["control_url"], concurrency=4, kills=6, seed=5, environment=world.environment
        )
        assert found.wrong == []
        assert found.fetched_between_kills > 0
