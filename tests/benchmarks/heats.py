"""Which heats are run: sizes, workers, a wide network, growth; quick and whole."""

from __future__ import annotations

from dataclasses import dataclass

from tests.benchmarks.race import OURS

FAST = ("wxrec_async", "rclone copy", "rclone copyurl", "obstore")
SLOW = ("boto3, 32 threads", "s5cmd pipe", "pseudo code")


@dataclass(frozen=True, slots=True)
class Planned:
    """One heat to be, and who takes part."""

    name: str
    size: str
    count: int
    workers: int = 32
    kind: str = "rec"
    tls: bool = True
    contestants: tuple[str, ...] = FAST
    pairs: int = 5


WHOLE = (
    Planned("100 KiB", "100k", 4000, contestants=FAST + SLOW),
    Planned("1 MiB", "1m", 1500, contestants=FAST + SLOW),
    Planned("5 MiB", "5m", 400, contestants=FAST + SLOW),
    Planned("64 MiB", "64m", 48, contestants=FAST + SLOW),
    Planned("100 KiB, plain", "100k", 4000, tls=False, contestants=FAST[:2]),
    Planned("5 MiB, plain", "5m", 400, tls=False, contestants=FAST[:2]),
    Planned("100 KiB, 8 workers", "100k", 4000, workers=8, contestants=FAST[:2]),
    Planned("100 KiB, 128 workers", "100k", 4000, workers=128, contestants=FAST[:2]),
    Planned("5 MiB, 8 workers", "5m", 400, workers=8, contestants=FAST[:2]),
    Planned("5 MiB, 128 workers", "5m", 400, workers=128, contestants=FAST[:2]),
    Planned("wide network, 5 MiB", "5m", 320, kind="wan", contestants=FAST[:2], pairs=3),
    Planned("growth, 1,000", "100k", 1000, contestants=(OURS,)),
    Planned("growth, 10,000", "100k", 10_000, contestants=(OURS,), pairs=3),
    Planned("growth, 100,000", "100k", 100_000, contestants=(OURS,), pairs=1),
)
QUICK = (
    Planned("100 KiB", "100k", 1500, contestants=FAST[:2], pairs=3),
    Planned("5 MiB", "5m", 100, contestants=FAST[:2], pairs=3),
    Planned("64 MiB", "64m", 8, contestants=FAST[:2], pairs=1),
    Planned("wide network, 5 MiB", "5m", 64, kind="wan", contestants=FAST[:1], pairs=1),
)
