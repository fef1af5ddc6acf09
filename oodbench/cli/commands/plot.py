"""`oodbench plot`."""

from __future__ import annotations

from pathlib import Path

import click

from oodbench.cli import show
from oodbench.cli.options import results_argument


@click.command()
@results_argument
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of the pictures.  [default: plots next to the results]",
)
def plot(results: Path, folder: Path | None) -> None:
    """Draws histograms, ROC curves and a heat map of stored results."""
    from oodbench.output.plots import draw
    from oodbench.results.opened import open_results

    found = open_results(results)
    written = draw.plot(found, folder)
    show.print_notes(found.notes)
    show.print_written(written)
