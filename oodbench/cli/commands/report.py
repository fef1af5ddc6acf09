"""`oodbench report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from oodbench.base.errors import InputError
from oodbench.base.names import named_file
from oodbench.base.progress import Progress
from oodbench.cli import show
from oodbench.cli.options import checkpoint_options, device_option, selection_options

if TYPE_CHECKING:
    from oodbench.results.opened import Results


def _networks(
    _: click.Context, __: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    networks = dict(map(named_file, texts))
    if "" in networks:
        raise InputError(f"--network must be MODEL=FILE, not {networks['']!r}.")
    return networks


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
@click.option(
    "--neighbours",
    "count",
    type=click.IntRange(1),
    metavar="N",
    help="Show below each image the N nearest training images, by the network's "
    "features.  [default: none]",
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    callback=_networks,
    metavar="MODEL=FILE",
    help="The file of a model in these results, for --neighbours; a bundled one needs "
    "none. The options below describe it.",
)
@checkpoint_options
@device_option
def report(
    found: Results,
    file: Path | None,
    images: Literal["none", "worst", "all"],
    count: int | None,
    networks: dict[str, str],
    checkpoint: dict[str, Any],
    device: str,
) -> None:
    """Writes all stored results to HTML pages that need no network.

    They hold tables that sort, all figures, images, and the provenance of the numbers.
    With --images all, each AUROC and FPR95 leads to its images, sorted by score.

    \b
    oodbench report
    oodbench report results/runs --to report.html --images none
    oodbench report --images all
    oodbench report --images all --neighbours 4 --network jem=jem.pt
    """
    from oodbench.output.report import page

    if not count and (networks or any(checkpoint.values())):
        raise InputError(
            "--network and the options that describe it are for --neighbours."
        )
    notes: list[str] = []
    with Progress() as progress:
        neighbours = None
        if count:
            from oodbench.runs.neighbours import Neighbours  # imports torch

            neighbours = Neighbours(count, networks, checkpoint, device, progress)
        written = page.report(
            found, file, images=images, neighbours=neighbours, tell=notes.append
        )
    show.print_notes(notes)
    is_folder = images == "all" and written.name == "index.html"
    files = written.parent.rglob("*.*") if is_folder else [written]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    show.remark(f"{megabytes:.1f} MB written to {written}.")
