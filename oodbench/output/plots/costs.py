"""Draws what detectors cost against how well they separate."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from oodbench.output.plots.sheet import BLACK, GREY, LINE, headed, label, style
from oodbench.results.costs import CostRow

WHAT = (
    "Time of each detector for an image, beyond the forward pass that all share, and "
    "its mean AUROC over all sets. Named: those that no cheaper one reaches. Hollow: "
    "those that also take backward passes, whose time is not counted."
)

# Inches.
WIDTH, PANEL, LEFT, RIGHT, BELOW = 5.5, 2.6, 0.6, 1.0, 0.45


def frontier(rows: Sequence[CostRow]) -> list[CostRow]:
    """Returns the detectors that no cheaper one reaches, the cheapest first.

    Those that take backward passes are left out, since their time is not known.
    """
    found: list[CostRow] = []
    for row in sorted(rows, key=lambda one: (one.microseconds, -one.auroc)):
        if not row.backward and (not found or row.auroc > found[-1].auroc):
            found.append(row)
    return found


def cost_diagram(rows: Sequence[CostRow]) -> Figure:
    """Draws the AUROC of detectors over their time for an image, on logarithmic axes.

    Args:
        rows: Of one model and one in-distribution set, at least one.
    """
    model, inside = label(rows[0].model), label(rows[0].inside)
    best = frontier(rows)
    hollow = [row for row in rows if row.backward]
    with style():
        below = PANEL + BELOW + LINE
        figure = headed(f"{model}, in-distribution: {inside}", WHAT, WIDTH, below)
        height = figure.get_figheight()
        wide = WIDTH - LEFT - RIGHT
        ax = figure.add_axes(
            (LEFT / WIDTH, BELOW / height, wide / WIDTH, PANEL / height)
        )
        ax.set(xscale="log", xlabel="time per image, µs", ylabel="AUROC, %")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
        for chosen, edge, fill in (
            (rows, GREY, GREY),
            (best, BLACK, BLACK),
            (hollow, BLACK, "white"),
        ):
            ax.plot(
                [one.microseconds for one in chosen],
                [100 * one.auroc for one in chosen],
                color=edge,
                markerfacecolor=fill,
                linestyle="none",
                marker="o",
                markersize=3,
                clip_on=False,
            )
        for one in (*best, *hollow):
            name, place = label(one.detector), (one.microseconds, 100 * one.auroc)
            ax.annotate(name, place, (3, 3), textcoords="offset points")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        return figure
