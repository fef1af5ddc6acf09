"""Options that several commands share, and what turns their texts into values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.errors import InputError

if TYPE_CHECKING:
    from oodbench.data.dataset import Dataset
    from oodbench.networks.network import Network

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
)

models_option = click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL,…",
    help="Files or bundled names.  [default: jem-digits,ce-digits]",
)
inside_option = click.option(
    "--in", "inside", metavar="SET", help="[default: digits:0-7]"
)
size_option = click.option(
    "--size",
    metavar="N or HxW",
    help="Images that the network takes.  [default: those of --in]",
)

results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results/runs"),
    show_default=True,
    help="Folder that scores are stored in.",
)
results_argument = click.argument(
    "results", type=click.Path(path_type=Path), default=Path("results/runs")
)

_CHECKPOINT_OPTIONS = (
    click.option(
        "--arch",
        metavar="MODULE:FACTORY",
        help="Builds the network of a checkpoint: package.module:factory or "
        "file.py:factory. This runs their code.",
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
        help="Norm of a JEM's WideResNet where the checkpoint cannot tell.",
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

    The command gets them as `checkpoint`, the keywords of `loading.load_network`.
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


def split_commas(values: Iterable[str]) -> list[str]:
    """Returns the parts of comma lists, in order, without the empty ones."""
    parts = (part.strip() for value in values for part in value.split(","))
    return [part for part in parts if part]


def settings(values: Iterable[str]) -> dict[str, str]:
    """Returns `KEY=VALUE` texts as a mapping."""
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise InputError(f"--arg {key}{equals} sets nothing; write KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Returns a comma list of numbers; None for none."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{option} must be numbers with commas between, not {text!r}."
        ) from None


def networks(
    models: Iterable[str],
    inside: Dataset,
    checkpoint: Mapping[str, Any],
    size: str | None = None,
) -> Iterator[Network]:
    """Yields the networks that --model names, the bundled ones where it names none.

    Args:
        models: As the command line gives them, commas and all.
        inside: Whose images give their size where a checkpoint and `size` do not.
        checkpoint: What `checkpoint_options` gives.
        size: What --size says.
    """
    from oodbench.data.dataset import Shape
    from oodbench.data.image_set import native_shape
    from oodbench.networks.load import load_network
    from oodbench.runs.run import MODELS

    shape, sides = native_shape(inside), height_and_width(size)
    if sides is not None:
        shape = Shape(shape.channels, *sides)
    for model in split_commas(models) or MODELS:
        yield load_network(model, shape=shape, **checkpoint)


def height_and_width(text: str | None) -> tuple[int, int] | None:
    """Returns `N` or `HxW` as two sides; None for none."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if match is None:
        raise InputError(f"--size must be N or HxW in pixels, not {text!r}.")
    return int(match[1]), int(match[2] or match[1])
