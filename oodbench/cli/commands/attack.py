"""`oodbench attack`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.errors import InputError
from oodbench.base.progress import Progress
from oodbench.base.text import printable
from oodbench.cli import show
from oodbench.cli.options import (
    checkpoint_options,
    comma_list,
    device_option,
    inside_option,
    models_option,
    set_list,
    size_option,
    split_commas,
)

if TYPE_CHECKING:
    from oodbench.attacks.ball import Norm
    from oodbench.attacks.record import Attacked


def _radii(_: click.Context, __: click.Parameter, texts: Sequence[str]) -> list[float]:
    try:
        return [float(Fraction(text)) for text in split_commas(texts)]
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(
            "--eps must be numbers or fractions, separated by commas, as in "
            f"2/255,8/255, not {','.join(texts)!r}."
        ) from None


def _steps(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    steps = split_commas([text])
    if not all(each.isdecimal() for each in steps):
        raise InputError(
            f"--refine must be numbers of steps, separated by commas, not {text!r}."
        )
    return list(map(int, steps))


@click.command()
@models_option
@inside_option
@checkpoint_options
@size_option
@click.option(
    "--attack-norm",
    type=click.Choice(["linf", "l2"]),
    default="linf",
    show_default=True,
    help="Norm that measures how far an image is moved.",
)
@click.option(
    "--eps",
    multiple=True,
    callback=_radii,
    metavar="EPS,…",
    help="Largest distances, pixels in [0, 1], as in 8/255 or 0.5.  [default: "
    "1,2,4,8,16 /255 in linf, 0.25,0.5,1,2 in l2]",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=40,
    show_default=True,
    help="Steps of PGD.",
)
@click.option(
    "--restarts",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Random starts of PGD; the strongest counts.",
)
@click.option(
    "--black-box",
    type=click.IntRange(0),
    default=500,
    show_default=True,
    metavar="QUERIES",
    help="Queries of the square attack per image; 0 for no such attack. It shows "
    "whether gradients are masked.",
)
@click.option(
    "--auto-attack",
    is_flag=True,
    help="Also run AutoAttack on the classifier; needs oodbench[autoattack].",
)
@click.option(
    "--refine",
    default="",
    callback=_steps,
    metavar="K,…",
    help="Also attack refined-K, the paper's JEM-K: K steps of SGLD before the model, "
    "as in 0,1,10. It takes about 20 · K times as long as the classifier.",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Noise samples per gradient of a refining JEM.",
)
@click.option(
    "--out",
    multiple=True,
    callback=set_list,
    metavar="[ROLE=]SET,…",
    help="Sets whose images are attacked to score as in-distribution.",
)
@click.option(
    "--detectors",
    multiple=True,
    callback=comma_list,
    metavar="NAME,…",
    help="Detectors to attack.  [default: the built-in ones that see logits]",
)
@click.option(
    "--images",
    type=click.IntRange(1),
    metavar="N",
    help="Attack only N images of each set, drawn by the seed.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of attacks."
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Images in the network at once; halved when memory runs out.  [default: by "
    "the size of the images]",
)
@device_option
@click.option("--save", is_flag=True, help="Also write the adversarial images.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/attacks"),
    show_default=True,
    help="Folder for numbers and pictures. Models whose results are already there are "
    "not attacked again.",
)
def attack(
    models: list[str],
    inside: str,
    checkpoint: Mapping[str, Any],
    size: tuple[int, int] | None,
    attack_norm: Norm,
    detectors: list[str],
    **options: Any,
) -> None:
    """Measures accuracy and AUROC under the worst attack within eps.

    Robust accuracy counts the images whose right class no attack changes. With --out,
    detectors get their AUROC in the worst case.

    \b
    oodbench attack --refine 0,1,10
    oodbench attack --model jem.pt --in cifar10 --eps 8/255 --out svhn --images 500
    """
    from oodbench.attacks.attack import attack
    from oodbench.attacks.record import record_path
    from oodbench.data.image_set import native_shape
    from oodbench.data.spec import open_dataset
    from oodbench.networks.load import as_network

    if detectors and not options["out"]:
        raise InputError("--detectors is for --out, and there is no --out.")
    if detectors:
        options["detectors"] = detectors
    inset = open_dataset(inside)
    described = {"shape": native_shape(inset), "size": size, **checkpoint}
    with Progress() as progress:
        found = attack(
            (as_network(model, **described) for model in models),
            inset,
            norm=attack_norm,
            watch=progress,
            **options,
        )
    for one in found:
        _print(one)
    keys = [one.key for one in found]
    path = record_path(options["to"], inset.name, attack_norm, keys)
    click.echo(f"Written to {path}.", err=True)


def _print(one: Attacked) -> None:
    from oodbench.attacks.record import accuracy_rows, auroc_rows

    model, inside = one.model["name"], one.inside["name"]
    if one.robust_accuracy:
        title = f"Accuracy of {model} on {inside} under attack, in %."
        show.Output().listing(title, *accuracy_rows(one))
    if one.worst_case_auroc:
        title = f"AUROC of {model}, {inside} against attacked OOD images, in %."
        show.Output().listing(title, *auroc_rows(one))
    if one.notes:
        click.echo("".join(f"- {printable(note)}\n" for note in one.notes))
