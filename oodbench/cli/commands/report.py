"""`oodbench report`."""

from __future__ import annotations

from pathlib import Path

import click

from oodbench.base.errors import InputError
from oodbench.base.text import printable
from oodbench.cli.options import results_argument


@click.command()
@results_argument
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the page goes.  [default: report.html beside the results]",
)
@click.option(
    "--gallery/--no-gallery",
    default=True,
    show_default=True,
    help="Open the sets again and show the images that detectors get most wrong.",
)
def report(results: Path, file: Path | None, gallery: bool) -> None:
    """Tells what runs have stored in one HTML page that needs nothing else.

    Tables that sort, all figures, the images that each detector gets most wrong, and
    what stands behind the numbers. A browser shows it without a network.

    \b
    oodbench report
    oodbench report results/runs --to report.html --no-gallery
    """
    from oodbench.base.files import write_atomically
    from oodbench.output.report import page
    from oodbench.results import rows
    from oodbench.results.store import Store

    groups = rows.groups(Store(results).sets())
    if not groups:
        raise InputError(f"There are no finished results in {results}.")
    written = page.write(groups, gallery=gallery)
    content = written.html.encode()
    place = file or results.parent / "report.html"
    write_atomically(place, content)
    for name, reason in written.left_out.items():
        click.echo(f"No images of {printable(name)}: {printable(reason)}", err=True)
    click.echo(f"{len(content) / 1e6:.1f} MB written to {place}.", err=True)
