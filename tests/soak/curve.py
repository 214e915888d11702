"""Samples over time: kept as CSV, drawn as SVG, and whether they are flat."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.memory.slope import line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class Sampled(DataclassInstance, Protocol):
        """A dataclass of numbers; ``at_s`` is seconds since the beginning."""

        @property
        def at_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Picture:
    """Samples, and which of their figures are shown: the name, words for it, and a colour."""

    samples: Sequence[Sampled]
    strips: Sequence[tuple[str, str, str]]


WIDTH, HEIGHT, LEFT, TOP = 860, 110, 190, 20


def write_csv(path: Path, samples: Sequence[Sampled]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(samples[0])], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(each) for each in samples)


def per_second(samples: Sequence[Sampled], name: str) -> float:
    """Return by how much a figure grows in a second: the slope of the line through it."""
    return line([(each.at_s, float(getattr(each, name))) for each in samples])


def growth(samples: Sequence[Sampled], name: str) -> float:
    """Return by how much a figure grew over all samples, by its line, as a share of its mean."""
    mean = sum(float(getattr(each, name)) for each in samples) / len(samples)
    return per_second(samples, name) * (samples[-1].at_s - samples[0].at_s) / mean if mean else 0.0


def at_rest(samples: Sequence[Sampled], name: str) -> tuple[int, int]:
    """Return the lower quartile of a count in the first third and in the last: what it is between two rounds."""
    third = max(1, len(samples) // 3)
    values = [int(getattr(each, name)) for each in samples]
    first, last = sorted(values[:third]), sorted(values[-third:])
    return first[third // 4], last[third // 4]


def peaks(samples: Sequence[Sampled], name: str) -> tuple[int, int]:
    """Return the highest value of a count in the first third and in the last."""
    third = max(1, len(samples) // 3)
    values = [int(getattr(each, name)) for each in samples]
    return max(values[:third]), max(values[-third:])


def draw(picture: Picture, title: str) -> str:
    """Draw every figure in a strip of its own, from zero, with the highest value beside it."""
    samples, strips = picture.samples, picture.strips
    tall = TOP + 20 + HEIGHT * len(strips)
    space, font = "http://www.w3.org/2000/svg", 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="{space}" viewBox="0 0 {WIDTH} {tall}" {font}>',
        f'<rect width="{WIDTH}" height="{tall}" fill="#ffffff"/>',
        f'<text x="10" y="{TOP}" font-size="13">{title}</text>',
    ]
    for number, (name, words, colour) in enumerate(strips):
        parts += _strip(samples, name, words, colour, TOP + 10 + HEIGHT * number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _strip(samples: Sequence[Sampled], name: str, words: str, colour: str, top: int) -> list[str]:
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
