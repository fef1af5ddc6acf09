"""`oodbench attack`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oodbench.base.errors import InputError
from oodbench.base.text import printable
from oodbench.cli import show
from oodbench.cli.options import (
    checkpoint_options,
    device_option,
    inside_option,
    models_option,
    networks,
    size_option,
    split_commas,
)
from oodbench.cli.progress import Progress

if TYPE_CHECKING:
    from oodbench.attacks.ball import Norm
    from oodbench.attacks.plan import Attacked, Plan


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
    help="That measures how far an image is moved.",
)
@click.option(
    "--eps",
    multiple=True,
    metavar="EPS,…",
    help="How far, pixels in [0, 1], as in 8/255 or 0.5.  [default: 1,2,4,8,16 /255 in "
    "linf, 0.25,0.5,1,2 in l2]",
)
@click.option("--steps", type=click.IntRange(1), default=40, show_default=True)
@click.option(
    "--restarts",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Random starts of PGD; the strongest counts.",
)
@click.option(
    "--black-box",
    "queries",
    type=click.IntRange(0),
    default=500,
    show_default=True,
    metavar="QUERIES",
    help="Of the square attack, which shows whether gradients are masked; 0 for none.",
)
@click.option(
    "--auto-attack",
    is_flag=True,
    help="AutoAttack on the classifier too; needs oodbench[autoattack].",
)
@click.option(
    "--refine",
    default="",
    metavar="K,…",
    help="Also attacks refined-K, the paper's JEM-K: the model with K steps of SGLD in "
    "front, as in 0,1,10. It takes some 20 · K times as long as the classifier.",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Draws of a refining JEM's noise for one gradient.",
)
@click.option(
    "--out",
    "outside",
    multiple=True,
    metavar="[ROLE=]SET,…",
    help="Sets whose images are attacked to pass for in-distribution.",
)
@click.option(
    "--detectors",
    multiple=True,
    metavar="NAME,…",
    help="Whose scores are attacked.  [default: the built-in ones that see logits]",
)
@click.option(
    "--images",
    "count",
    type=click.IntRange(1),
    metavar="N",
    help="Attack only N images of each set, drawn by the seed.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Halved when memory runs out.  [default: by the size of the images]",
)
@device_option
@click.option("--save", is_flag=True, help="Write the adversarial images too.")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/attacks"),
    show_default=True,
    help="Where the numbers and pictures go.",
)
def attack(
    models: tuple[str, ...],
    inside: str | None,
    checkpoint: Mapping[str, Any],
    size: str | None,
    attack_norm: Norm,
    eps: tuple[str, ...],
    steps: int,
    restarts: int,
    queries: int,
    auto_attack: bool,
    refine: str,
    samples: int,
    outside: tuple[str, ...],
    detectors: tuple[str, ...],
    count: int | None,
    seed: int,
    batch_size: int | None,
    device: str,
    save: bool,
    folder: Path,
) -> None:
    """Attacks models: accuracy, and detectors' AUROC, in the worst case within eps.

    \b
    oodbench attack --refine 0,1,10
    oodbench attack --model jem.pt --in cifar10 --eps 8/255 --out svhn --images 500
    """
    from oodbench.attacks.methods.auto_attack import AutoAttack
    from oodbench.attacks.methods.pgd import PGD
    from oodbench.attacks.methods.square import Square
    from oodbench.attacks.plan import DETECTORS, Plan
    from oodbench.attacks.suite import Suite
    from oodbench.data.spec import open_dataset
    from oodbench.networks.hardware import pick_device
    from oodbench.runs import run

    place, inset = pick_device(device), open_dataset(inside or run.INSIDE)
    suite = Suite(
        norm=attack_norm,
        eps=_radii(eps),
        pgd=PGD(steps, restarts=restarts),
        square=Square(queries) if queries else None,
        auto=AutoAttack() if auto_attack else None,
        samples=samples,
        seed=seed,
        batch_size=batch_size,
    )
    names = split_commas(outside)
    if detectors and not names:
        raise InputError("--detectors is for --out, and there is no --out.")
    attacked = list(networks(models, inset, checkpoint, size))
    with Progress() as progress:
        plan = Plan(
            inside=inset,
            out=[open_dataset(name).beside(inset) for name in names],
            suite=suite,
            refine=_refinements(refine),
            detectors=split_commas(detectors) or DETECTORS,
            count=count,
            keeps_images=save,
            watch=progress.watch,
        )
        found = [plan.attack(network.to(place)) for network in attacked]
    for one in found:
        _print(one, attack_norm)
    _write(plan, found, folder)


def _radii(texts: Iterable[str]) -> tuple[float, ...]:
    try:
        return tuple(float(Fraction(text)) for text in split_commas(texts))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(
            "--eps must be numbers or fractions with commas between, as in "
            f"2/255,8/255, not {','.join(texts)!r}."
        ) from None


def _refinements(text: str) -> tuple[int, ...]:
    steps = split_commas([text])
    if not all(each.isdecimal() for each in steps):
        raise InputError(
            f"--refine must be numbers of steps with commas between, not {text!r}."
        )
    return tuple(dict.fromkeys(map(int, steps)))


def _print(one: Attacked, norm: Norm) -> None:
    from oodbench.attacks.record import accuracy_rows, auroc_rows

    model, inside = one.model["name"], one.inside["name"]
    if one.robustness:
        title = f"Accuracy of {model} on {inside} under attack, in %."
        show.print_listing(title, *accuracy_rows(one, norm))
    if one.worst_cases:
        title = f"AUROC of {model}, {inside} against attacked OOD images, in %."
        show.print_listing(title, *auroc_rows(one, norm))
    if notes := one.notes():
        click.echo("".join(f"- {printable(note)}\n" for note in notes))


def _write(plan: Plan, found: Sequence[Attacked], folder: Path) -> None:
    from oodbench.attacks import curves, record
    from oodbench.output.plots.draw import save

    path = record.write(plan, found, folder)
    if drawn := [one for one in found if one.robustness]:
        images = drawn[0].robustness[0].images
        title = f"Robust accuracy on {plan.inside.name}, {images} images"
        figure = curves.robustness_curves(title, plan.suite.norm, drawn)
        save(figure, path.with_suffix(""))
    click.echo(f"Written to {path}.", err=True)
