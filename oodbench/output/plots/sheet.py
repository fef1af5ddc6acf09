"""Lays figures out: a sheet of paper in inches, with a grid of detectors and sets."""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.transforms import TransformedPath

from oodbench.base.text import printable, short_name, short_note
from oodbench.metrics.ranking import FloatArray
from oodbench.output.layout import layout
from oodbench.output.notes import MARKS, ROW_FLAGS
from oodbench.output.numbers import minus, percent
from oodbench.results.rows import Row

BLACK, DARK, GREY, PALE = "#000000", "#555555", "#AAAAAA", "#E4E4E4"
# The palette of Okabe and Ito, which colour-blind readers can distinguish, without its
# yellow, too pale for a line on white; seven colours and six dashes give 42 lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000", "#56B4E9")
DASHES = ((), (4, 1.5), (1, 1.2), (6, 1.5, 1, 1.5), (9, 2), (3, 1, 1, 1, 1, 1))
FAMILIES = "agg axes figure font hatch lines patch path savefig svg text xtick ytick"
STYLE = {
    # Not the user's matplotlibrc: the same numbers must look the same anywhere.
    **{
        name: value
        for name, value in mpl.rcParamsDefault.items()
        if name.split(".")[0] in FAMILIES.split()
    },
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 7,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",  # text stays text: to be searched, selected and read out
    "svg.hashsalt": "oodbench",
    "text.hinting": "none",  # else letters are wider than measured
    "text.parse_math": False,
}
LONGEST, MOST_NOTES = 60, 12
"""Letters of a name, and notes below a figure."""
ACCEPTED = 0.95
"""The share of in-distribution images above the threshold that figures show."""

# Inches.
MARGIN, LINE, GAP, HANDLE, NARROWEST = 0.1, 0.125, 0.12, 0.22, 4.5

Point = tuple[float, float]
Look = dict[str, Any]
Boxes = Mapping[tuple[str, str], Point]
"""The upper left corner of the cell of a detector and a set."""


class Sheet:
    """A figure in inches, filled from the top down."""

    def __init__(self, rows: Sequence[Row]) -> None:
        table, names = (
            layout(rows),
            (label(rows[0].model), label(rows[0].inside)),
        )
        images = rows[0].images_in
        self.title = "{}, in-distribution: {}, {} images".format(*names, images)
        self.sets = [one for one in table.columns if one.outside is not None]
        ordered = sorted(rows, key=lambda row: (row.apart, row.detector))
        self.detectors = {row.detector: row for row in ordered}
        """A row of each, those that are ranked first."""
        self.failures = [row for row in rows if row.failure]
        self.notes = table.notes
        self.width, self.y = NARROWEST, MARGIN
        self.figure = Figure()
        self.ax = self.figure.add_axes((0, 0, 1, 1), autoscale_on=False)
        self.ax.set_axis_off()
        self._unclipped = TransformedPath(Path.unit_rectangle(), self.ax.transAxes)

    def write(self, x: float, y: float, text: str, **look: Any) -> None:
        """Writes a text at a place."""
        # Otherwise matplotlib makes a path for each text, and clips none by it.
        self.ax.text(x, y, text, clip_path=self._unclipped, **look)

    def head(self, width: float, what: str, looks: Mapping[str, Look]) -> None:
        """Sets the width; writes the title, an explanation and the key to the looks."""
        self.width = max(width, NARROWEST)
        self._paragraph(self.title, weight="bold")
        self._paragraph(what)
        x = MARGIN
        for text, look in looks.items():
            wide = HANDLE + 0.2 + text_width(text)
            if x > MARGIN and x + wide > self.width:
                x, self.y = MARGIN, self.y + LINE
            y = self.y + LINE / 2
            xs = [x + HANDLE / 2] if "marker" in look else [x, x + HANDLE]
            self.ax.plot(xs, [y] * len(xs), **look)
            self.write(x + HANDLE + 0.05, y, text, va="center")
            x += wide
        self.y += 1.5 * LINE

    def grid(
        self,
        cell: Point,
        space: float,
        what: str,
        looks: Mapping[str, Look],
        spans: Mapping[str, Point],
    ) -> Boxes:
        """Names detectors and sets around empty cells, below a head."""
        names, room = self._name_detectors(spans, 1.4), 1.4
        while LINE * max(map(len, names)) > cell[1] + 0.1:
            room *= 1.5
            names = self._name_detectors(spans, room)
        left = 2 * MARGIN + max(text_width(line) for lines in names for line in lines)
        xs = _starts([one.role for one in self.sets], left, cell[0] + space)
        self.head(xs[-1] + cell[0] + MARGIN, what, looks)
        self._name_sets(xs, cell[0])
        apart = [row.apart for row in self.detectors.values()]
        ys = _starts(apart, self.y, cell[1] + space)
        for y, lines in zip(ys, names, strict=True):
            x, middle = left - MARGIN, y + cell[1] / 2
            self.write(x, middle, "\n".join(lines), ha="right", va="center")
        self.y = ys[-1] + cell[1]
        return {
            (detector, str(one.outside)): (x, y)
            for detector, y in zip(self.detectors, ys, strict=True)
            for one, x in zip(self.sets, xs, strict=True)
        }

    def centre(self, corners: FloatArray, text: str, colour: str = BLACK) -> None:
        """Writes in the middle of a box."""
        x, y = corners.mean(axis=0)
        self.write(x, y, text, ha="center", va="center", color=colour)

    def mark_failures(self, boxes: Boxes, size: Point) -> None:
        """Hatches the cells of a grid that have no scores."""
        for row in self.failures:
            box = corners_of(boxes[row.detector, row.outside], size)
            self.add_polygons([box], facecolor="none", edgecolor=GREY, hatch="////")
            self.centre(box, "failed")

    def add_polygons(self, corners: Sequence[FloatArray], **look: Any) -> None:
        """Fills polygons, `[V, 2]` each."""
        polygons = PolyCollection(corners)
        polygons.set(**look)
        self.ax.add_collection(polygons, autolim=False)

    def add_lines(
        self,
        points: Sequence[FloatArray],
        looks: Sequence[Look],
        gid: str | None = None,
    ) -> None:
        """Draws lines, `[V, 2]` each, with one look for all or a look for each."""
        each = {f"{name}s": [look[name] for look in looks] for name in looks[0]}
        lines = LineCollection(points, gid=gid, zorder=2, **each)
        self.ax.add_collection(lines, autolim=False)

    def finish(self) -> Figure:
        """Writes the notes and fits the height."""
        self.y += MARGIN
        for note in self.notes[:MOST_NOTES]:
            self._paragraph(short_note(note), color=DARK)
        if more := len(self.notes[MOST_NOTES:]):
            self._paragraph(f"and {more} more; `oodbench table` shows all", color=DARK)
        height = self.y + MARGIN
        self.figure.set_size_inches(self.width, height)
        self.ax.set(xlim=(0, self.width), ylim=(height, 0))
        return self.figure

    def _paragraph(self, text: str, weight: str = "normal", color: str = BLACK) -> None:
        for line in wrap(text, self.width - 2 * MARGIN, weight):
            self.write(MARGIN, self.y, line, va="top", weight=weight, color=color)
            self.y += LINE

    def _name_detectors(
        self, spans: Mapping[str, Point], width: float
    ) -> list[list[str]]:
        names = []
        for detector, row in self.detectors.items():
            names.append(wrap(label(detector), width) + ["(control)"] * row.control)
            if detector in spans:
                span = "{:.3g} to {:.3g}".format(*spans[detector])
                names[-1].append(minus(span))
        return names

    def _name_sets(self, xs: Sequence[float], width: float) -> None:
        heads = [wrap(label(one.label) + one.marks, width) for one in self.sets]
        role, role_y = "", self.y + LINE
        self.y = role_y + LINE * (max(map(len, heads)) + 0.3)
        for one, x, head in zip(self.sets, xs, heads, strict=True):
            if one.role != role:
                self.write(x, role_y, one.role, va="bottom", style="italic")
            middle, role = x + width / 2, one.role
            self.write(middle, self.y, "\n".join(head), ha="center", va="bottom")
        self.y += 0.04


def headed(title: str, what: str, width: float, below: float) -> Figure:
    """Returns a figure with a title and an explanation above an empty space.

    Args:
        title: In bold.
        what: What the figure shows.
        width: Of the figure, in inches.
        below: Height of the empty space, in inches.
    """
    lines = [
        (line, weight)
        for text, weight in ((title, "bold"), (what, "normal"))
        for line in wrap(text, width - 2 * MARGIN, weight)
    ]
    height = 2 * MARGIN + LINE * len(lines) + below
    figure = Figure((width, height))
    for index, (line, weight) in enumerate(lines):
        y = 1 - (MARGIN + LINE * index) / height
        figure.text(MARGIN / width, y, line, va="top", weight=weight)
    return figure


def corners_of(corner: Point, size: Point) -> FloatArray:
    """Returns the corners of a box, `[4, 2]`."""
    return np.add(corner, np.multiply(size, [(0, 0), (1, 0), (1, 1), (0, 1)]))


def _starts(kinds: Sequence[object], start: float, size: float) -> list[float]:
    """Returns where things in a row begin, with a gap where their kind changes."""
    changes = [one != before for before, one in itertools.pairwise(kinds)]
    gaps = GAP * np.cumsum([0, *changes])
    return [start + size * index + float(gap) for index, gap in enumerate(gaps)]


def looks_of(detectors: Mapping[str, Row]) -> dict[str, Look]:
    """Returns colour and dashes of each detector's line."""
    return {
        detector: {
            "color": DARK if row.apart else COLOURS[index % len(COLOURS)],
            "linestyle": (0, DASHES[index % len(DASHES)]),
            "linewidth": 0.8 if row.apart else 1.2,
        }
        for index, (detector, row) in enumerate(detectors.items())
    }


def label(text: str) -> str:
    """Returns a name as figures show it, cut in its middle where it is long."""
    return short_name(text, LONGEST)


def number_text(row: Row) -> str:
    """Returns the AUROC of a row in %, with the marks of its flags."""
    marks = (MARKS[flag] for flag in ROW_FLAGS if flag in row.flags)
    return percent(row.values["auroc"], 1) + "".join(marks)


def wrap(text: str, width: float, weight: str = "normal") -> list[str]:
    """Returns lines no wider than some inches, broken at spaces and signs if it can."""
    lines = [""]
    for piece in re.findall(r"[^\s:+_,/-]*[\s:+_,/-]+|[^\s:+_,/-]+", printable(text)):
        if lines[-1] and text_width(lines[-1] + piece.rstrip(), weight) > width:
            lines.append("")
        lines[-1] += piece
        while text_width(lines[-1].rstrip(), weight) > width and len(lines[-1]) > 1:
            line, ends = lines[-1], range(1, len(lines[-1]))
            fits = bisect_right(
                ends, width, key=lambda end: text_width(line[:end], weight)
            )
            end = max(fits, 1)
            lines[-1:] = [lines[-1][:end], lines[-1][end:]]
    return [line.strip() for line in lines]


@functools.lru_cache(maxsize=4096)
def text_width(text: str, weight: str = "normal") -> float:
    """Returns how many inches a text is wide."""
    font = FontProperties(weight=weight, size=7)
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72


@contextmanager
def style() -> Iterator[None]:
    """Draws and saves with the same settings, whatever the user's matplotlibrc says."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # The SVG holds such letters too, and another font may show them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield
