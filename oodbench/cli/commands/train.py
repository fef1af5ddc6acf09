"""`oodbench train`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.errors import InputError
from oodbench.cli.options import (
    device_option,
    height_and_width,
    settings,
    size_option,
)
from oodbench.cli.progress import Progress
from oodbench.cli.recipe_options import recipe_options

if TYPE_CHECKING:
    from oodbench.jem.training.recipe import Recipe

INSIDE, ARCH = "digits:0-7", "mlp"


@click.command()
@click.option("--in", "inside", metavar="SET", help=f"[default: {INSIDE}]")
@click.option(
    "--test", metavar="SET", help="Measures accuracy on it.  [default: --in's own]"
)
@click.option(
    "--to",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for checkpoint, log and pictures of chains.",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the weights go, alone and with a card beside them.  "
    "[default: in the folder, with its name]",
)
@click.option(
    "--arch",
    metavar="NAME or MODULE:FACTORY",
    help=f"mlp, cnn, jem_wrn, or what builds another.  [default: {ARCH}]",
)
@click.option(
    "--arg",
    "arch_args",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of the network, as hidden=256,256 or depth=28.",
)
@size_option
@recipe_options
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after so many; the same command goes on there.",
)
@click.option(
    "--overwrite", is_flag=True, help="Begin anew, whatever is in the folder."
)
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Compiles the gradient of log p(x); pays on a GPU.",
)
@click.option("--tensorboard", is_flag=True, help="Writes for TensorBoard, too.")
@click.option("--note", default="", help="A word for the card: why this recipe, say.")
@device_option
def train(
    inside: str | None,
    test: str | None,
    folder: Path,
    export: Path | None,
    arch: str | None,
    arch_args: tuple[str, ...],
    size: str | None,
    recipe: Recipe,
    card: Mapping[str, Any],
    minutes: float | None,
    overwrite: bool,
    compiled: bool,
    tensorboard: bool,
    note: str,
    device: str,
) -> None:
    """Trains a classifier, plain or as a joint energy-based model (JEM).

    The same command again goes on from the folder's checkpoint.

    \b
    oodbench train --in digits:0-7 --to my-jem
    oodbench run --model my-jem/my-jem.safetensors
    oodbench train --in cifar10 --to jem --recipe jem-paper --arch jem_wrn \\
        --arg depth=28 --arg width=10
    torchrun --nproc-per-node 4 --no-python oodbench train --in cifar10 …
    """
    export = export or folder / f"{folder.resolve().name}.safetensors"

    from oodbench.base.processes import is_first_process
    from oodbench.jem.training.export import check_export
    from oodbench.jem.training.run import train as train_

    check_export(export)

    network = _network(arch, arch_args, card)
    with Progress() as progress:
        trained = train_(
            inside or (card["trained_on"]["spec"] if card else INSIDE),
            recipe,
            **network,
            test=test,
            size=height_and_width(size),
            folder=folder,
            overwrite=overwrite,
            minutes=minutes,
            device=device,
            compiled=compiled,
            board=tensorboard,
            command=shlex.join(["oodbench", *sys.argv[1:]]),
            note=note,
            watch=progress.watch,
        )
    if not is_first_process():
        return
    if trained is None:
        click.echo(f"Time is up. The same command goes on from {folder}.", err=True)
        return
    trained.write(export)
    measured = trained.card["accuracy"].items()
    told = ", ".join(f"{value:.4f} on {stage}" for stage, value in measured)
    click.echo(f"{export}: accuracy {told or 'not measured'}.")


def _network(
    arch: str | None, arch_args: tuple[str, ...], card: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what builds the network: the options, else the card, else the default."""
    given = settings(arch_args)
    if arch is not None or not card:
        return {"arch": arch or ARCH, "arch_args": given}
    known = dict(card["architecture"])
    if "name" not in known:
        raise InputError(
            f"The card's network is built by {known.get('factory')}; say so with "
            "--arch and --arg."
        )
    told = {"name", "inputs", "channels", "classes"}
    texts = {k: _text(v) for k, v in known.items() if k not in told}
    return {"arch": str(known["name"]), "arch_args": {**texts, **given}}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) + ","
    return str(value)
