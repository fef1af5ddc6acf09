"""Draws how detectors follow a shift of rising degree, such as a corruption."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oodbench.metrics.calibration import Reliability, accuracy_intervals
from oodbench.output.plots.sheet import (
    BLACK,
    GREY,
    LINE,
    Look,
    Sheet,
    label,
    looks_of,
    style,
    wrap,
)
from oodbench.results.rows import Row
from oodbench.results.series import Series, series_of

WHAT = (
    "Above: AUROC in %; the dashed line is chance. Below: the share of the images that "
    "are accepted where 95 % of the in-distribution images are, in %, and the accuracy "
    "on covariate-shifted images; a detector below it rejects images that are still "
    "classified well. Vertical lines: 95 % intervals of each set alone."
)
ACCURACY: Look = {"color": BLACK, "linestyle": "none", "marker": "D", "markersize": 3}
DODGE = 0.25
"""Share of the least distance of levels over which the detectors' points spread."""

# Inches.
WIDTH, UPPER, LOWER, BETWEEN = 1.7, 1.4, 1.0, 0.12
LEFT, GAP, BELOW = 0.55, 0.3, 0.45
ACROSS = 4


def shift_curves(rows: Sequence[Row]) -> Figure | None:
    """Draws AUROC, accepted share and accuracy over the levels of each series.

    Args:
        rows: Of one model and in-distribution set.

    Returns:
        The figure; None where no set is graded.
    """
    found = series_of(rows)
    if not found:
        return None
    names = {name for detectors in found.values() for name in detectors}
    graded = {series.name for series in found}
    with style():
        sheet = Sheet([row for row in rows if row.series in graded])
        sheet.notes = []  # they explain marks, of which there are none here
        drawn = {n: row for n, row in sheet.detectors.items() if n in names}
        looks = looks_of(drawn)
        key = {label(row.title): looks[name] for name, row in drawn.items()}
        across = min(ACROSS, len(found))
        width = LEFT + across * (WIDTH + GAP)
        sheet.head(width, WHAT, {**key, "accuracy": ACCURACY})
        heads = [_head(series, rows[0].inside) for series in found]
        above = LINE * max(map(len, heads)) + 0.05
        pitch = above + UPPER + BETWEEN + LOWER + BELOW
        top = sheet.y
        sheet.y += pitch * math.ceil(len(found) / across)
        figure = sheet.finish()
        floor = _floor(found)
        for index, (series, detectors) in enumerate(found.items()):
            left = LEFT + index % across * (WIDTH + GAP)
            y = top + index // across * pitch + above
            upper = _axes(figure, left, y, UPPER)
            lower = _axes(figure, left, y + UPPER + BETWEEN, LOWER)
            _fill(upper, lower, detectors, looks)
            upper.set(ylim=(floor, 100.5))
            upper.set_title("\n".join(heads[index]), loc="left", fontsize=7, pad=4)
            lower.set(ylim=(0, 103), xlabel=label(series.scale))
            if index % across == 0:
                upper.set_ylabel("AUROC, %")
                lower.set_ylabel("accepted, %")
        return figure


def _head(series: Series, inside: str) -> list[str]:
    name = series.name.removesuffix(f":{inside}")
    return wrap(f"{label(name)} ({series.role})", WIDTH)


def _axes(figure: Figure, left: float, top: float, height: float) -> Axes:
    """Adds axes at a place that is given in inches from the upper left corner."""
    wide, high = figure.get_size_inches()
    bottom = high - top - height
    ax = figure.add_axes((left / wide, bottom / high, WIDTH / wide, height / high))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _fill(
    upper: Axes,
    lower: Axes,
    detectors: Mapping[str, list[Row]],
    looks: Mapping[str, Look],
) -> None:
    levels = sorted({level for rows in detectors.values() for level in _levels(rows)})
    spread = DODGE * min(np.diff(levels)) / len(detectors)
    for index, (name, rows) in enumerate(detectors.items()):
        moved = np.array(_levels(rows)) + spread * (index - (len(detectors) - 1) / 2)
        for ax, metric in ((upper, "auroc"), (lower, "fpr95")):
            middle, low, high = (
                [100 * row.values.get(f"{metric}{end}", math.nan) for row in rows]
                for end in ("", "_low", "_high")
            )
            ax.plot(moved, middle, gid=name, **looks[name])
            ax.vlines(moved, low, high, color=looks[name]["color"], linewidth=0.6)
    upper.axhline(50, color=GREY, linewidth=0.6, linestyle=(0, (4, 2)))
    _add_accuracy(lower, next(iter(detectors.values())))
    upper.set_xticks(levels, [])
    lower.set_xticks(levels, [f"{level:g}" for level in levels])


def _add_accuracy(ax: Axes, rows: Sequence[Row]) -> None:
    known = [row for row in rows if row.accuracy_out is not None]
    images = np.array([row.images_out for row in known])
    accuracy = np.array([row.accuracy_out for row in known])
    correct = np.rint(accuracy * images).astype(np.intp)
    low, high = accuracy_intervals(Reliability(images, correct, accuracy * images))
    x = _levels(known)
    ax.vlines(x, 100 * low, 100 * high, color=BLACK, linewidth=0.6)
    ax.plot(x, 100 * accuracy, gid="accuracy", clip_on=False, **ACCURACY)


def _levels(rows: Sequence[Row]) -> list[float]:
    return [row.level for row in rows if row.level is not None]


def _floor(found: Mapping[Series, Mapping[str, list[Row]]]) -> float:
    """Returns the multiple of ten below the lowest AUROC and chance, in %."""
    every = (row for each in found.values() for rows in each.values() for row in rows)
    lowest = min(row.values.get("auroc_low", row.values["auroc"]) for row in every)
    return min(10 * math.floor(10 * lowest), 40)
