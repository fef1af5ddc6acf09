"""Options that several commands share, and the values of their texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.errors import InputError
from oodbench.base.names import listed
from oodbench.base.names import split_commas as split_commas
from oodbench.networks import architectures

if TYPE_CHECKING:
    from oodbench.data.dataset import Dataset
    from oodbench.networks.network import Network

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="auto takes a GPU where there is one.",
)

models_option = click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL,…",
    help="Files or bundled names; NAME replaces a file's name in tables.  "
    "[default: jem-digits,ce-digits]",
)
inside_option = click.option(
    "--in",
    "inside",
    metavar="SET",
    help="The in-distribution set.  [default: digits:0-7]",
)
size_option = click.option(
    "--size",
    metavar="N or HxW",
    help="Size of the images that the network takes.  [default: size of --in]",
)

results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results/runs"),
    show_default=True,
    help="Folder of the stored scores.",
)
results_argument = click.argument(
    "results", type=click.Path(path_type=Path), default=Path("results/runs")
)

_CHECKPOINT_OPTIONS = (
    click.option(
        "--arch",
        metavar="NAME",
        help=f"Builds the network of a checkpoint: {', '.join(architectures.names())}, "
        "package.module:factory or file.py:factory. The last two run the user's code.",
    ),
    click.option(
        "--arg",
        "arch_args",
        multiple=True,
        metavar="KEY=VALUE",
        help="Argument of the factory.",
    ),
    click.option(
        "--weights",
        metavar="KEY",
        help="Which weights of a checkpoint to take: ema, model, a key, or the "
        "beginning of their names.  [default: averaged ones where it has them]",
    ),
    click.option("--mean", metavar="R,G,B", help="Normalisation of pixels in [0, 1]."),
    click.option("--std", metavar="R,G,B", help="Normalisation of pixels in [0, 1]."),
    click.option(
        "--norm",
        type=click.Choice(["none", "batch", "instance", "layer", "act"]),
        help="Norm of a JEM's WideResNet, where the checkpoint does not show it.",
    ),
    click.option(
        "--uncond/--cond",
        "unconditional",
        default=None,
        help="Whether a JEM's log p(x) has its own head.  [default: inferred]",
    ),
)


def checkpoint_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that describe a checkpoint.

    The command gets them as `checkpoint`, the keywords of `load_network`.
    """

    @wraps(command)
    def wrapped(
        *,
        arch: str | None,
        arch_args: tuple[str, ...],
        weights: str | None,
        mean: str | None,
        std: str | None,
        norm: str | None,
        unconditional: bool | None,
        **others: Any,
    ) -> None:
        checkpoint = {
            "arch": arch,
            "arch_args": settings(arch_args),
            "weights": weights,
            "mean": numbers("--mean", mean),
            "std": numbers("--std", std),
            "norm": norm,
            "unconditional": unconditional,
        }
        command(checkpoint=checkpoint, **others)

    for option in reversed(_CHECKPOINT_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def settings(values: Iterable[str]) -> dict[str, str]:
    """Returns `KEY=VALUE` texts as a mapping."""
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise InputError(f"--arg {key}{equals} sets nothing; write KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Returns the numbers of a comma list; None for None."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{option} must be numbers separated by commas, not {text!r}."
        ) from None


def networks(
    models: Iterable[str],
    inside: Dataset,
    checkpoint: Mapping[str, Any],
    size: str | None = None,
) -> Iterator[Network]:
    """Yields the networks that --model names, the bundled ones where it names none.

    Args:
        models: As the command line gives them.
        inside: Its images give their size where a checkpoint and `size` do not.
        checkpoint: What `checkpoint_options` gives.
        size: The value of --size.
    """
    from oodbench.data.image_set import native_shape
    from oodbench.networks.load import as_network
    from oodbench.runs.run import MODELS

    shape = native_shape(inside, height_and_width(size))
    for model in model_names(models) or MODELS:
        yield as_network(model, shape=shape, **checkpoint)


def model_names(values: Iterable[str]) -> list[str]:
    """Returns the models of all --model options; a file's name may have a comma."""
    return [name for value in values for name in listed(value)]


def height_and_width(text: str | None) -> tuple[int, int] | None:
    """Returns height and width of `N` or `HxW`; None for None."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if match is None:
        raise InputError(f"--size must be N or HxW in pixels, not {text!r}.")
    return int(match[1]), int(match[2] or match[1])
