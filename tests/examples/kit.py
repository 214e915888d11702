"""What the tests of the examples do to their sandbox."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence

from tests.e2e.world import World

SMALL = ("--tasks", "30", "--seconds", "0.5", "2", "--no-large")
SLOW = ("--tasks", "40", "--seconds", "1500", "2500", "--media-rate", "4000000")
"""Recordings that take several parts, and seconds."""


def spoil(world: World, recording_ids: Sequence[str]) -> None:
    """Let these recordings be no recordings from now on, and all others be sound."""
    rules = [{"operation": "media.get", "kind": "html", "key": each, "attempts": None} for each in recording_ids]
    address = f"{world.told['control_url']}/faults"
    with urllib.request.urlopen(address, json.dumps({"rules": rules}).encode()) as answer:  # noqa: S310 - loopback
        assert answer.status == 200


def some_recordings(world: World, count: int) -> list[str]:
    return [str(row["recording_id"]) for row in world.ask("truth")[:count]]
