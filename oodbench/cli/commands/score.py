"""`oodbench score`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from oodbench.cli.options import checkpoint_options, device_option
from oodbench.cli.progress import Progress


@click.command()
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE…",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--threshold",
    "file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="What `oodbench threshold --to` wrote.",
)
@click.option("--model", required=True, help="A file or a bundled name.")
@checkpoint_options
@device_option
def score(
    images: tuple[Path, ...],
    file: Path,
    model: str,
    checkpoint: Mapping[str, Any],
    device: str,
) -> None:
    """Says of image files whether a threshold accepts them as in-distribution.

    Prints a line an image: file, score, accepted or rejected, with tabs between.

    \b
    oodbench threshold --model jem-digits --detector energy --to energy.json
    oodbench score photo.png --model jem-digits --threshold energy.json
    """
    from oodbench.data.dataset import Shape
    from oodbench.networks.hardware import pick_device
    from oodbench.networks.load import load_network
    from oodbench.results import thresholds
    from oodbench.runs.accept import score_files

    threshold = thresholds.read(file)
    shape = Shape(*threshold["model"]["shape"])
    network = load_network(model, shape=shape, **checkpoint).to(pick_device(device))
    with Progress() as progress:
        scores = score_files(network, threshold, images, watch=progress.watch)
    for path, value in zip(images, scores, strict=True):
        verdict = "accepted" if value >= threshold["threshold"] else "rejected"
        click.echo(f"{path}\t{value:.6g}\t{verdict}")
