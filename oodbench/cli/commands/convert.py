"""`oodbench convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oodbench.base.names import split_commas
from oodbench.cli.options import checkpoint_options, size_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.safetensors",
    help="The new file; its card is inside, and beside it as JSON.",
)
@click.option(
    "--class-names",
    metavar="NAME,…",
    help="Class names, in the logits' order.",
    default="",
)
@click.option("--source", default="", help="Where the weights come from, for the card.")
@click.option("--licence", default="", help="Licence of the weights, for the card.")
@size_option
@checkpoint_options
def convert(
    file: Path,
    to: Path,
    class_names: str,
    source: str,
    licence: str,
    size: tuple[int, int] | None,
    checkpoint: dict[str, Any],
) -> None:
    """Writes a checkpoint to safetensors with a card.

    The card says what builds the network and how images are normalised, so that other
    commands need no options for it. Averaged weights, wrappers and training state are
    left out.

    \b
    oodbench convert resnet20.th --to resnet20.safetensors --licence BSD-2-Clause
    oodbench run --model resnet20.safetensors --in cifar10 --out svhn
    """
    from oodbench.networks.convert import convert as convert_

    written = convert_(
        file,
        to,
        class_names=split_commas([class_names]),
        source=source,
        licence=licence,
        size=size,
        **checkpoint,
    )
    architecture = written["architecture"]
    name = architecture.get("name") or architecture["factory"]
    click.echo(f"{to}: {name}, {'x'.join(map(str, written['shape']))}, with its card.")
