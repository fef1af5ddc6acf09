"""Draws reliability diagrams: accuracy by confidence, readable in grey print too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oodbench.base.files import folder_name, key_of
from oodbench.metrics.calibration import (
    BINS,
    Reliability,
    accuracy_intervals,
    reliability,
)
from oodbench.output.numbers import percent
from oodbench.output.plots.save import save
from oodbench.output.plots.sheet import (
    BLACK,
    DARK,
    GREY,
    LINE,
    MARGIN,
    headed,
    label,
    style,
)

if TYPE_CHECKING:
    from oodbench.metrics.temperature import Graded
    from oodbench.results.recalibrated import Recalibrated

WHAT = (
    f"Dots: accuracy and mean confidence in each of {BINS} bins of confidence, with "
    "the 95 % interval of the accuracy. Below the dashed line the confidence is too "
    "high, above it too low. Bars: images in each bin."
)
QUARTERS, PERCENT = np.arange(5) / 4, ["0", "25", "50", "75", "100"]

# Inches.
PANEL, BARS = 2.4, 0.6
LEFT, BETWEEN, BELOW = 0.75, 0.2, 0.45


def reliability_diagram(title: str, panels: Mapping[str, Graded]) -> Figure:
    """Draws how true a classifier's confidence is.

    Args:
        title: Of the figure.
        panels: What to draw side by side, at least one, each below its heading.
    """
    width = LEFT + len(panels) * (PANEL + BETWEEN)
    most = max(len(graded.correct) for graded in panels.values())
    with style():
        below = 3 * LINE + PANEL + BARS + BELOW
        figure = headed(title, WHAT, width, below)
        height = figure.get_figheight()
        for index, (heading, graded) in enumerate(panels.items()):
            left = LEFT + index * (PANEL + BETWEEN)
            upper, lower = (
                figure.add_axes((left / width, y / height, PANEL / width, up / height))
                for y, up in ((BELOW + BARS + MARGIN, PANEL), (BELOW, BARS))
            )
            bins = reliability(graded.confidence, graded.correct)
            _add_accuracies(upper, bins, named=index == 0)
            _add_images(lower, bins, most, named=index == 0)
            upper.text(0, 1.02, f"{heading}\n{_errors(graded)}", va="bottom")
        return figure


def draw(one: Recalibrated, folder: Path) -> list[Path]:
    """Draws and saves the diagram of a network before and after temperature scaling.

    Args:
        one: What to draw.
        folder: Where the files go.
    """
    model, inside = one.model["name"], one.inside["name"]
    figure = reliability_diagram(
        f"{label(model)}, {label(inside)}, {one.inside['images']} images",
        {
            "before temperature scaling": one.before,
            f"after, T = {one.temperature:#.4g}": one.after,
        },
    )
    # Two networks may share a name.
    key = key_of(one.model["key"], one.inside["key"])
    name = folder_name(f"reliability-{model}-{inside}", key)
    return save(figure, folder / name)


def _add_accuracies(ax: Axes, bins: Reliability, *, named: bool) -> None:
    full = bins.images > 0
    confidence = bins.expected[full] / bins.images[full]
    low, high = (end[full] for end in accuracy_intervals(bins))
    ax.plot([0, 1], [0, 1], color=DARK, linewidth=0.8, linestyle=(0, (4, 2)))
    ax.vlines(confidence, low, high, color=GREY, linewidth=1.6, clip_on=False)
    ax.plot(
        confidence,
        bins.correct[full] / bins.images[full],
        color=BLACK,
        linestyle="none",
        marker="o",
        markersize=3,
        clip_on=False,
        gid="accuracy",
    )
    ax.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy, %" if named else "")
    ax.set_xticks(QUARTERS, [])
    ax.set_yticks(QUARTERS, PERCENT if named else [])


def _add_images(ax: Axes, bins: Reliability, most: int, *, named: bool) -> None:
    edges = np.arange(BINS) / BINS
    ax.bar(edges, bins.images, 1 / BINS, align="edge", color=GREY, edgecolor="white")
    ax.set(xlim=(0, 1), yscale="log", ylim=(0.6, 1.5 * most))
    digits = len(str(most))
    powers = 10 ** np.arange(0, digits, 1 if digits < 5 else 2)
    ax.set_yticks(powers, [str(power) for power in powers] if named else [])
    ax.minorticks_off()
    ax.set_xticks(QUARTERS, PERCENT)
    ax.set(xlabel="confidence, %", ylabel="images" if named else "")


def _errors(graded: Graded) -> str:
    ece, adaptive = (percent(graded.values[name]) for name in ("ece", "adaptive_ece"))
    return f"ECE {ece} %, adaptive ECE {adaptive} %"
