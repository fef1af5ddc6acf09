"""Draws log p(x) of long chains beside that of images."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from oodbench.base.files import Record
from oodbench.output.plots.sheet import (
    BLACK,
    COLOURS,
    GREY,
    LINE,
    Look,
    headed,
    label,
    style,
)

WHAT = (
    "Median of log p(x), not normalised, over the steps of chains from noise and from "
    "images; the dashed line is that of images. A line that ends above it leads to "
    "modes that no image has."
)
NOISE: Look = {"color": COLOURS[1], "marker": "o", "markersize": 3}
DATA: Look = {"color": COLOURS[0], "marker": "s", "markersize": 3}
IMAGES: Look = {"color": BLACK, "linestyle": (0, (4, 2)), "linewidth": 0.8}

# Inches.
WIDTH, PANEL, LEFT, RIGHT, BELOW = 5.5, 2.2, 0.6, 1.3, 0.45


def mixing(diagnosis: Record) -> Figure:
    """Draws log p(x) over the steps of the chains of a diagnosis.

    Args:
        diagnosis: What `oodbench diagnose` writes.
    """
    chains, real = diagnosis["chains"], diagnosis["real"]
    steps = chains["steps"]
    lines = {
        "from noise": (chains["log_px_from_noise"], NOISE),
        "from images": (chains["log_px_from_data"], DATA),
        "images": ([real["log_px"]["median"]] * len(steps), IMAGES),
    }
    title = f"{chains['count']} chains of {label(diagnosis['model']['name'])}"
    with style():
        below = PANEL + BELOW + LINE
        figure = headed(title, WHAT, WIDTH, below)
        height = figure.get_figheight()
        wide = WIDTH - LEFT - RIGHT
        ax = figure.add_axes(
            (LEFT / WIDTH, BELOW / height, wide / WIDTH, PANEL / height)
        )
        ax.set_xscale("symlog", linthresh=1)  # step 0 has no logarithm
        ax.set(xlabel="step", ylabel="log p(x), median")
        ax.set_xticks(steps, [str(step) for step in steps])
        ax.xaxis.set_minor_locator(NullLocator())
        for name, (values, look) in lines.items():
            ax.plot(steps, values, gid=name, label=name, **look)
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        ax.grid(axis="y", color=GREY, linewidth=0.3)
        return figure
