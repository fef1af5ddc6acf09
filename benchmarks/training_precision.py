"""Compares JEMs trained in bf16 with JEMs trained in fp32, over five seeds.

    python benchmarks/training_precision.py DATA OUT > results/training_precision.md

DATA is the folder of the image archives. OUT keeps sets, models and scores, so that a
second run of this command continues. The processor must multiply bf16 itself.

What was fixed before anything was measured:

- Two trainings: the recipe `jem` on `digits:0-7`, a perceptron on 8×8 pixels; and `jem`
  of `small_images.py` on Fashion-MNIST, a convolutional network on 28×28 pixels, with
  the weight of log p(x) chosen there, 0.1. The classes 8 and 9 are near-OOD. All
  networks are scored in fp32.
- Measured on test images: accuracy, NLL, ECE, and AUROC of `energy`, which ranks images
  as `log_px` does here, and of `jem_grad_norm`, on the near set and as the mean of the
  far sets. Differences are paired by seed, with the 95 % interval of Student's t, and
  corrected by Holm over all rows of both tables.
- The rule: `auto` becomes the default of `--precision` if no difference is significant
  after the correction, and if both intervals of accuracy lie within ±1 point. Else it
  stays an option.
- Seconds are of the processor, for the whole of a training on one thread; trainings in
  the two precisions alternate.
"""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import torch
from digits_seeds import spread
from small_images import EPOCHS, NETWORK
from small_images_kinds import CHOICES, RECIPES
from small_images_sets import prepare
from tabulate import tabulate

import oodbench
from oodbench.jem.training.presets import PRESETS
from oodbench.jem.training.recipe import Recipe
from oodbench.metrics.significance import holm, seed_difference
from oodbench.runs.tuning.calibrate import calibrate

SEEDS = range(5)
PRECISIONS = ("bf16", "fp32")
DETECTORS = ("energy", "jem_grad_norm")
COMMAND = "python benchmarks/training_precision.py DATA OUT"
MARGIN = 1.0
"""Points of accuracy."""
LEVEL = 0.05

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class World:
    """A training set, the sets that its models are measured on, and the recipe."""

    name: str
    train: str
    test: str
    val: str | None
    out: list[str]
    recipe: Recipe
    network: Mapping[str, object] = field(default_factory=dict)


def worlds(data: Path) -> list[World]:
    """Returns both worlds, given the folder of the 28×28 sets."""

    def spec(name: str) -> str:
        return f"npz:{data / name}.npz"

    jem = replace(RECIPES["jem"], epochs=EPOCHS)
    far = [f"far={spec(name)}" for name in ("digits_all", "letters", "textures")]
    return [
        World(
            "digits",
            "digits:0-7",
            "digits:0-7",
            None,
            ["digits:8-9", "noise:gaussian", "photos"],
            PRESETS["jem"],
        ),
        World(
            "Fashion-MNIST",
            spec("fashion_train"),
            spec("fashion_test"),
            spec("fashion_val"),
            [f"near={spec('fashion_8-9')}", *far],
            replace(jem, **CHOICES["jem"]["weight 0.1"]),
            {"arch": "oe_convnet", "arch_args": NETWORK},
        ),
    ]


def train(world: World, folder: Path, precision: str, seed: int) -> Path:
    """Returns the weights of one training, and stores its seconds beside them."""
    name = f"{precision}-{seed}"
    path = folder / name / f"{name}.safetensors"
    if path.exists():
        return path
    recipe = replace(world.recipe, precision=precision, seed=seed)
    began = time.process_time()
    trained = oodbench.train(
        world.train, path.parent, recipe=recipe, overwrite=True, **world.network
    )
    record = {
        "seconds": time.process_time() - began,
        "went back": len(trained.card["faults"]),
    }
    path.with_suffix(".cost.json").write_text(json.dumps(record))
    return path


def measure(world: World, folder: Path) -> dict[tuple[str, int], Numbers]:
    """Returns all numbers of the models of a world, by precision and seed."""
    pairs = [(one, seed) for seed, one in product(SEEDS, PRECISIONS)]
    paths = {pair: train(world, folder, *pair) for pair in pairs}
    with redirect_stdout(sys.stderr):
        oodbench.run(
            models=[str(path) for path in paths.values()],
            inside=world.test,
            out=world.out,
            fit=world.train,
            detectors=DETECTORS,
            results=folder / "runs",
        )
    rows = oodbench.rows(folder / "runs")
    found = {}
    for pair, path in paths.items():
        fit = calibrate(str(path), world.test, fit=world.val, quiet=True)[0].before
        mine = rows[rows["model"] == path.stem]
        cells = mine.groupby(["detector", "role"])["auroc"].mean()
        found[pair] = {
            "accuracy": fit.values["accuracy"],
            "NLL": fit.values["nll"],
            "ECE": fit.values["ece"],
            **{
                f"{role} AUROC of {name}": float(cells[name, role])
                for name, role in product(DETECTORS, ("near", "far"))
            },
            **json.loads(path.with_suffix(".cost.json").read_text()),
        }
    return found


def page(found: Mapping[str, Mapping[tuple[str, int], Numbers]]) -> str:
    """Returns tables of all worlds, and what follows for the default."""
    costs = ("seconds", "went back")
    names = [key for key in found["digits"]["fp32", 0] if key not in costs]
    keys = [(world, name) for world in found for name in names]

    def of(world: str, name: str, precision: str) -> list[float]:
        return [found[world][precision, seed][name] for seed in SEEDS]

    apart = {k: seed_difference(*(of(*k, one) for one in PRECISIONS)) for k in keys}
    corrected = dict(zip(keys, holm([one.p for one in apart.values()]), strict=True))
    parts, kept = [], all(p >= LEVEL for p in corrected.values())
    for world in found:
        rows = []
        for name in names:
            unit = 1 if name == "NLL" else 100
            value, low, high, _ = (unit * one for one in apart[world, name])
            if name == "accuracy":
                kept = kept and low > -MARGIN and high < MARGIN
            texts = [spread(of(world, name, one), unit) for one in PRECISIONS]
            difference = f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
            rows.append([name, *texts, difference, f"{corrected[world, name]:.2g}"])
        for name in costs:
            rows.append([name, *(spread(of(world, name, p)) for p in PRECISIONS)])
        head = ["", *PRECISIONS, "difference", "p, Holm"]
        parts.append(
            f"## {world}\n\n{tabulate(rows, head, 'pipe', disable_numparse=True)}"
        )
    verdict = "becomes the default" if kept else "stays an option"
    return "\n\n".join([*parts, f"**By the rule, `auto` {verdict}.**"])


def main() -> None:
    """Trains and measures what is missing, and prints the page."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archives", type=Path, help="the folder of the image archives")
    parser.add_argument("out", type=Path, help="the folder of sets, models and scores")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = options.out / "data"
    if not (data / "photos_val.npz").exists():
        prepare(options.archives, data)
    found = {}
    for world in worlds(data):
        print(world.name, file=sys.stderr, flush=True)
        found[world.name] = measure(world, options.out / world.name)
    about = __doc__.partition("bf16 itself.\n\n")[2]
    print(
        f"# Training in bf16\n\n`{COMMAND}`\n\n{about}\nWritten by this command (torch "
        f"{torch.__version__}, {torch.cpu.get_capabilities()['cpu_name']}). Mean ± "
        f"sample deviation over seeds 0 to {SEEDS[-1]}, in % but for NLL, seconds and "
        f"times that training went back.\n\n{page(found)}"
    )


if __name__ == "__main__":
    main()
