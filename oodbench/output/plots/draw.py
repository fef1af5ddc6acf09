"""Draws all figures of stored results, and saves those of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from oodbench.base.errors import InputError
from oodbench.base.files import folder_name, key_of
from oodbench.metrics.temperature import Graded
from oodbench.output.plots.costs import cost_diagram
from oodbench.output.plots.heat_map import heat_map
from oodbench.output.plots.histograms import histograms
from oodbench.output.plots.ranks import rank_diagram
from oodbench.output.plots.reliability import reliability_diagram
from oodbench.output.plots.roc import roc_curves
from oodbench.output.plots.save import save
from oodbench.output.plots.sheet import label
from oodbench.output.plots.shift import shift_curves
from oodbench.results.costs import cost_rows
from oodbench.results.ranked import ranked
from oodbench.results.rows import Measured


def figure_of_ranks(measured: Sequence[Measured]) -> Figure | None:
    """Returns the ranks of all detectors; None for one detector or pair of sets."""
    try:
        return rank_diagram(ranked(measured))
    except InputError:
        return None


def figures(measured: Measured, *, linear: bool = False) -> dict[str, Figure]:
    """Returns all figures of a model and in-distribution set; none without scores.

    They are the same, bit for bit, in whatever order the sets are.
    """
    if not measured.scores:
        return {}
    scores = sorted(
        measured.scores, key=lambda one: (one.row.outside, one.row.detector)
    )
    return {
        "histograms": histograms(scores),
        "roc": roc_curves(scores, linear=linear),
        "heatmap": heat_map([one.row for one in scores]),
        **_reliability(measured),
        **_costs(measured),
        **_shift(measured),
    }


def _shift(measured: Measured) -> dict[str, Figure]:
    figure = shift_curves(measured.rows)
    return {"shift": figure} if figure is not None else {}


def _costs(measured: Measured) -> dict[str, Figure]:
    scored = {row.detector for row in measured.rows if row.values and not row.apart}
    rows = [row for row in cost_rows([measured]) if row.detector in scored]
    return {"costs": cost_diagram(rows)} if rows else {}


def _reliability(measured: Measured) -> dict[str, Figure]:
    fitness, arrays = measured.fitness, measured.group.inside.arrays
    if fitness is None or "confidences" not in arrays:
        return {}
    graded = Graded(
        arrays["confidences"],
        arrays["predictions"] == arrays["labels"],
        fitness.values,
    )
    title = f"{label(fitness.model)}, {label(fitness.set)}, {fitness.images} images"
    return {"reliability": reliability_diagram(title, {"as the network is": graded})}


def draw(measured: Measured, folder: Path, *, linear: bool = False) -> list[Path]:
    """Draws and saves the `figures`; returns the files."""
    group = measured.group
    # Two groups may share both names.
    record = group.inside.record
    key = key_of(record["model"]["key"], record["set"]["key"])
    written = []
    for kind, figure in figures(measured, linear=linear).items():
        name = folder_name(f"{kind}-{group.model}-{group.inside.name}", key)
        written += save(figure, folder / name)
    return written
