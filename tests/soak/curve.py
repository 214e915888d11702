"""Samples over time: kept as CSV, drawn as SVG, and whether they are flat."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tests.memory.slope import line


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment: seconds since the beginning, and since then of processor time; the rest as it was.

    ``blocks`` are what the interpreter holds of its own allocator, ``stored`` the ledger's recordings.
    """

    at_s: float
    rss_mib: float
    descriptors: int
    threads: int
    tasks: int
    blocks: int
    cpu_s: float
    stored: int


def write_csv(path: Path, samples: Sequence[Sample]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Sample)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(each) for each in samples)


def per_second(samples: Sequence[Sample], name: str) -> float:
    """Return by how much a figure grows in a second: the slope of the line through it."""
    return line([(each.at_s, float(getattr(each, name))) for each in samples])


def growth(samples: Sequence[Sample], name: str) -> float:
    """Return by how much a figure grew over all samples, by its line, as a share of its mean."""
    mean = sum(float(getattr(each, name)) for each in samples) / len(samples)
    return per_second(samples, name) * (samples[-1].at_s - samples[0].at_s) / mean if mean else 0.0


def at_rest(samples: Sequence[Sample], name: str) -> tuple[int, int]:
    """Return the lower quartile of a count in the first third and in the last: what it is between two rounds."""
    third = max(1, len(samples) // 3)
    values = [int(getattr(each, name)) for each in samples]
    first, last = sorted(values[:third]), sorted(values[-third:])
    return first[third // 4], last[third // 4]


def peaks(samples: Sequence[Sample], name: str) -> tuple[int, int]:
    """Return the highest value of a count in the first third and in the last."""
    third = max(1, len(samples) // 3)
    values = [int(getattr(each, name)) for each in samples]
    return max(values[:third]), max(values[-third:])


SHOWN = (
    ("rss_mib", "resident MiB", "#1f6feb"),
    ("blocks", "interpreter's blocks", "#8250df"),
    ("descriptors", "open descriptors", "#1a7f37"),
    ("tasks", "tasks", "#bf8700"),
    ("threads", "threads", "#cf222e"),
)
WIDTH, HEIGHT, LEFT, TOP = 860, 110, 190, 20


def draw(samples: Sequence[Sample], title: str) -> str:
    """Draw every figure in a strip of its own, from zero, with the highest value beside it."""
    if not samples:
        raise ValueError("there is nothing to draw")
    tall = TOP + 20 + HEIGHT * len(SHOWN)
    space, font = "http://www.w3.org/2000/svg", 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="{space}" viewBox="0 0 {WIDTH} {tall}" {font}>',
        f'<rect width="{WIDTH}" height="{tall}" fill="#ffffff"/>',
        f'<text x="10" y="{TOP}" font-size="13">{title}</text>',
    ]
    for number, (name, words, colour) in enumerate(SHOWN):
        parts += _strip(samples, name, words, colour, TOP + 10 + HEIGHT * number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _strip(samples: Sequence[Sample], name: str, words: str, colour: str, top: int) -> list[str]:
    values = [float(getattr(each, name)) for each in samples]
    most, ends, high, wide = max(values) or 1.0, samples[-1].at_s or 1.0, HEIGHT - 20, WIDTH - LEFT - 10
    points = " ".join(
        f"{LEFT + wide * each.at_s / ends:.1f},{top + 10 + high * (1 - value / most):.1f}"
        for each, value in zip(samples, values, strict=True)
    )
    return [
        f'<line x1="{LEFT}" y1="{top + 10 + high}" x2="{WIDTH - 10}" y2="{top + 10 + high}" stroke="#d0d7de"/>',
        f'<text x="10" y="{top + 24}">{words}</text>',
        f'<text x="10" y="{top + 42}" fill="#57606a">at most {most:,.0f}, at the end {values[-1]:,.0f}</text>',
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>',
    ]
