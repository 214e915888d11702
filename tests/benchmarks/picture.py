"""Draw the picture: ``picture.py RESULTS.json PICTURE.png``, in the peers' environment, which has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

FIGURES = (("mib_per_s", "MiB/s"), ("cpu_ms", "CPU ms per recording"), ("peak_mib", "peak MiB"))
MAIN = ("100 KiB", "1 MiB", "5 MiB", "64 MiB")


def draw(heats: dict[str, Any], path: Path) -> None:
    """One row per figure, one column per size; ours is the dark bar."""
    names = [name for name in MAIN if name in heats]
    grid, axes = plt.subplots(len(FIGURES), len(names), figsize=(4 * len(names), 8), squeeze=False)
    for column, name in enumerate(names):
        medians = heats[name]["medians"]
        labels = list(medians)
        for row, (figure, title) in enumerate(FIGURES):
            axis = axes[row][column]
            colours = ["#0b5fa5" if label == "wxrec_async" else "#b9c4cf" for label in labels]
            axis.barh(labels, [medians[label][figure] for label in labels], color=colours)
            axis.invert_yaxis()
            axis.set_title(f"{name}: {title}", fontsize=9)
            axis.tick_params(labelsize=7)
    grid.tight_layout()
    grid.savefig(path, dpi=90)


draw(json.loads(Path(sys.argv[1]).read_text())["heats"], Path(sys.argv[2]))
