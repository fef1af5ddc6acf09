"""Draws scores: histograms, ROC curves and a heat map, readable in grey print too."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from oodbench.base.files import folder_name, key_of, write_atomically
from oodbench.metrics import ranking
from oodbench.metrics.ranking import FloatArray
from oodbench.output.plots.sheet import (
    BLACK,
    DARK,
    GREY,
    LINE,
    MARGIN,
    PALE,
    Boxes,
    Look,
    Point,
    Sheet,
    corners_of,
    short_name,
    style,
    wrap,
)
from oodbench.output.tables import MARKS
from oodbench.results.rows import Group, Row, Scores, measure, pairs

BINS = 40
EDGE_SHARE = 0.01
"""A share of images beyond the axis from which it is marked."""
TALLEST = 4
"""A histogram is cut at this many times the other one's peak."""
ACCEPTED = 0.95
LOWEST_RATE = 1e-3
"""Where the logarithmic axis of the ROC curves begins."""
ROC_POINTS = 200

# The palette of Okabe and Ito, which the colour-blind can tell apart, without its
# yellow, too pale for a line on white; seven colours and six dashes give 42 lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000", "#56B4E9")
DASHES = ((), (4, 1.5), (1, 1.2), (6, 1.5, 1, 1.5), (9, 2), (3, 1, 1, 1, 1, 1))
INSIDE, OUTSIDE = "#A6C8E4", "#A63C00"
# Orange below chance and blue above: hues that no colour-blindness confuses. Grey print
# does, so numbers below chance have a mark.
DIVERGING = LinearSegmentedColormap.from_list(
    "oodbench", ["#B34700", "#F0A868", "#FFFFFF", "#7FB4DA", "#004F8A"]
)

# Inches.
HISTOGRAM, HEAT, CURVES = (0.72, 0.48), (0.7, 0.27), (1.4, 1.4)
BESIDE = 0.9
"""For the numbers right of ROC curves."""


class Binned(NamedTuple):
    """A histogram over equal bins between two scores."""

    shares: FloatArray
    """Of all images, `[BINS]`; the outer bins hold those beyond."""
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
    """Returns the scores that an axis spans: most of all sets, but not at any price.

    From the lowest 0.5 % quantile of any set to the highest 99.5 % quantile, yet no
    farther from the in-set's than twice their distance: else one far set would leave
    all the others a single bin.

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


def roc_points(inside: ArrayLike, outside: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Returns `[ROC_POINTS]` rates of a ROC curve, evenly spaced on a logarithmic axis.

    Args:
        inside: `[N]`.
        outside: `[M]`.
    """
    curve = ranking.roc_curve(inside, outside)
    rates = np.geomspace(LOWEST_RATE, 1, ROC_POINTS)
    return rates, np.interp(rates, curve.fpr, curve.tpr)


def histograms(scores: Sequence[Scores]) -> Figure:
    """Draws the scores of detectors (rows) on out-sets (columns) beside the in-set's.

    Args:
        scores: Of one model and one in-set, at least one.
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
        boxes = sheet.grid(HISTOGRAM, 0.09, what, looks, spans)
        parts: dict[str, list[Any]] = defaultdict(list)
        for one in found:
            corner = boxes[one.row.detector, one.row.outside]
            _collect(parts, one, spans[one.row.detector], corner)
            sheet.ax.text(*corner, _number(one), va="top")
        sheet.add_polygons(parts["in"], facecolors=INSIDE, gid="in-distribution")
        sheet.add_lines(parts["out"], [looks["OOD"]], gid="ood")
        sheet.add_lines(parts["cut"], [cut], gid="threshold")
        for marker in "<>^":
            x, y = np.reshape(parts[marker], (-1, 2)).T
            sheet.ax.plot(x, y, marker=marker, **end)
        _mark_failures(sheet, boxes, HISTOGRAM)
        return sheet.finish()


def roc_curves(scores: Sequence[Scores]) -> Figure:
    """Draws a ROC curve per detector, in one panel per out-set.

    Args:
        scores: Of one model and one in-set, at least one.
    """
    what = (
        "ROC curves over a logarithmic axis; the line: where 95 % of the "
        "in-distribution images are accepted. Numbers: AUROC in %."
    )
    below = {"color": PALE, "linewidth": 6, "solid_capstyle": "butt"}
    with style():
        sheet = Sheet([one.row for one in scores])
        looks = _looks(sheet.detectors)
        sets = sheet.sets
        across = 3 if len(sets) <= 9 else math.ceil(math.sqrt(len(sets)))
        pitch, size = CURVES[0] + BESIDE, (CURVES[0], max(CURVES[1], LINE * len(looks)))
        key = {
            short_name(detector) + " (control)" * control: looks[detector]
            for detector, control in sheet.detectors.items()
        }
        width = pitch * min(across, len(sets)) + 2 * MARGIN
        sheet.head(width, what, {**key, "below chance": below})
        texts = [f"{short_name(one.label)}{one.marks} ({one.role})" for one in sets]
        titles = [wrap(text, pitch - 0.3) for text in texts]
        for index, (one, title) in enumerate(zip(sets, titles, strict=True)):
            first, last = index % across == 0, index + across >= len(sets)
            if first:
                sheet.y += LINE * max(map(len, titles)) + size[1] + 0.14 * (index > 0)
            corner = MARGIN + 0.33 + pitch * (index % across), sheet.y
            own = [pair for pair in scores if pair.row.outside == one.outside]
            _add_curves(sheet, own, looks, corner, size)
            _add_axes(sheet, corner, size, named=(last, first))
            top = corner[1] - size[1] - 0.04
            sheet.ax.text(corner[0], top, "\n".join(title), va="bottom")
        sheet.y += 2 * LINE
        return sheet.finish()


def heat_map(rows: Sequence[Row]) -> Figure:
    """Draws the AUROC of detectors (rows) on out-sets (columns) as a heat map.

    Args:
        rows: Of one model and one in-set, at least one.
    """
    steps = {"0": 0.0, "25": 0.25, "50, chance": 0.5, "75": 0.75, "100": 1.0}
    box = {"marker": [(-2, -1), (2, -1), (2, 1), (-2, 1)], "markersize": 15}
    box |= {"markeredgecolor": DARK, "markeredgewidth": 0.4, "linestyle": "none"}
    looks = {text: {**box, "color": DIVERGING(step)} for text, step in steps.items()}
    measured = [row for row in rows if row.values]
    values = [row.values["auroc"] for row in measured]
    with style():
        sheet = Sheet(rows)
        boxes = sheet.grid(HEAT, 0, "AUROC in %. ▾ below chance.", looks, {})
        cells = [corners_of(boxes[row.detector, row.outside], HEAT) for row in measured]
        look = {"array": np.array(values), "cmap": DIVERGING, "clim": (0, 1)}
        sheet.add_polygons(cells, edgecolor="white", linewidth=1, gid="auroc", **look)
        for row, value, cell in zip(measured, values, cells, strict=True):
            text = "▾" * (value < 0.5) + _percent(value, row)
            dark = np.dot(DIVERGING(value)[:3], (0.3, 0.6, 0.1)) < 0.43
            sheet.centre(cell, text, "white" if dark else BLACK)
        _mark_failures(sheet, boxes, HEAT)
        return sheet.finish()


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes a figure as PNG and SVG; equal figures give equal bytes.

    Args:
        figure: What to write.
        stem: The files' path without its ending.
    """
    written = []
    for ending, metadata in {"png": {"Software": None}, "svg": {"Date": None}}.items():
        buffer = io.BytesIO()
        with style():
            figure.savefig(buffer, format=ending, dpi=150, metadata=metadata)
        written.append(stem.with_name(f"{stem.name}.{ending}"))
        write_atomically(written[-1], buffer.getvalue())
    return written


def figures(group: Group) -> dict[str, Figure]:
    """Draws all figures of one model beside one in-set; none where it has no scores."""
    rows = measure(group)
    if not rows:
        return {}
    measured = {(row.detector, row.outside): row for row in rows}
    scores = [
        replace(one, row=measured[one.row.detector, one.row.outside])
        for one in pairs(group)
    ]
    return {
        "histograms": histograms(scores),
        "roc": roc_curves(scores),
        "heatmap": heat_map(rows),
    }


def draw(group: Group, folder: Path) -> list[Path]:
    """Draws and saves all figures of one model beside one in-set.

    Args:
        group: What to draw; nothing where it has no scores.
        folder: Where the files go.
    """
    inside = group.inside["set"]
    # Two groups may share both names.
    key = key_of(group.inside["model"]["key"], inside["key"])
    written = []
    for kind, figure in figures(group).items():
        name = folder_name(f"{kind}-{group.model}-{inside['name']}", key)
        written += save(figure, folder / name)
    return written


def _spans(found: Sequence[Scores]) -> dict[str, Point]:
    outsides: dict[str, list[FloatArray]] = defaultdict(list)
    for one in found:
        outsides[one.row.detector].append(one.outside)
    insides = {one.row.detector: one.inside for one in found}
    return {name: score_range(insides[name], outsides[name]) for name in insides}


def _collect(
    parts: dict[str, list[Any]], one: Scores, span: Point, corner: Point
) -> None:
    """Adds one cell's histograms, threshold and marks, by where they belong."""
    width, height = HISTOGRAM[0], HISTOGRAM[1] - LINE
    left, bottom = corner[0], corner[1] + HISTOGRAM[1]
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


def _add_curves(
    sheet: Sheet,
    own: Sequence[Scores],
    looks: Mapping[str, Look],
    corner: Point,
    size: Point,
) -> None:
    (left, bottom), (width, height) = corner, size
    x = np.linspace(left, left + width, ROC_POINTS)
    chance = np.geomspace(LOWEST_RATE, 1, ROC_POINTS)
    shade = np.column_stack([x, bottom - height * chance])
    shade = np.append(shade, [(left + width, bottom)], axis=0)
    sheet.add_polygons([shade], facecolors=PALE)
    places, lines = list(looks), []
    shown: list[Look] = []
    for pair in own:
        y = bottom - height + LINE * (places.index(pair.row.detector) + 0.5)
        lines.append(np.array([(left + width + 0.08, y), (left + width + 0.3, y)]))
        text = "failed"
        if not pair.row.failure:
            text = _number(pair)
            _, tpr = roc_points(pair.inside, pair.outside)
            lines.append(np.column_stack([x, bottom - height * tpr]))
        shown += [looks[pair.row.detector]] * (len(lines) - len(shown))
        sheet.ax.text(left + width + 0.35, y, text, va="center")
    sheet.add_lines(lines, shown)


def _add_axes(
    sheet: Sheet, corner: Point, size: Point, named: tuple[bool, bool]
) -> None:
    (left, bottom), (width, height) = corner, size
    line = bottom - ACCEPTED * height
    thin: Look = {"color": BLACK, "linewidth": 0.7}
    sheet.ax.plot([left, left + width], [line, line], **{**thin, "color": GREY})
    frame = [left, left, left + width], [bottom - height, bottom, bottom]
    sheet.ax.plot(*frame, **thin)
    for place, text in enumerate(("0.1", "1", "10", "100")):
        x = left + width * place / 3
        sheet.ax.plot([x, x], [bottom, bottom + 0.03], **thin)
        if named[0]:
            sheet.ax.text(x, bottom + 0.04, text, ha="center", va="top")
    if named[0]:
        x, y = left + width / 2, bottom + 0.04 + LINE
        sheet.ax.text(x, y, "OOD accepted, %", ha="center", va="top")
    if named[1]:
        for rate in (0, 0.25, 0.5, 0.75, ACCEPTED):
            y, text = bottom - height * rate, f"{100 * rate:.0f}"
            sheet.ax.text(left - 0.04, y, text, ha="right", va="center")
        text, x, y = "in-distribution accepted, %", left - 0.22, bottom - height / 2
        sheet.ax.text(x, y, text, rotation=90, ha="right", va="center")


def _number(one: Scores) -> str:
    return _percent(ranking.auroc(one.inside, one.outside), one.row)


def _percent(value: float, row: Row) -> str:
    return f"{100 * value:.1f}" + MARKS["ties"] * ("ties" in row.flags)


def _looks(detectors: Mapping[str, bool]) -> dict[str, Look]:
    return {
        detector: {
            "color": DARK if control else COLOURS[index % len(COLOURS)],
            "linestyle": (0, DASHES[index % len(DASHES)]),
            "linewidth": 0.8 if control else 1.2,
        }
        for index, (detector, control) in enumerate(detectors.items())
    }


def _mark_failures(sheet: Sheet, boxes: Boxes, size: Point) -> None:
    for row in sheet.failures:
        box = corners_of(boxes[row.detector, row.outside], size)
        sheet.add_polygons([box], facecolor="none", edgecolor=GREY, hatch="////")
        sheet.centre(box, "failed")


def _place(scores: FloatArray, span: Point) -> FloatArray:
    """Returns scores as places on an axis, from 0 to 1."""
    return (np.clip(scores, *span) - span[0]) / (span[1] - span[0])
