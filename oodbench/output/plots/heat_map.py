"""Draws the AUROC of detectors on OOD sets as a heat map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from oodbench.output.plots.sheet import (
    BLACK,
    DARK,
    Sheet,
    corners_of,
    number_text,
    style,
)
from oodbench.results.rows import Row

# Orange below chance and blue above: hues that no colour-blindness confuses. Grey print
# does, so numbers below chance have a mark.
DIVERGING = LinearSegmentedColormap.from_list(
    "oodbench", ["#B34700", "#F0A868", "#FFFFFF", "#7FB4DA", "#004F8A"]
)
SIZE = (0.7, 0.27)
"""Of a cell, in inches."""


def heat_map(rows: Sequence[Row]) -> Figure:
    """Draws the AUROC of detectors (rows) on OOD sets (columns) as a heat map.

    Args:
        rows: Of one model and one in-distribution set, at least one.
    """
    steps = {"0": 0.0, "25": 0.25, "50, chance": 0.5, "75": 0.75, "100": 1.0}
    box = {"marker": [(-2, -1), (2, -1), (2, 1), (-2, 1)], "markersize": 15}
    box |= {"markeredgecolor": DARK, "markeredgewidth": 0.4, "linestyle": "none"}
    looks = {text: {**box, "color": DIVERGING(step)} for text, step in steps.items()}
    measured = [row for row in rows if row.values]
    values = [row.values["auroc"] for row in measured]
    with style():
        sheet = Sheet(rows)
        boxes = sheet.grid(SIZE, 0, "AUROC in %. ▾ below chance.", looks, {})
        cells = [corners_of(boxes[row.detector, row.outside], SIZE) for row in measured]
        look = {"array": np.array(values), "cmap": DIVERGING, "clim": (0, 1)}
        sheet.add_polygons(cells, edgecolor="white", linewidth=1, gid="auroc", **look)
        for row, value, cell in zip(measured, values, cells, strict=True):
            text = "▾" * (value < 0.5) + number_text(row)
            dark = np.dot(DIVERGING(value)[:3], (0.3, 0.6, 0.1)) < 0.43
            sheet.centre(cell, text, "white" if dark else BLACK)
        sheet.mark_failures(boxes, SIZE)
        return sheet.finish()
