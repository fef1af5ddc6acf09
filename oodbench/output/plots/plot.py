"""Writes all pictures of stored results, and leaves those that are up to date."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from oodbench.base.defaults import RESULTS
from oodbench.output.plots.drawn import Drawn, drawing_key
from oodbench.results.opened import Source, folder_of, open_results
from oodbench.results.rows import Measured


def plot(
    results: Source = RESULTS, to: str | Path | None = None, *, linear: bool = False
) -> list[Path]:
    """Draws all figures of every model and in-distribution set, and detectors' ranks.

    These are histograms, ROC curves, a heat map, how true the confidence is, what
    detectors cost, and curves over the severity of a shift where sets have one. What is
    in the folder already and would be the same is not drawn again.

    Args:
        results: The folder, its archive, or what `run` or `select` returned.
        to: The folder of the pictures; None for `plots` next to the results.
        linear: Whether the ROC curves' axis is linear instead of logarithmic.

    Returns:
        The files, PNG and SVG.

    Raises:
        InputError: There are no finished results, or the folder cannot be written to.
    """
    folder = folder_of(results).parent / "plots" if to is None else Path(to)
    found = open_results(results).measured
    drawn = Drawn(folder)
    pictures: list[Path] = []
    for one in found:
        key = drawing_key("model", [one], linear)
        pictures += drawn.pictures(key, partial(_draw_model, one, folder, linear))
    key = drawing_key("ranks", found)
    pictures += drawn.pictures(key, partial(_draw_ranks, found, folder))
    drawn.save()
    return pictures


def _draw_model(measured: Measured, folder: Path, linear: bool) -> list[Path]:
    from oodbench.output.plots.draw import draw  # imports matplotlib

    return draw(measured, folder, linear=linear)


def _draw_ranks(measured: Sequence[Measured], folder: Path) -> list[Path]:
    from oodbench.output.plots.draw import figure_of_ranks
    from oodbench.output.plots.save import save

    figure = figure_of_ranks(measured)
    return [] if figure is None else save(figure, folder / "ranks")
