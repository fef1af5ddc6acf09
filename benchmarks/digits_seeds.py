"""Compares the digits JEM with the plain classifier over five seeds.

    python benchmarks/digits_seeds.py FOLDER > results/digits_seeds.md

Presets `jem` and `ce` of `oodbench train` differ in the weight of −log p(x) alone. Both
kinds are trained from each seed on the train split of `digits:0-7`, run on every set
that needs no download, calibrated on the val split, and attacked by PGD (L∞, 40 steps)
on the test split. FOLDER keeps models and scores, so that a second run of this command
continues. The command:

    python benchmarks/digits_seeds.py FOLDER > results/digits_seeds.md
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from tabulate import tabulate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import oodbench
from oodbench import Network, load_network
from oodbench.attacks.robust_accuracy import robust_accuracy
from oodbench.data.image_set import open_images
from oodbench.data.spec import open_dataset
from oodbench.jem.training.images import gather
from oodbench.jem.training.presets import PRESETS
from oodbench.jem.training.run import train
from oodbench.jem.training.trainer import Trainer
from oodbench.metrics.significance import over_seeds, seed_difference
from oodbench.networks.build import build
from oodbench.runs.run import DETECTORS
from oodbench.runs.tuning.calibrate import recalibrate

INSIDE = "digits:0-7"
SEEDS = range(5)
KINDS = ("jem", "ce")
REFINED = ("jem_refine", "jem_refine_grad", "jem_refine_l2")
EPS = (0.02, 0.05, 0.1, 0.15, 0.2)
"""In pixels of [0, 1]."""

MARKDOWN = "> results/digits_seeds.md\n\n"

Numbers = dict[str, float]
Values = Callable[[str, str], list[float]]
"""Maps kind and name to one number per seed."""


class Model(NamedTuple):
    """One trained network with its measurements."""

    network: Network
    fitness: Numbers
    robust: Numbers
    temperature: float


def make(folder: Path, kind: str, seed: int) -> Network:
    """Returns a network, trained now or read from an earlier run."""
    name = f"{kind}-{seed}"
    path = folder / name / f"{name}.safetensors"
    if not path.exists():
        recipe = replace(PRESETS[kind], seed=seed, precision="fp32")
        train(INSIDE, folder / name, recipe=recipe)
    return load_network(path)


def measure(network: Network) -> Model:
    """Calibrates and attacks a network."""
    dataset = open_dataset(INSIDE)
    inside = open_images(dataset, "test", network.shape)
    found = recalibrate(network, inside, open_images(dataset, "val", network.shape))
    before, after = found.before.values, found.after.values
    fitness = {
        "accuracy": before["accuracy"],
        "NLL": before["nll"],
        "ECE": before["ece"],
        "adaptive ECE": before["adaptive_ece"],
        "ECE, scaled": after["ece"],
    }
    robust = robust_accuracy(network, inside.split, EPS)
    by_eps = {f"eps {eps:g}": accuracy for eps, accuracy in robust.items()}
    return Model(network, fitness, by_eps, found.temperature)


def table(names: Sequence[str], values: Values) -> str:
    """Returns a table of mean ± deviation of both kinds and their paired difference."""
    rows = []
    for name in names:
        jem, ce = (values(kind, name) for kind in KINDS)
        unit = 1 if name == "NLL" else 100
        value, low, high, _ = (unit * each for each in seed_difference(jem, ce))
        difference = f"{value:+.2f} [{low:+.2f}, {high:+.2f}]" if value else "none"
        rows.append([name, spread(jem, unit), spread(ce, unit), difference])
    head = ["", "JEM", "plain classifier", "difference"]
    return tabulate(rows, head, "pipe", disable_numparse=True)


def spread(values: list[float], unit: float = 1) -> str:
    """Returns mean ± sample deviation."""
    found = over_seeds(values)
    return f"{unit * found.mean:.2f} ± {unit * found.deviation:.2f}"


class Flops(TorchDispatchMode):
    """Counts floating-point operations by torch's own rules."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Runs an operation and counts it."""
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def cost(kind: str) -> float:
    """Returns the floating-point operations of a whole training."""
    recipe = PRESETS[kind]
    material = gather(INSIDE)
    built = build("mlp", {}, material.shape, material.classes, recipe.seed)
    data = material.train
    trainer = Trainer(built.module, data.images, data.labels, recipe)
    with Flops() as counter:
        trainer.step()
    return counter.total * trainer.iterations


def aurocs(models: Sequence[Model], folder: Path):
    """Runs all detectors on all sets; returns rows as a DataFrame."""
    oodbench.run(
        models=[model.network for model in models],
        inside=INSIDE,
        detectors=[*DETECTORS, *REFINED],
        results=folder / "runs",
    )
    return oodbench.rows(folder / "runs")


def main() -> None:
    """Prints the tables."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    models = {(k, s): measure(make(folder, k, s)) for s in SEEDS for k in KINDS}
    rows = aurocs(list(models.values()), folder)
    scores = rows.set_index(["model", "outside", "detector"])["auroc"]

    def show(title: str, names: Sequence[str], values: Values) -> None:
        print(f"\n## {title}\n\n{table(names, values)}")

    print(f"# Five seeds on the digits\n\n{__doc__.partition(MARKDOWN)[2]}")
    print(
        f"Written by the command above (torch {torch.__version__}, CPU). Mean ± sample "
        f"deviation over seeds {', '.join(map(str, SEEDS))}; the difference is paired "
        "by seed, with its 95 % interval by Student's t, uncorrected. All but NLL in "
        "%. pixel_knn and pixel_stats see only pixels: the sets that they separate say "
        "little about a network."
    )
    show(
        "Accuracy and calibration",
        list(models["jem", 0].fitness),
        lambda kind, name: [models[kind, s].fitness[name] for s in SEEDS],
    )
    temperatures = (spread([models[k, s].temperature for s in SEEDS]) for k in KINDS)
    print(
        "\nTemperature fitted on val: JEM {}, plain classifier {}.".format(
            *temperatures
        )
    )
    show(
        "Accuracy under PGD, L∞, eps in pixels of [0, 1]",
        list(models["jem", 0].robust),
        lambda kind, name: [models[kind, s].robust[name] for s in SEEDS],
    )
    for outside, part in rows.groupby("outside", sort=False):

        def auroc(kind: str, name: str, outside: str = outside) -> list[float]:
            return [scores[f"{kind}-{s}", outside, name] for s in SEEDS]

        names = [*dict.fromkeys(part["detector"])]
        show(f"AUROC, {part['role'].iloc[0]}: {outside}", names, auroc)
    flops = [cost(kind) for kind in KINDS]
    print(
        f"\n## Cost\n\nA training takes {flops[0]:.3g} floating-point operations for "
        f"the JEM and {flops[1]:.3g} for the plain classifier, "
        f"{flops[0] / flops[1]:.1f} times as many (torch's rules, one iteration times "
        "their number)."
    )


if __name__ == "__main__":
    main()
