"""`oodbench report`."""

from __future__ import annotations

from pathlib import Path

import click

from oodbench.cli import show
from oodbench.cli.options import results_argument


@click.command()
@results_argument
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The HTML file.  [default: report.html next to the results]",
)
@click.option(
    "--gallery/--no-gallery",
    default=True,
    show_default=True,
    help="Open the sets again and show the images that detectors get most wrong.",
)
def report(results: Path, file: Path | None, gallery: bool) -> None:
    """Writes all stored results to one self-contained HTML page.

    It holds tables that sort, all figures, the images that each detector gets most
    wrong, and the provenance of the numbers. A browser shows it without a network.

    \b
    oodbench report
    oodbench report results/runs --to report.html --no-gallery
    """
    from oodbench.output.report import page

    written = page.report(
        results, file, gallery=gallery, tell=lambda note: show.print_notes([note])
    )
    megabytes = written.stat().st_size / 1e6
    click.echo(f"{megabytes:.1f} MB written to {written}.", err=True)
