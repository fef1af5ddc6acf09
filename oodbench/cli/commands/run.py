"""`oodbench run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.progress import Progress
from oodbench.cli import show
from oodbench.cli.options import (
    checkpoint_options,
    device_option,
    height_and_width,
    inside_option,
    model_names,
    models_option,
    results_option,
    size_option,
    split_commas,
)

if TYPE_CHECKING:
    from oodbench.networks.network import Precision
    from oodbench.runs.execution import Overwrite
    from oodbench.runs.result import RunResult

SOME_CELLS_FAILED = 1


@click.command()
@models_option
@inside_option
@click.option(
    "--out",
    "outside",
    multiple=True,
    metavar="[ROLE=]SET,…",
    help="Out-of-distribution sets; ROLE is near, far, covariate or probe.  "
    "[default: sets that need no download]",
)
@click.option(
    "--detectors",
    multiple=True,
    metavar="NAME,…",
    help="Detectors, with parameters as in energy:temperature=2; `all` for all that "
    "are installed.  [default: the built-in ones]",
)
@click.option(
    "--fit",
    metavar="SET",
    help="The set that detectors are fitted on.  [default: --in]",
)
@checkpoint_options
@size_option
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Take only N images of each set, for a quick trial.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Precision of the network; scores are computed from float32 in both cases.",
)
@click.option(
    "--input-noise",
    type=click.FloatRange(0),
    metavar="NUMBER",
    default=0.0,
    help="Standard deviation of Gaussian noise on all evaluated images, for pixels in "
    "[-1, 1]; 0.03 in the JEM paper's evaluation.  [default: no noise]",
)
@click.option(
    "--skip-unreadable",
    is_flag=True,
    help="Leave out image files that cannot be read, instead of an error.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Images per pass; halved when memory runs out.  "
    "[default: by the size of the images]",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Processes that read images ahead.  [default: some for folders, else 0]",
)
@device_option
@results_option
@click.option(
    "--overwrite",
    type=click.Choice(["missing", "stale", "always"]),
    default="missing",
    show_default=True,
    help="missing: compute absent cells. stale: also remove outdated ones. always: "
    "recompute everything.",
)
@click.option(
    "--plots/--no-plots",
    default=True,
    show_default=True,
    help="Whether to draw pictures into `plots` next to the results.",
)
def run(
    models: tuple[str, ...],
    inside: str | None,
    outside: tuple[str, ...],
    detectors: tuple[str, ...],
    fit: str | None,
    checkpoint: Mapping[str, Any],
    size: str | None,
    limit: int | None,
    precision: Precision,
    input_noise: float,
    skip_unreadable: bool,
    batch_size: int | None,
    workers: int | None,
    device: str,
    results: Path,
    overwrite: Overwrite,
    plots: bool,
) -> None:
    """Scores models on pairs of sets by detectors.

    Scores that are stored already are not computed again. Without options it runs the
    bundled models on the bundled digits.

    \b
    oodbench run --model jem.pt --in cifar10 --out svhn,cifar100
    oodbench run --model net.pth --arch nets.py:resnet20 --mean .49,.48,.45 \\
        --std .25,.24,.26 --in cifar10 --out far=folder:photos,near=cifar100
    """
    from oodbench.data.spec import split_specs
    from oodbench.runs import run as runs

    # Absolute from the start, since code of a plug-in may change the current folder.
    pictures = results.absolute().parent / "plots" if plots else None
    with Progress() as progress:
        result = runs.run(
            models=model_names(models) or runs.MODELS,
            inside=inside or runs.INSIDE,
            out=split_specs(outside) or None,
            detectors=split_commas(detectors) or runs.DETECTORS,
            fit=fit,
            limit=limit,
            size=height_and_width(size),
            checkpoint=checkpoint,
            precision=precision,
            input_noise=input_noise,
            skip_unreadable=skip_unreadable,
            batch_size=batch_size,
            workers=workers,
            device=device,
            results=results,
            overwrite=overwrite,
            quiet=True,
            watch=progress,
        )
    if result.is_first:
        _show(result, pictures)
    if result.failed:
        raise SystemExit(SOME_CELLS_FAILED)


def _show(result: RunResult, pictures: Path | None) -> None:
    found = result.opened()
    show.print_tables(found.measured, format_="terminal")
    for line in result.summary():
        click.echo(line, err=True)
    if pictures is not None and found.measured:
        from oodbench.output.plots.draw import plot

        show.print_written(plot(found, to=pictures))
