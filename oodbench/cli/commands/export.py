"""`oodbench export`."""

from __future__ import annotations

from pathlib import Path

import click

from oodbench.cli.options import results_argument


@click.command()
@results_argument
@click.option(
    "--to",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help=".zip: all stored scores. .csv, .parquet: one row per image and detector.",
)
def export(results: Path, file: Path) -> None:
    """Writes stored results to one file for others.

    \b
    oodbench export --to results.zip
    oodbench table results.zip
    oodbench export --to samples.csv
    """
    from oodbench.output.export import export as export_

    written = export_(results, to=file)
    click.echo(f"{written.stat().st_size / 1e6:.1f} MB written to {written}.", err=True)
