"""`oodbench plot`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oodbench.base.errors import InputError
from oodbench.cli.options import results_argument

if TYPE_CHECKING:
    from oodbench.results.rows import Group


@click.command()
@results_argument
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="Where the pictures go.  [default: plots beside the results]",
)
def plot(results: Path, folder: Path | None) -> None:
    """Draws histograms, ROC curves and a heat map of what runs have stored."""
    from oodbench.results import rows
    from oodbench.results.store import Store

    groups = rows.groups(Store(results).sets())
    if not groups:
        raise InputError(f"There are no finished results in {results}.")
    draw(groups, folder or results.parent / "plots")


def draw(groups: Iterable[Group], folder: Path) -> None:
    """Draws all pictures of some groups and says where they are."""
    from oodbench.output.plots import scores

    written = [path for group in groups for path in scores.draw(group, folder)]
    click.echo(f"{len(written)} pictures drawn in {folder}.", err=True)
