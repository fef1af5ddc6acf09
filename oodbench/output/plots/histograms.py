"""Draws histograms of scores, one per detector and OOD set."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from oodbench.metrics import ranking
from oodbench.metrics.ranking import FloatArray
from oodbench.output.plots.sheet import (
    ACCEPTED,
    BLACK,
    LINE,
    Look,
    Point,
    Sheet,
    number_text,
    style,
)
from oodbench.results.rows import Scores

BINS = 40
EDGE_SHARE = 0.01
"""A share of images beyond the axis from which it is marked."""
TALLEST = 4
"""A histogram is cut at this many times the other one's peak."""
INSIDE, OUTSIDE = "#A6C8E4", "#A63C00"
SIZE = (0.72, 0.48)
"""Of a cell, in inches."""


class Binned(NamedTuple):
    """A histogram over equal bins between two scores."""

    shares: FloatArray
    """Of all images, `[BINS]`; the outer bins include the images beyond them."""
    below: float
    """Share of images below the first bin."""
    above: float
    """Share of images above the last bin."""


def bin_scores(scores: ArrayLike, span: Point) -> Binned:
    """Returns the histogram of `[N]` scores over the bins of an axis.

    >>> round(bin_scores([0, 1, 9], (0, 2)).above, 3)
    0.333
    """
    array = np.asarray(scores, dtype=np.float64)
    counts, _ = np.histogram(_place(array, span), bins=BINS, range=(0, 1))
    below, above = np.mean(array < span[0]), np.mean(array > span[1])
    return Binned(counts / array.size, float(below), float(above))


def score_range(inside: ArrayLike, outsides: Iterable[ArrayLike]) -> Point:
    """Returns the scores that an axis spans: most of those of all sets.

    From the lowest 0.5 % quantile of any set to the highest 99.5 % quantile, yet no
    farther from the in-distribution set's than twice their distance: otherwise one far
    set would leave a single bin to all the others.

    Args:
        inside: `[N]`.
        outsides: `[M]` each.
    """
    # Differences of larger numbers would overflow.
    sets = [np.clip(scores, -1e300, 1e300) for scores in (inside, *outsides)]
    ends = np.array([np.quantile(scores, (0.005, 0.995)) for scores in sets])
    room = 2 * (ends[0, 1] - ends[0, 0]) or math.inf
    low = float(max(ends[0, 0] - room, ends[:, 0].min()))
    high = float(min(ends[0, 1] + room, ends[:, 1].max()))
    pad = max(abs(low) / 1000, 1e-3) if low == high else 0
    return low - pad, high + pad


def histograms(scores: Sequence[Scores]) -> Figure:
    """Draws in-distribution and OOD scores of detectors (rows) per OOD set (columns).

    Args:
        scores: Of one model and one in-distribution set, at least one.
    """
    what = (
        "Scores: higher = more in-distribution; below a detector's name the scores "
        "that its axis spans. Numbers: AUROC in %."
    )
    cut = {"color": BLACK, "linewidth": 0.7, "linestyle": (0, (3, 1.5))}
    end: Look = {"color": BLACK, "markersize": 2, "linestyle": "none"}
    looks: dict[str, Look] = {
        "in-distribution": {"color": INSIDE, "linewidth": 6, "solid_capstyle": "butt"},
        "OOD": {"color": OUTSIDE, "linewidth": 0.8},
        "accepts 95 % of in-distribution": cut,
        "beyond the axis": {**end, "marker": ">"},
    }
    found = [one for one in scores if not one.row.failure]
    spans = _spans(found)
    with style():
        sheet = Sheet([one.row for one in scores])
        boxes = sheet.grid(SIZE, 0.09, what, looks, spans)
        parts: dict[str, list[Any]] = defaultdict(list)
        for one in found:
            corner = boxes[one.row.detector, one.row.outside]
            _collect(parts, one, spans[one.row.detector], corner)
            sheet.write(*corner, number_text(one.row), va="top")
        sheet.add_polygons(parts["in"], facecolors=INSIDE, gid="in-distribution")
        sheet.add_lines(parts["out"], [looks["OOD"]], gid="ood")
        sheet.add_lines(parts["cut"], [cut], gid="threshold")
        for marker in "<>^":
            x, y = np.reshape(parts[marker], (-1, 2)).T
            sheet.ax.plot(x, y, marker=marker, **end)
        sheet.mark_failures(boxes, SIZE)
        return sheet.finish()


def _spans(found: Sequence[Scores]) -> dict[str, Point]:
    outsides: dict[str, list[FloatArray]] = defaultdict(list)
    for one in found:
        outsides[one.row.detector].append(one.outside)
    insides = {one.row.detector: one.inside for one in found}
    return {name: score_range(insides[name], outsides[name]) for name in insides}


def _collect(
    parts: dict[str, list[Any]], one: Scores, span: Point, corner: Point
) -> None:
    """Adds the histograms, the threshold and the marks of one cell to the parts."""
    width, height = SIZE[0], SIZE[1] - LINE
    left, bottom = corner[0], corner[1] + SIZE[1]
    inside, outside = bin_scores(one.inside, span), bin_scores(one.outside, span)
    peaks = sorted(float(each.shares.max()) for each in (inside, outside))
    peak = min(peaks[1], TALLEST * peaks[0])
    edges = np.linspace(left, left + width, BINS + 1)
    for name, each in {"in": inside, "out": outside}.items():
        y = np.pad(np.repeat(np.minimum(each.shares / peak, 1), 2), 1)
        outline = np.column_stack([np.repeat(edges, 2), bottom - height * y])
        parts[name].append(outline)
    cut = np.array(ranking.threshold_at_tpr(one.inside, ACCEPTED))
    x = left + width * float(_place(cut, span))
    parts["cut"].append(np.array([(x, bottom), (x, bottom - height)]))
    if max(inside.below, outside.below) > EDGE_SHARE:
        parts["<"].append((left - 0.02, bottom))
    if max(inside.above, outside.above) > EDGE_SHARE:
        parts[">"].append((left + width + 0.02, bottom))
    for tall in np.flatnonzero(np.maximum(inside.shares, outside.shares) > peak):
        parts["^"].append((edges[tall : tall + 2].mean(), bottom - height - 0.02))


def _place(scores: FloatArray, span: Point) -> FloatArray:
    """Returns scores as places on an axis, from 0 to 1."""
    return (np.clip(scores, *span) - span[0]) / (span[1] - span[0])
