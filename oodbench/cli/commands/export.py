"""`oodbench export`."""

from __future__ import annotations

from pathlib import Path

import click

from oodbench.cli.options import results_argument


@click.command()
@results_argument
@click.option(
    "--to",
    required=True,
    help=".zip: all stored scores. .csv, .parquet: one row per image and detector. "
    "huggingface:FOLDER, mlflow:URI, tensorboard:FOLDER, wandb:PROJECT: all metrics.",
)
def export(results: Path, to: str) -> None:
    """Writes stored results to a file, or sends them to a tracker.

    \b
    oodbench export --to results.zip
    oodbench table results.zip
    oodbench export --to samples.csv
    oodbench export --to mlflow:sqlite:///mlflow.db
    """
    from oodbench.output.export import export as export_

    click.echo(f"{export_(results, to=to)}.", err=True)
