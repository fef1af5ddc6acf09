"""Draws ROC curves, one panel per OOD set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from oodbench.metrics import ranking
from oodbench.metrics.ranking import FloatArray
from oodbench.output.plots.sheet import (
    ACCEPTED,
    BLACK,
    GREY,
    LINE,
    MARGIN,
    PALE,
    Look,
    Point,
    Sheet,
    label,
    looks_of,
    number_text,
    style,
    wrap,
)
from oodbench.results.rows import Scores

LOWEST_RATE = 1e-3
"""Where the logarithmic axis begins."""
ROC_POINTS = 200

# Inches.
SIZE = (1.4, 1.4)
NUMBERS = 0.9
"""For the numbers at the right of the curves."""


class Axis(NamedTuple):
    """The axis of the rates of accepted OOD images."""

    rates: FloatArray
    """`[ROC_POINTS]`, evenly spaced on the axis."""
    ticks: tuple[str, ...]
    """In %, evenly spaced on the axis."""
    name: str


LOGARITHMIC = Axis(
    np.geomspace(LOWEST_RATE, 1, ROC_POINTS), ("0.1", "1", "10", "100"), "logarithmic"
)
LINEAR = Axis(np.linspace(0, 1, ROC_POINTS), ("0", "25", "50", "75", "100"), "linear")


def roc_points(
    inside: ArrayLike, outside: ArrayLike, rates: FloatArray = LOGARITHMIC.rates
) -> tuple[FloatArray, FloatArray]:
    """Returns `[ROC_POINTS]` rates of a ROC curve, evenly spaced on an axis.

    Args:
        inside: `[N]`.
        outside: `[M]`.
        rates: Of accepted OOD images.
    """
    tpr, fpr = (part / part[-1] for part in ranking.count(inside, outside))
    return rates, np.interp(rates, fpr, tpr)


def roc_curves(scores: Sequence[Scores], *, linear: bool = False) -> Figure:
    """Draws a ROC curve per detector, in one panel per OOD set.

    Args:
        scores: Of one model and one in-distribution set, at least one.
        linear: Whether the axis is linear instead of logarithmic.
    """
    axis = LINEAR if linear else LOGARITHMIC
    what = (
        f"ROC curves over a {axis.name} axis; the line: where 95 % of the "
        "in-distribution images are accepted. Numbers: AUROC in %."
    )
    below = {"color": PALE, "linewidth": 6, "solid_capstyle": "butt"}
    with style():
        sheet = Sheet([one.row for one in scores])
        looks = looks_of(sheet.detectors)
        sets = sheet.sets
        across = 3 if len(sets) <= 9 else math.ceil(math.sqrt(len(sets)))
        pitch, size = SIZE[0] + NUMBERS, (SIZE[0], max(SIZE[1], LINE * len(looks)))
        key = {
            label(row.title): looks[detector]
            for detector, row in sheet.detectors.items()
        }
        width = pitch * min(across, len(sets)) + 2 * MARGIN
        sheet.head(width, what, {**key, "below chance": below})
        texts = [f"{label(one.label)}{one.marks} ({one.role})" for one in sets]
        titles = [wrap(text, pitch - 0.3) for text in texts]
        for index, (one, title) in enumerate(zip(sets, titles, strict=True)):
            first, last = index % across == 0, index + across >= len(sets)
            if first:
                sheet.y += LINE * max(map(len, titles)) + size[1] + 0.14 * (index > 0)
            corner = MARGIN + 0.33 + pitch * (index % across), sheet.y
            own = [pair for pair in scores if pair.row.outside == one.outside]
            _add_curves(sheet, own, looks, axis, (corner, size))
            _add_axes(sheet, axis, (corner, size), named=(last, first))
            top = corner[1] - size[1] - 0.04
            sheet.write(corner[0], top, "\n".join(title), va="bottom")
        sheet.y += 2 * LINE
        return sheet.finish()


def _add_curves(
    sheet: Sheet,
    own: Sequence[Scores],
    looks: Mapping[str, Look],
    axis: Axis,
    panel: tuple[Point, Point],
) -> None:
    (left, bottom), (width, height) = panel
    x = np.linspace(left, left + width, ROC_POINTS)
    shade = np.column_stack([x, bottom - height * axis.rates])
    shade = np.append(shade, [(left + width, bottom)], axis=0)
    sheet.add_polygons([shade], facecolors=PALE)
    places, lines = list(looks), []
    shown: list[Look] = []
    for pair in own:
        y = bottom - height + LINE * (places.index(pair.row.detector) + 0.5)
        lines.append(np.array([(left + width + 0.08, y), (left + width + 0.3, y)]))
        text = "failed"
        if not pair.row.failure:
            text = number_text(pair.row)
            _, tpr = roc_points(pair.inside, pair.outside, axis.rates)
            lines.append(np.column_stack([x, bottom - height * tpr]))
        shown += [looks[pair.row.detector]] * (len(lines) - len(shown))
        sheet.write(left + width + 0.35, y, text, va="center")
    sheet.add_lines(lines, shown)


def _add_axes(
    sheet: Sheet, axis: Axis, panel: tuple[Point, Point], named: tuple[bool, bool]
) -> None:
    (left, bottom), (width, height) = panel
    line = bottom - ACCEPTED * height
    thin: Look = {"color": BLACK, "linewidth": 0.7}
    sheet.ax.plot([left, left + width], [line, line], **{**thin, "color": GREY})
    frame = [left, left, left + width], [bottom - height, bottom, bottom]
    sheet.ax.plot(*frame, **thin)
    for place, text in enumerate(axis.ticks):
        x = left + width * place / (len(axis.ticks) - 1)
        sheet.ax.plot([x, x], [bottom, bottom + 0.03], **thin)
        if named[0]:
            sheet.write(x, bottom + 0.04, text, ha="center", va="top")
    if named[0]:
        x, y = left + width / 2, bottom + 0.04 + LINE
        sheet.write(x, y, "OOD accepted, %", ha="center", va="top")
    if named[1]:
        for rate in (0, 0.25, 0.5, 0.75, ACCEPTED):
            y, text = bottom - height * rate, f"{100 * rate:.0f}"
            sheet.write(left - 0.04, y, text, ha="right", va="center")
        text, x, y = "in-distribution accepted, %", left - 0.22, bottom - height / 2
        sheet.write(x, y, text, rotation=90, ha="right", va="center")
