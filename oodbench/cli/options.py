"""Options that several commands share, and the values of their texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from oodbench.base.defaults import INSIDE, MODELS, RESULTS
from oodbench.base.errors import InputError
from oodbench.base.names import listed
from oodbench.base.names import split_commas as split_commas
from oodbench.cli.imports import without_collection
from oodbench.networks import architectures
from oodbench.networks.normalisation import NORMALISATIONS

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto takes a GPU where there is one.",
)


def _models(_: click.Context, __: click.Parameter, texts: Sequence[str]) -> list[str]:
    # Not split_commas, since a file's name may have a comma.
    names = [name for text in texts for name in listed(text)]
    if not names:
        raise InputError("--model names no model; leave it out for the bundled ones.")
    return names


def _size(
    _: click.Context, __: click.Parameter, text: str | None
) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if match is None:
        raise InputError(f"--size must be N or HxW in pixels, not {text!r}.")
    return int(match[1]), int(match[2] or match[1])


def comma_list(
    _: click.Context, __: click.Parameter, texts: Sequence[str]
) -> list[str]:
    """Returns the parts of all comma lists."""
    return split_commas(texts)


def set_list(_: click.Context, __: click.Parameter, texts: Sequence[str]) -> list[str]:
    """Returns the sets of all comma lists; a set may have a comma in its parameters."""
    with without_collection():
        from oodbench.data.spec import split_specs  # imports torch

    return split_specs(texts)


models_option = click.option(
    "--model",
    "models",
    multiple=True,
    callback=_models,
    default=[",".join(MODELS)],
    show_default=True,
    metavar="[NAME=]MODEL,…",
    help="Files or bundled names; NAME replaces a file's name in tables, and + joins "
    "the members of an ensemble.",
)
inside_option = click.option(
    "--in",
    "inside",
    default=INSIDE,
    show_default=True,
    metavar="SET",
    help="The in-distribution set.",
)
size_option = click.option(
    "--size",
    callback=_size,
    metavar="N or HxW",
    help="Size of the images that a file's network takes, where neither the file nor "
    "its library fixes it.  [default: size of --in]",
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Take only N images of each split, for a quick trial.",
)
batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Images per pass; halved when memory runs out.  "
    "[default: by the size of the images]",
)

results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=RESULTS,
    show_default=True,
    help="Folder of the stored scores.",
)
results_argument = click.argument(
    "results", type=click.Path(path_type=Path), default=RESULTS
)


def _kinds(
    _: click.Context, __: click.Parameter, texts: Sequence[str]
) -> dict[str, list[str]]:
    pairs = [text.partition("=") for text in texts]
    kinds = {kind: split_commas([names]) for kind, _, names in pairs}
    if len(kinds) < len(pairs) or not all(kind and kinds[kind] for kind in kinds):
        raise InputError(
            f"--group must be KIND=MODEL,MODEL with a kind of its own, not "
            f"{' '.join(texts)!r}."
        )
    return kinds


kinds_option = click.option(
    "--group",
    "kinds",
    multiple=True,
    callback=_kinds,
    metavar="KIND=MODEL,…",
    help="Models of one kind that differ in their seed, in the order of seeds, as "
    "jem=jem-0,jem-1 or jem=jem-*.",
)
decimals_option = click.option(
    "--decimals",
    type=click.IntRange(0, 10),
    default=2,
    show_default=True,
    help="Digits behind the point of numbers in %.",
)
_SELECTION_OPTIONS = (
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME,…",
        help="Take only these models; * stands for any text.",
    ),
    click.option(
        "--detectors",
        multiple=True,
        metavar="NAME,…",
        help="Take only these detectors, as in msp,react*.",
    ),
    click.option(
        "--out", multiple=True, metavar="SET,…", help="Take only these OOD sets."
    ),
    click.option(
        "--role",
        "roles",
        multiple=True,
        metavar="ROLE,…",
        help="Take only sets of these roles, as in near,far.",
    ),
)
_CHECKPOINT_OPTIONS = (
    click.option(
        "--arch",
        metavar="NAME",
        help="Builds a network that is not recognised: "
        f"{', '.join(architectures.names())}, timm:NAME, openclip:NAME, "
        "package.module:factory or file.py:factory. The last two run the user's code.",
    ),
    click.option(
        "--arg",
        "arch_args",
        multiple=True,
        metavar="KEY=VALUE",
        help="Argument of what --arch names, such as depth=28.",
    ),
    click.option(
        "--weights",
        metavar="KEY",
        help="Which weights of a checkpoint to take: ema, model, a key, or the "
        "beginning of their names.  [default: averaged ones where it has them]",
    ),
    click.option(
        "--mean",
        metavar="R,G,B or NAME",
        help="Mean of pixels in [0, 1], to normalise them; a name sets --std as well: "
        f"{', '.join(NORMALISATIONS)}.  [default: usual for the architecture]",
    ),
    click.option(
        "--std", metavar="R,G,B or NAME", help="Standard deviation, likewise."
    ),
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
    click.option(
        "--head",
        default="",
        metavar="LAYER",
        help="The layer whose input is the features, such as classifier.0.  "
        "[default: the linear layer whose output is the logits]",
    ),
    click.option(
        "--blocks",
        multiple=True,
        callback=comma_list,
        metavar="LAYER,…",
        help="The layers whose feature maps detectors read.  "
        "[default: the last one of each size of map]",
    ),
)


def checkpoint_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that describe a checkpoint.

    The command gets them as `checkpoint`, the keywords of `as_network`.
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
        head: str,
        blocks: list[str],
        **others: Any,
    ) -> None:
        checkpoint = {
            "arch": arch,
            "arch_args": settings(arch_args),
            "weights": weights,
            "mean": _numbers_or_name("--mean", mean),
            "std": _numbers_or_name("--std", std),
            "norm": norm,
            "unconditional": unconditional,
            "head": head,
            "blocks": blocks,
        }
        command(checkpoint=checkpoint, **others)

    for option in reversed(_CHECKPOINT_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that select stored results.

    The command gets what is selected in the folder as `found`, open.
    """

    @wraps(command)
    def wrapped(
        *,
        results: Path,
        models: tuple[str, ...],
        detectors: tuple[str, ...],
        out: tuple[str, ...],
        roles: tuple[str, ...],
        **others: Any,
    ) -> None:
        from oodbench.results.selection import select

        found = select(
            results, models=models, detectors=detectors, out=out, roles=roles
        )
        command(found=found, **others)

    for option in reversed(_SELECTION_OPTIONS):
        wrapped = option(wrapped)
    return results_argument(wrapped)


def settings(values: Iterable[str]) -> dict[str, str]:
    """Returns `KEY=VALUE` texts as a mapping."""
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise InputError(f"--arg {key}{equals} sets nothing; write KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def _numbers_or_name(option: str, text: str | None) -> tuple[float, ...] | str | None:
    is_name = text is not None and text[:1].isalpha() and "," not in text
    return text if is_name else numbers(option, text)


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
