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
def plot(found: Results, folder: Path | None) -> None:
    """Draws histograms, ROC curves and a heat map of stored results."""
    from oodbench.output.plots import draw

    written = draw.plot(found, folder)
    show.print_notes(found.notes)
    show.print_written(written)
