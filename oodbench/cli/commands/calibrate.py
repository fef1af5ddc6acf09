"""`oodbench calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.cli import show
from oodbench.cli.options import (
    batch_size_option,
    checkpoint_options,
    device_option,
    inside_option,
    limit_option,
    models_option,
    size_option,
)

if TYPE_CHECKING:
    from oodbench.results.recalibrated import Recalibrated


@click.command()
@models_option
@inside_option
@click.option(
    "--fit",
    metavar="SET",
    help="The set that the temperature is fitted on: its val split, or its only one.  "
    "[default: --in]",
)
@checkpoint_options
@size_option
@limit_option
@batch_size_option
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
    help="Folder for the numbers and pictures.",
)
def calibrate(folder: Path, **options: Any) -> None:
    """Measures calibration before and after temperature scaling.

    The temperature is fitted on the val split; all numbers are of the test split.

    \b
    oodbench calibrate
    oodbench calibrate --model jem.pt --in cifar10 --to results/calibration
    """
    from oodbench.base.files import write_atomically
    from oodbench.output.plots import reliability
    from oodbench.results.recalibrated import to_json
    from oodbench.runs.tuning.calibrate import calibrate as calibrate_

    found = calibrate_(**options)
    _print(found)
    write_atomically(folder / "calibration.json", to_json(found))
    drawn = [path for one in found for path in reliability.draw(one, folder)]
    click.echo(f"{len(drawn)} pictures and calibration.json in {folder}.", err=True)


def _print(found: Sequence[Recalibrated]) -> None:
    from oodbench.base.text import printable
    from oodbench.output.classification import layout_recalibrated

    show.Output().listing("", *layout_recalibrated(found))
    fitted, graded = (
        f"{sample['images']} {sample['split']} images of {sample['name']}"
        for sample in (found[0].fitted_on, found[0].inside)
    )
    click.echo(printable(f"T is fitted on {fitted}; graded: {graded}."), err=True)
