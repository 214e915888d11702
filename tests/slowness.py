"""How much slower than usual a machine is, for bounds on how soon the program must end."""

from __future__ import annotations

import time


def slowness(begun_s: float, usual_s: float) -> float:
    """Return by how much what began at ``begun_s`` (monotonic) and has just been done exceeds its usual seconds.

    At least 1: what is slow to start the program is as much slower to end it, and a quick start earns nothing.
    """
    return max(1.0, (time.monotonic() - begun_s) / usual_s)
