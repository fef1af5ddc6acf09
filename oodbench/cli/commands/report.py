"""`oodbench report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from oodbench.cli import show
from oodbench.cli.options import selection_options

if TYPE_CHECKING:
    from oodbench.results.opened import Results


@click.command()
@selection_options
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path),
    help="The HTML file, or with --images all a folder.  [default: report.html, or "
    "report, next to the results]",
)
@click.option(
    "--images",
    type=click.Choice(["none", "worst", "all"]),
    default="worst",
    show_default=True,
    help="Open the sets again and show the images that detectors get most wrong, or "
    "all of them behind every number.",
)
def report(
    found: Results, file: Path | None, images: Literal["none", "worst", "all"]
) -> None:
    """Writes all stored results to HTML pages that need no network.

    They hold tables that sort, all figures, images, and the provenance of the numbers.
    With --images all, each AUROC and FPR95 leads to its images, sorted by score.

    \b
    oodbench report
    oodbench report results/runs --to report.html --images none
    oodbench report --images all
    """
    from oodbench.output.report import page

    written = page.report(
        found, file, images=images, tell=lambda note: show.print_notes([note])
    )
    is_folder = images == "all" and written.name == "index.html"
    files = written.parent.rglob("*.*") if is_folder else [written]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    show.remark(f"{megabytes:.1f} MB written to {written}.")
