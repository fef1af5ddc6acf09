"""Draws accuracy against the radius of attacks, also readable in grey print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oodbench.output.plots.sheet import (
    COLOURS,
    DARK,
    DASHES,
    GREY,
    LINE,
    MARGIN,
    headed,
    label,
    style,
)

if TYPE_CHECKING:
    from oodbench.attacks.record import Attacked

WHAT = (
    "Share of images that are classified correctly under every attack within eps. "
    "The first point is clean images. Grey line: chance."
)
AXES = {
    "linf": (255, "L∞ eps, in levels of 8-bit images (1/255)"),
    "l2": (1, "L2 eps, pixels in [0, 1]"),
}
"""The factor from eps to the axis, and the axis's label."""

MARKERS = "os^Dv"

# Inches.
WIDTH, HEIGHT, LEFT, BELOW = 4.5, 2.6, 0.5, 0.4


def robustness_curves(found: Sequence[Attacked]) -> Figure:
    """Draws the robust accuracy of all targets: one colour per model, one dash each.

    Args:
        found: The results by network; all have robust accuracies.
    """
    first = found[0]
    images = len(first.robust_accuracy[0].falls_at)
    title = f"Robust accuracy on {first.inside['name']}, {images} images"
    lines = sum(len(one.robust_accuracy) for one in found)
    legend = BELOW + LINE * 1.2 * lines
    with style():
        figure = headed(title, WHAT, WIDTH, LINE + HEIGHT + legend)
        height = figure.get_figheight()
        across = WIDTH - LEFT - MARGIN
        bottom = MARGIN + legend
        ax = figure.add_axes(
            (LEFT / WIDTH, bottom / height, across / WIDTH, HEIGHT / height)
        )
        _draw(ax, found)
        figure.legend(
            loc="lower left",
            bbox_to_anchor=(MARGIN / WIDTH, 0),
            frameon=False,
            handlelength=4,
            borderpad=0.3,
            labelspacing=0.35,
        )
        return figure


def _draw(ax: Axes, found: Sequence[Attacked]) -> None:
    factor, name = AXES[found[0].norm]
    for one in found:
        ax.axhline(100 / one.model["classes"], color=GREY, linewidth=0.8)
    for colour, one in enumerate(found):
        for dash, each in enumerate(one.robust_accuracy):
            ax.plot(
                [eps * factor for eps in each.eps],
                [100 * share for share in each.accuracy],
                color=COLOURS[colour % len(COLOURS)],
                linestyle=(0, DASHES[dash % len(DASHES)]),
                linewidth=1.2,
                marker=MARKERS[dash % len(MARKERS)],
                markersize=2.5,
                label=f"{label(one.model['name'])}, {each.target['title']}",
                clip_on=False,
            )
    radii = [eps * factor for eps in found[0].robust_accuracy[0].eps]
    ax.set_xticks(radii, [f"{radius:.3g}" for radius in radii])
    # Clean images alone are one point; an axis needs a length all the same.
    ax.set(xlim=(0, radii[-1] or 1), ylim=(0, 100), xlabel=name)
    ax.set_ylabel("accuracy under attack, %")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(color=DARK)
