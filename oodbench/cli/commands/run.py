"""`oodbench run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.text import printable
from oodbench.cli import show
from oodbench.cli.options import (
    checkpoint_options,
    device_option,
    inside_option,
    models_option,
    networks,
    results_option,
    size_option,
    split_commas,
)
from oodbench.cli.progress import Progress

if TYPE_CHECKING:
    from oodbench.networks.network import Precision
    from oodbench.runs.cells import Finished, Overwrite

SOME_CELLS_FAILED = 1


@click.command()
@models_option
@inside_option
@click.option(
    "--out",
    "outside",
    multiple=True,
    metavar="[ROLE=]SET,…",
    help="Sets to tell from it; ROLE is near, far, covariate or probe.  "
    "[default: those that need no download]",
)
@click.option(
    "--detectors",
    multiple=True,
    metavar="NAME,…",
    help="With parameters as in energy:temperature=2; all for every one installed.  "
    "[default: the built-in ones]",
)
@click.option(
    "--fit", metavar="SET", help="Where detectors are fitted.  [default: --in]"
)
@checkpoint_options
@size_option
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Take N images of each set, to try things out.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Of the network; scores are computed from float32 either way.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Halved when memory runs out.  [default: by the size of the images]",
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
    help="missing computes what is not there, stale also removes what became stale "
    "(see `oodbench list runs`), always computes everything.",
)
@click.option("--plots/--no-plots", default=True, show_default=True)
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
    batch_size: int | None,
    workers: int | None,
    device: str,
    results: Path,
    overwrite: Overwrite,
    plots: bool,
) -> None:
    """Scores models on pairs of sets by detectors.

    What an earlier run stored is not computed again. Without any option: the bundled
    models on the bundled digits.

    \b
    oodbench run --model jem.pt --in cifar10 --out svhn,cifar100
    oodbench run --model net.pth --arch nets.py:resnet20 --mean .49,.48,.45 \\
        --std .25,.24,.26 --in cifar10 --out far=folder:photos,near=cifar100
    """
    from oodbench.base import registry
    from oodbench.data.spec import open_dataset
    from oodbench.runs import run as benchmark

    inside = inside or benchmark.INSIDE
    names = split_commas(detectors)
    with Progress() as progress:
        finished = benchmark.run(
            models=networks(models, open_dataset(inside), checkpoint, size),
            inside=inside,
            out=split_commas(outside) or None,
            detectors=registry.names("detectors")
            if names == ["all"]
            else names or benchmark.DETECTORS,
            fit=fit,
            limit=limit,
            precision=precision,
            batch_size=batch_size,
            workers=workers,
            device=device,
            results=results,
            overwrite=overwrite,
            watch=progress.watch,
        )
    if finished.is_told:
        _show(finished, results, plots)
    if finished.failed:
        raise SystemExit(SOME_CELLS_FAILED)


def _show(finished: Finished, results: Path, plots: bool) -> None:
    from oodbench.results.opened import of_sets

    found = of_sets(finished.sets, finished.methods, results)
    show.print_tables(found.measured, format_="terminal")
    _tell("Skipped", finished.skipped)
    _tell("Failed", finished.failed)
    click.echo(
        f"{finished.computed} score files computed, {finished.reused} reused, "
        f"{finished.removed} stale ones removed, in {results}.",
        err=True,
    )
    if plots:
        from oodbench.output.plots.draw import plot

        show.print_written(plot(found))


def _tell(what: str, reasons: Mapping[str, str]) -> None:
    """Says what befell whom, those with one reason together."""
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name, own in reasons.items() if own == reason)
        click.echo(printable(f"{what}: {names}: {reason}."), err=True)
