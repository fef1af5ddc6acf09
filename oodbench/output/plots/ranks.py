"""Draws mean ranks of detectors, with bars over those that do not differ."""

from __future__ import annotations

from matplotlib.figure import Figure

from oodbench.output.numbers import percent
from oodbench.output.plots.sheet import (
    BLACK,
    DARK,
    LINE,
    MARGIN,
    headed,
    label,
    style,
    text_width,
)
from oodbench.results.ranked import Ranked

# Inches.
AXIS, BAR, GAP = 4.0, 0.09, 0.08


def rank_diagram(one: Ranked) -> Figure:
    """Draws each detector's mean rank on an axis, the best at the left.

    The bars above the axis are the cliques: detectors that do not differ significantly.
    """
    means, cliques = one.ranks.means, one.ranks.cliques
    what = f"Ranks {'; '.join(one.notes)}."
    names = {
        name: f"{label(name)}  {mean:.2f}  ({percent(one.values[name], 1)} %)"
        for name, mean in means.items()
    }
    left = max(map(text_width, names.values())) + 2 * MARGIN
    above = LINE * 2 + BAR * (len(cliques) + 1)
    below = above + LINE * (len(means) + 1)
    width = left + AXIS + 3 * MARGIN
    title = f"Mean ranks of {len(means)} detectors by {one.metric.label}; 1 is best."
    with style():
        figure = headed(title, what, width, below)
        height = figure.get_figheight()
        ax = figure.add_axes((0, 0, 1, below / height), autoscale_on=False)
        ax.set(xlim=(0, width), ylim=(below, 0))
        ax.set_axis_off()
        last = len(means)

        def place(mean: float) -> float:
            return left + MARGIN + AXIS * (mean - 1) / (last - 1)

        for index, clique in enumerate(cliques):
            y = LINE * 1.5 + BAR * (index + 1)
            ends = [means[clique[0]], means[clique[-1]]]
            xs = [place(ends[0]) - 0.03, place(ends[1]) + 0.03]
            ax.plot(xs, [y, y], color=BLACK, linewidth=2.2, gid="clique")
        ax.plot([place(1), place(last)], [above, above], color=BLACK, linewidth=0.8)
        for tick in range(1, last + 1, max(1, last // 10)):
            x = place(tick)
            ax.plot([x, x], [above - 0.04, above], color=BLACK, linewidth=0.8)
            ax.text(x, LINE, str(tick), ha="center", va="bottom")
        for index, (name, mean) in enumerate(means.items(), 1):
            x, y = place(mean), above + LINE * (index + 0.3)
            ax.plot([left, x, x], [y, y, above], color=DARK, linewidth=0.6)
            ax.plot([x], [above], marker="o", markersize=3, color=BLACK)
            ax.text(left - GAP, y, names[name], ha="right", va="center")
        return figure
