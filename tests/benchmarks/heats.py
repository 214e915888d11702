"""Which heats are run: sizes, workers, a wide network, growth; quick and whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.benchmarks.race import OURS

WIDE_OURS = "wxrec_async, 128 workers"
RCLONE = "rclone copy"
PSEUDO = "pseudo code"
FAST = (OURS, RCLONE, "rclone copyurl", "obstore")
SLOW = ("boto3, 32 threads", "s5cmd pipe", PSEUDO)
BOTH = (OURS, RCLONE)
SIZES = ("100 KiB", "1 MiB", "5 MiB", "64 MiB")  # names of the main heats
SUSTAINED = "sustained, 5 MiB"
WIDE_NETWORK = "wide network, 5 MiB"
MORE_WORKERS = "100 KiB, 128 workers against 32"
GROWN = ("growth, 1,000", "growth, 10,000", "growth, 100,000")
WIDE_BYTES_PER_S = 2 << 20  # of one connection of the wide network, as nginx is told


@dataclass(frozen=True, slots=True)
class Planned:
    """One heat to be, and who takes part.  ``shares``: how many recordings a slow contestant moves, once."""

    name: str
    size: str
    count: int
    workers: int = 32
    kind: str = "rec"
    tls: bool = True
    contestants: tuple[str, ...] = FAST
    pairs: int = 5
    shares: dict[str, int] = field(default_factory=dict)


def _all(name: str, size: str, count: int, *shares: int) -> Planned:
    return Planned(name, size, count, contestants=FAST + SLOW, shares=dict(zip(SLOW, shares, strict=True)))


WHOLE = (
    _all("100 KiB", "100k", 4000, 640, 320, 100),
    _all("1 MiB", "1m", 1500, 320, 320, 60),
    _all("5 MiB", "5m", 400, 160, 160, 40),
    _all("64 MiB", "64m", 48, 32, 32, 4),
    Planned(SUSTAINED, "5m", 4000, contestants=(OURS,), pairs=3),
    Planned(WIDE_NETWORK, "5m", 1280, kind="wan", contestants=BOTH, pairs=2),
    Planned(MORE_WORKERS, "100k", 8000, contestants=(OURS, WIDE_OURS)),
    Planned(GROWN[0], "100k", 1000, contestants=(OURS,)),
    Planned(GROWN[1], "100k", 10_000, contestants=(OURS,), pairs=2),
    Planned(GROWN[2], "100k", 100_000, contestants=(OURS,), pairs=1),
    Planned("100 KiB, plain", "100k", 4000, tls=False, contestants=BOTH, pairs=3),
    Planned("5 MiB, plain", "5m", 400, tls=False, contestants=BOTH, pairs=3),
    Planned("100 KiB, 8 workers", "100k", 4000, workers=8, contestants=BOTH, pairs=3),
    Planned("100 KiB, 128 workers", "100k", 4000, workers=128, contestants=BOTH, pairs=3),
    Planned("5 MiB, 8 workers", "5m", 400, workers=8, contestants=BOTH, pairs=3),
    Planned("5 MiB, 128 workers", "5m", 400, workers=128, contestants=BOTH, pairs=3),
)
QUICK = (
    Planned("100 KiB", "100k", 1500, contestants=(*BOTH, PSEUDO), pairs=3, shares={PSEUDO: 60}),
    Planned("1 MiB", "1m", 300, contestants=BOTH, pairs=1),
    Planned("5 MiB", "5m", 100, contestants=BOTH, pairs=3),
    Planned("64 MiB", "64m", 8, contestants=BOTH, pairs=1),
    Planned(WIDE_NETWORK, "5m", 96, kind="wan", contestants=(OURS,), pairs=1),
)
