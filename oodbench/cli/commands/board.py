"""`oodbench board`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The HTML file.  [default: board.html in the folder]",
)
def board(folder: Path, file: Path | None) -> None:
    """Writes the results of many people to one static HTML page.

    FOLDER holds a folder of results, or an archive of `oodbench export`, per entry.
    Each is checked as by `oodbench check results`; one with a fault is not shown.

    \b
    oodbench board leaderboard
    """
    from oodbench.output.board import board as board_

    click.echo(f"Written to {board_(folder, file)}.", err=True)
