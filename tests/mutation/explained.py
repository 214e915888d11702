"""Why a surviving mutant is left alone: it changes nothing that can be seen, or nothing that matters.

A survivor counts as one, explained or not.
"""

from __future__ import annotations

EXPLAINED: dict[str, str] = {
    "purging: Timeline._elapsed_ms: 0.0 -> 1.0": "a floor of a millisecond, where every call takes longer",
    "windows: read_moment: UTC -> None": "equivalent: the same instant in another zone has the same timestamp",
    "windows: subtract: done.to_ms <= start -> done.to_ms < start": "equivalent: such a span then moves nothing",
    "windows: subtract: done.from_ms >= window.to_ms -> done.from_ms > window.to_ms": (
        "equivalent: the rest is then cut off by this span's beginning, which is the window's end"
    ),
}
