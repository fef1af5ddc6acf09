"""`oodbench plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.cli import show
from oodbench.cli.options import selection_options

if TYPE_CHECKING:
    from oodbench.results.opened import Results


@click.command()
@selection_options
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of the pictures.  [default: plots next to the results]",
)
@click.option("--linear", is_flag=True, help="Draw ROC curves over a linear axis.")
def plot(found: Results, folder: Path | None, linear: bool) -> None:
    """Draws histograms, ROC curves and other figures of results.

    Others are a heat map, reliability, costs, shifts and ranks.
    """
    from oodbench.output.plots.plot import plot as draw

    written = draw(found, folder, linear=linear)
    show.print_notes(found.notes)
    show.print_written(written)
