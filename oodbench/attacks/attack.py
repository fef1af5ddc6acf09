"""`oodbench.attack`: attacks models and detectors, and writes what it finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from oodbench.attacks.ball import Norm
from oodbench.attacks.methods.auto_attack import AutoAttack
from oodbench.attacks.methods.pgd import PGD
from oodbench.attacks.methods.square import Square
from oodbench.attacks.plan import DETECTORS, Plan, Task
from oodbench.attacks.record import Attacked, Journal, record_path
from oodbench.attacks.suite import Suite
from oodbench.base.defaults import INSIDE, MODELS
from oodbench.base.errors import InputError
from oodbench.base.names import listed
from oodbench.base.progress import Watch, unwatched
from oodbench.data.dataset import Dataset
from oodbench.data.image_set import native_shape
from oodbench.data.spec import open_dataset
from oodbench.networks.hardware import pick_device
from oodbench.networks.load import Model, as_network


def attack(
    models: Model | Iterable[Model] = MODELS,
    inside: str | Dataset = INSIDE,
    out: str | Dataset | Sequence[str | Dataset] = (),
    *,
    norm: Norm = "linf",
    eps: Sequence[float] = (),
    steps: int = 40,
    restarts: int = 1,
    black_box: int = 500,
    auto_attack: bool = False,
    refine: Sequence[int] = (),
    samples: int = 1,
    detectors: str | Sequence[str] = DETECTORS,
    images: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    save: bool = False,
    to: str | Path | None = None,
    watch: Watch = unwatched,
) -> list[Attacked]:
    """Returns accuracy, and detectors' AUROC, in the worst case within eps, by model.

    Args:
        models: Names of bundled models, files of recognised models, or networks.
        inside: The in-distribution set, a name such as `digits:0-7` or a `Dataset`.
        out: Sets whose images are attacked to score as in-distribution, likewise.
        norm: linf or l2.
        eps: Radii in pixels of [0, 1]; none for 1, 2, 4, 8 and 16 /255 in linf, and
            0.25, 0.5, 1 and 2 in l2. Clean images always come first.
        steps: Steps of PGD.
        restarts: Random starts of PGD.
        black_box: Queries of the square attack per image; 0 leaves it out.
        auto_attack: Also run AutoAttack on the classifier.
        refine: Numbers k of SGLD steps of the refining JEMs to attack.
        samples: Draws of a refining JEM's noise per gradient.
        detectors: Detectors to attack, with parameters as in `energy:temperature=2`.
        images: Attack only this many images of each set, drawn by the seed.
        seed: Seed of all random numbers.
        batch_size: Images in the network at once; None for a size that mostly fits.
        device: auto, cpu or cuda.
        save: Also write adversarial images, rounded to 8 bits; needs `to`.
        to: The folder to write to. Results are written after each model, and models
            whose results are already there are not attacked again. None writes nothing.
        watch: Shows the progress.

    Raises:
        InputError: A name, set, model or number is wrong, or does not fit the others.
    """
    if save and to is None:
        raise InputError("Adversarial images need a folder; give `to` with `save`.")
    place, inset = pick_device(device), open_dataset(inside)
    plan = Plan(
        inside=inset,
        out=[
            open_dataset(each).relative_to(inset) for each in dict.fromkeys(listed(out))
        ],
        suite=Suite(
            norm=norm,
            eps=_radii(eps),
            pgd=PGD(int(steps), restarts=int(restarts)),
            square=Square(int(black_box)) if black_box else None,
            auto=AutoAttack() if auto_attack else None,
            samples=int(samples),
            seed=int(seed),
            batch_size=None if batch_size is None else int(batch_size),
        ),
        refine=[int(each) for each in refine],
        detectors=listed(detectors),
        count=None if images is None else int(images),
        keeps_images=save,
        watch=watch,
    )
    # All models are opened first, so that a wrong one is found before hours of attacks.
    shape = native_shape(inset)
    opened = [as_network(model, shape=shape) for model in listed(models)]
    tasks = {task.key: task for task in (Task(plan, each) for each in opened)}
    journal = to and Journal(record_path(to, inset.name, norm, tasks))
    return _run(plan, tasks.values(), journal or None, place)


def _run(
    plan: Plan, tasks: Iterable[Task], journal: Journal | None, place: torch.device
) -> list[Attacked]:
    stored = {} if journal is None else journal.read()
    settings = {"suite": asdict(plan.suite), "attacked_images": plan.count}
    found: list[Attacked] = []
    for task in tasks:
        if task.key in stored:
            found.append(stored[task.key])
            continue
        task.network.to(place)
        found.append(task.run(journal.stem if journal and plan.keeps_images else None))
        if journal is not None:
            journal.write(settings, found)
    drawn = [one for one in found if one.robust_accuracy]
    if journal is not None and drawn:
        from oodbench.attacks.curves import robustness_curves
        from oodbench.output.plots.save import save

        save(robustness_curves(drawn), journal.stem)
    return found


def _radii(eps: Sequence[float]) -> tuple[float, ...]:
    try:
        return tuple(map(float, eps))
    except (TypeError, ValueError):
        raise InputError(
            f"eps must be a list of numbers, as in [2 / 255, 8 / 255], not {eps!r}."
        ) from None
