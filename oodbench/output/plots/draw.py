"""Draws all figures of stored results, and writes them as PNG and SVG."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from oodbench.base.files import folder_name, key_of, write_atomically
from oodbench.output.plots.heat_map import heat_map
from oodbench.output.plots.histograms import histograms
from oodbench.output.plots.roc import roc_curves
from oodbench.output.plots.sheet import style
from oodbench.results.opened import Source, folder_of, open_results
from oodbench.results.rows import Measured


def plot(results: Source, to: str | Path | None = None) -> list[Path]:
    """Draws histograms, ROC curves and a heat map of every model and in-set.

    Args:
        results: The folder, or what `run` returned.
        to: The folder of the pictures; None for `plots` next to the results.

    Returns:
        The files that were written, PNG and SVG.

    Raises:
        InputError: There are no finished results, or the folder cannot be written to.
    """
    folder = folder_of(results).parent / "plots" if to is None else Path(to)
    found = open_results(results).measured
    return [path for one in found for path in draw(one, folder)]


def figures(measured: Measured) -> dict[str, Figure]:
    """Returns all figures of one model and in-set; none where it has no scores."""
    if not measured.scores:
        return {}
    return {
        "histograms": histograms(measured.scores),
        "roc": roc_curves(measured.scores),
        "heatmap": heat_map(measured.rows),
    }


def draw(measured: Measured, folder: Path) -> list[Path]:
    """Draws and saves all figures of one model and in-set; nothing without scores."""
    group = measured.group
    # Two groups may share both names.
    record = group.inside.record
    key = key_of(record["model"]["key"], record["set"]["key"])
    written = []
    for kind, figure in figures(measured).items():
        name = folder_name(f"{kind}-{group.model}-{group.inside.name}", key)
        written += save(figure, folder / name)
    return written


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
