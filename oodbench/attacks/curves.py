"""Draws accuracy against the radius of attacks, readable in grey print too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from oodbench.output.plots.sheet import (
    COLOURS,
    DARK,
    DASHES,
    GREY,
    LINE,
    MARGIN,
    label,
    style,
    wrap,
)

if TYPE_CHECKING:
    from oodbench.attacks.ball import Norm
    from oodbench.attacks.plan import Attacked

WHAT = (
    "Share of the images that are classified rightly whatever attack was tried within "
    "eps of them, or nearer. The first point: clean images. Grey: chance."
)
AXES = {
    "linf": (255, "L∞ eps, in levels of 8-bit images (1/255)"),
    "l2": (1, "L2 eps, pixels in [0, 1]"),
}
"""What a radius is multiplied by to stand on its axis, and the axis's name."""

MARKERS = "os^Dv"

# Inches.
WIDTH, HEIGHT, LEFT, BELOW = 4.5, 2.6, 0.5, 0.4


def robustness_curves(title: str, norm: Norm, found: Sequence[Attacked]) -> Figure:
    """Draws the robust accuracy of every target: a colour a model, a dash a target.

    Args:
        title: Of the figure.
        norm: That the radii are of.
        found: What attacks came to, by network; at least one with a target.
    """
    bold, plain = (
        wrap(text, WIDTH - 2 * MARGIN, weight)
        for text, weight in ((title, "bold"), (WHAT, "normal"))
    )
    lines = sum(len(one.robustness) for one in found)
    head = LINE * (len(bold + plain) + 1)
    height = 2 * MARGIN + head + HEIGHT + BELOW + LINE * 1.2 * lines
    bottom = height - MARGIN - head - HEIGHT
    factor, name = AXES[norm]
    with style():
        figure = Figure((WIDTH, height))
        for index, line in enumerate(bold + plain):
            weight = "bold" if index < len(bold) else "normal"
            y = 1 - (MARGIN + LINE * index) / height
            figure.text(MARGIN / WIDTH, y, line, va="top", weight=weight)
        across = WIDTH - LEFT - MARGIN
        ax = figure.add_axes(
            (LEFT / WIDTH, bottom / height, across / WIDTH, HEIGHT / height)
        )
        for one in found:
            ax.axhline(100 / one.model["classes"], color=GREY, linewidth=0.8)
        for colour, one in enumerate(found):
            for dash, each in enumerate(one.robustness):
                ax.plot(
                    [eps * factor for eps in each.eps],
                    [100 * share for share in each.accuracy],
                    color=COLOURS[colour % len(COLOURS)],
                    linestyle=(0, DASHES[dash % len(DASHES)]),
                    linewidth=1.2,
                    marker=MARKERS[dash % len(MARKERS)],
                    markersize=2.5,
                    label=f"{label(one.model['name'])}, {each.target.title}",
                    clip_on=False,
                )
        radii = [eps * factor for eps in found[0].robustness[0].eps]
        ax.set_xticks(radii, [f"{radius:.3g}" for radius in radii])
        ax.set(xlim=(0, radii[-1]), ylim=(0, 100), xlabel=name)
        ax.set_ylabel("accuracy under attack, %")
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(color=DARK)
        figure.legend(
            loc="lower left",
            bbox_to_anchor=(MARGIN / WIDTH, 0),
            frameon=False,
            handlelength=4,
            borderpad=0.3,
            labelspacing=0.35,
        )
        return figure
