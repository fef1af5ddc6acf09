"""`oodbench import`."""

from __future__ import annotations

from pathlib import Path

import click

from oodbench.cli import show
from oodbench.cli.options import comma_list, results_option


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@results_option
@click.option("--model", default="", help="Name of the model.  [default: the file's]")
@click.option("--seed", default="", help="Seed of the model's training.")
@click.option("--detector", default="", help="Name of the detector.")
@click.option("--in", "inside", default="", help="Name of the in-distribution set.")
@click.option(
    "--near",
    multiple=True,
    callback=comma_list,
    metavar="SET,…",
    help="Sets of the file that are near OOD.",
)
@click.option(
    "--far",
    multiple=True,
    callback=comma_list,
    metavar="SET,…",
    help="Sets of the file that are far OOD.",
)
@click.option("--higher-is-ood", is_flag=True, help="A higher score means OOD.")
def import_(
    files: tuple[Path, ...],
    results: Path,
    model: str,
    seed: str,
    detector: str,
    inside: str,
    near: list[str],
    far: list[str],
    higher_is_ood: bool,
) -> None:
    """Stores scores that another program computed.

    They are marked as imported. A file is .npz or .csv, or a folder that OpenOOD's
    save_scores wrote; see docs/results.md. No pickle is read.

    \b
    oodbench import scores.csv
    oodbench import seed0.npz --detector scale --model resnet18 --seed 0 --in cifar10
    oodbench import scores/ --detector react --in cifar10 --near cifar100 --far svhn
    """
    from oodbench.results.exchange.imports import import_scores

    for file in files:
        cells, warnings = import_scores(
            file,
            results=results,
            model=model,
            seed=seed,
            detector=detector,
            inside=inside,
            near=near,
            far=far,
            higher_is_ood=higher_is_ood,
        )
        show.print_notes(f"Warning: {each}" for each in warnings)
        click.echo(f"{file}: {cells} score files stored in {results}.", err=True)
