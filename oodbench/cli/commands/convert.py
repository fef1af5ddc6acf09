"""`oodbench convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oodbench.base.errors import InputError
from oodbench.base.names import split_commas
from oodbench.cli.options import checkpoint_options, size_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The new file: .safetensors with a card, inside and beside it as JSON; .onnx "
    "or .pt2, a program from pixels in [0, 1] to logits and features.",
)
@click.option(
    "--detector",
    metavar="NAME",
    help="With .onnx and .pt2: scores in place of features, of a detector that reads "
    "logits alone, such as energy.",
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
    detector: str | None,
    class_names: str,
    source: str,
    licence: str,
    size: tuple[int, int] | None,
    checkpoint: dict[str, Any],
) -> None:
    """Writes a checkpoint to safetensors with a card, or to ONNX.

    The card says what builds the network and how images are normalised, so that other
    commands need no options for it. Averaged weights, wrappers and training state are
    left out. ONNX and .pt2 normalise inside, and need onnxruntime or torch alone.

    \b
    oodbench convert resnet20.th --to resnet20.safetensors --licence BSD-2-Clause
    oodbench run --model resnet20.safetensors --in cifar10 --out svhn
    oodbench convert resnet20.th --size 32 --detector energy --to energy.onnx
    """
    names = split_commas([class_names])
    about = {"source": source, "licence": licence}
    if to.suffix in (".onnx", ".pt2"):
        made = _export(file, to, detector, names, about, size=size, **checkpoint)
        click.echo(f"{to}: pixels in [0, 1] to {', '.join(made)}.")
        return
    if detector is not None:
        raise InputError("--detector is for files that end in .onnx or .pt2.")
    from oodbench.networks.convert import convert as convert_

    written = convert_(file, to, class_names=names, size=size, **about, **checkpoint)
    architecture = written["architecture"]
    name = architecture.get("name") or architecture["factory"]
    click.echo(f"{to}: {name}, {'x'.join(map(str, written['shape']))}, with its card.")


def _export(
    file: Path,
    to: Path,
    detector: str | None,
    names: list[str],
    about: dict[str, str],
    **checkpoint: Any,
) -> tuple[str, ...]:
    """Writes a program; returns the names of its outputs."""
    from oodbench.networks.load import as_network
    from oodbench.scoring.exported import export
    from oodbench.scoring.program import check_reads_logits
    from oodbench.scoring.spec import open_detector

    network = as_network(str(file), **checkpoint)
    network.class_names = tuple(names) or network.class_names
    if detector is None:
        return export(network, to, card=about)
    entry = open_detector(detector)
    check_reads_logits(entry.detector)
    if entry.detector.fitted_on:
        raise InputError(
            f"{detector} is fitted; make a threshold of it, and write that by "
            "oodbench.Scorer.load(FILE).export."
        )
    return export(network, to, entry.detector, card={**about, "detector": entry.label})
