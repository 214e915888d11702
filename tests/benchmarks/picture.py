"""The one picture: how fast everybody is against rclone, at each size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import wxrec_async.reporting.charts  # noqa: F401 - first: it takes back the import hook that pygal installs

import pygal  # isort: skip
from pygal.style import Style  # isort: skip

from tests.benchmarks.heats import RCLONE, SIZES
from tests.benchmarks.race import OURS, Result

OTHERS = ("#7f8c99", "#95a1ad", "#aab4be", "#bec6ce", "#d0d6dc", "#e0e4e8")


def draw(results: Mapping[str, Result], path: Path) -> None:
    """Draw recordings per second as multiples of rclone's, a group of bars for each size; ours is the dark one."""
    heats = {name: results[name] for name in SIZES if name in results and results[name].lanes[RCLONE].runs}
    names = list(dict.fromkeys(name for result in heats.values() for name in result.lanes))
    colours = (("#0b5fa5",) if OURS in names else ()) + OTHERS
    chart = pygal.Bar(
        style=Style(colors=colours), title="Recordings per second, rclone copy = 1 (TLS, 32 workers)",
        legend_at_bottom=True, legend_at_bottom_columns=4, print_values=True, print_values_position="top",
        formatter=lambda value: "-" if value is None else f"{value:.2f}", disable_xml_declaration=True, js=(),
    )  # fmt: skip
    chart.x_labels = list(heats)
    for name in names:
        chart.add(name, [_against_rclone(result, name) for result in heats.values()])
    path.write_text(chart.render())


def _against_rclone(result: Result, name: str) -> float | None:
    if name not in result.lanes or not result.lanes[name].runs:
        return None
    return result.row(name)["recordings_per_s"] / result.row(RCLONE)["recordings_per_s"]
