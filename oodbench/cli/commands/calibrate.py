"""`oodbench calibrate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.cli import show
from oodbench.cli.options import (
    checkpoint_options,
    device_option,
    inside_option,
    models_option,
    networks,
    size_option,
)
from oodbench.cli.progress import Progress

if TYPE_CHECKING:
    from oodbench.results.recalibrated import Recalibrated


@click.command()
@models_option
@inside_option
@click.option(
    "--fit",
    metavar="SET",
    help="Where the temperature is fitted: its val split, or the only one it has.  "
    "[default: --in]",
)
@checkpoint_options
@size_option
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Take N images of each split, to try things out.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="[default: by the size of the images]",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Processes that read images ahead.",
)
@device_option
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/calibration"),
    show_default=True,
    help="Where the numbers and pictures go.",
)
def calibrate(
    models: tuple[str, ...],
    inside: str | None,
    fit: str | None,
    checkpoint: Mapping[str, Any],
    size: str | None,
    limit: int | None,
    batch_size: int | None,
    workers: int,
    device: str,
    folder: Path,
) -> None:
    """Measures how true confidence is, before and after temperature scaling.

    The temperature is fitted on the val split, and all numbers are of the test split.

    \b
    oodbench calibrate
    oodbench calibrate --model jem.pt --in cifar10 --to results/calibration
    """
    from oodbench.base.files import write_atomically
    from oodbench.data.image_set import open_images
    from oodbench.data.spec import open_dataset
    from oodbench.networks.hardware import pick_device
    from oodbench.output.plots import reliability
    from oodbench.results.recalibrated import to_json
    from oodbench.runs import run
    from oodbench.runs.calibrate import draw_fit, recalibrate

    place, inset = pick_device(device), open_dataset(inside or run.INSIDE)
    other = None if fit is None else open_dataset(fit)
    with Progress() as progress:
        found = [
            recalibrate(
                network.to(place),
                inside=open_images(inset, "test", network.shape, limit),
                fit=draw_fit(inset, other, network.shape, limit),
                batch_size=batch_size,
                workers=workers,
                watch=progress.watch,
            )
            for network in networks(models, inset, checkpoint, size)
        ]
    _print(found)
    write_atomically(folder / "calibration.json", to_json(found))
    drawn = [path for one in found for path in reliability.draw(one, folder)]
    click.echo(f"{len(drawn)} pictures and calibration.json in {folder}.", err=True)


def _print(found: Sequence[Recalibrated]) -> None:
    from oodbench.base.text import printable
    from oodbench.output.layout import layout_recalibrated

    show.print_listing("", *layout_recalibrated(found))
    fitted, graded = (
        f"{sample['images']} {sample['split']} images of {sample['name']}"
        for sample in (found[0].fitted_on, found[0].inside)
    )
    click.echo(printable(f"T is fitted on {fitted}; graded: {graded}."), err=True)
