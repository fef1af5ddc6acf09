"""Compares recipes of JEMs with plain classifiers on 28 x 28 images, over five seeds.

    python benchmarks/small_images.py DATA OUT > results/small_images.md

DATA is the folder of the image archives. OUT keeps sets, models and scores: the command
continues where it was, and --minutes stops it between two steps. --world takes fashion
(Fashion-MNIST) or digits (MNIST). It takes about an hour of one CPU core.

What was fixed before any test image was scored:

- In-distribution are the classes 0 to 7, near-OOD the classes 8 and 9. The 10,000
  official test images are used, in the order of their SHA-256: 5,000 images of the
  known classes to train on, 1,000 for validation, the others to test.
- The network is `oe_convnet` with SiLU (the MNIST network of Outlier Exposure, without
  a norm), trained by Adam at 1e-3 with cosine decay in bf16 and averaged weights.
  What a recipe adds comes from its preset in `oodbench train`; `jem` has 10 SGLD
  steps and `dat` 20.
- All kinds but `plain` get the same number of floating-point operations: as many as
  `jem` needs for its epochs. `plain` gets as many epochs as `jem`. `ensemble` has five
  classifiers that share the operations.
- One setting of each kind is chosen by one more seed on validation images: random crops
  or none for classifiers, the weight of log p(x), 1 or 0.1, for JEMs. Of the trainings
  whose accuracy is within one point of the better one, that with the higher mean AUROC
  of `energy` on the two validation sets wins. These are means of pairs of validation
  images, and photographs (CIFAR-10 in grey, JPEG), which no test uses.
- The detector of each kind is the one with the highest mean AUROC on these two sets and
  all seeds; controls, which see only pixels, are left out, and so are the slowest
  detectors and those of refinement.
- The question: does a JEM with its chosen detector have a higher near-OOD AUROC than
  `plain-long` and `ensemble` with theirs? Differences are paired by seed (Student's t)
  and corrected by Holm over all JEM recipes and both opponents.

Beside that: accuracy under PGD (L∞, 40 steps, eps in pixels of [0, 1]) on 200 test
images, and chains and samples of seed 0.
"""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from digits_seeds import Flops
from small_images_page import cost, page
from small_images_sets import WORLDS, prepare

import oodbench
from oodbench.attacks.robust_accuracy import robust_accuracy
from oodbench.base import registry
from oodbench.data.dataset import Shape
from oodbench.data.image_set import open_images
from oodbench.data.spec import open_dataset
from oodbench.jem.training.presets import PRESETS
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.trainer import Trainer
from oodbench.networks.build import build
from oodbench.runs.tuning.calibrate import calibrate

EPOCHS = 10.0
"""Of the recipe `jem`."""
MEMBERS = 5
SEEDS, CHOOSER = range(5), 100
EPS = (0.02, 0.05, 0.1)
"""In pixels of [0, 1]."""
ATTACKED = 200
NETWORK = {"activation": "silu"}
SHAPE, CLASSES = Shape(1, 28, 28), 8
COMMON = {
    "batch_size": 64,
    "held_out": 0,
    "augment": "none",
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "warmup": 50,
    "decay": "cosine",
    "weight_decay": 0.0,
    "ema": 0.99,
    "precision": "bf16",
    "buffer_size": 2000,
}
STEPS = {"jem": 10, "dat": 20}
"""SGLD steps where they differ from the preset's."""
JEMS = ("jem", "jem++", "sada-jem", "eb-jdat", "dat")
PLAIN = ("plain", "plain-long", "ensemble")
KINDS = (*PLAIN, *JEMS)
CHOICES: dict[str, dict[str, Any]] = {
    "plain-long": {"no crops": {}, "crops": {"augment": "crop"}},
    **{kind: {"weight 1": {}, "weight 0.1": {"weight_x": 0.1}} for kind in JEMS},
}
"""The settings of each kind that are tried on validation images."""
LEFT_OUT = {
    *("adascale_a", "adascale_l", "cf_ood", "gram", "i_odin", "nac_layers", "pro"),
    *("jem_refine", "jem_refine_grad", "jem_refine_l2", "rankfeat"),
    "mc_dropout",
}
"""Detectors that take longer than the others together; the network has no dropout."""


class Experiment:
    """All steps on one world; what a step has made is found again."""

    kinds, jems, seeds, eps = KINDS, JEMS, SEEDS, EPS

    def __init__(self, options: Namespace) -> None:
        self.world: str = options.world
        self.data: Path = options.out / "data"
        self.folder: Path = options.out / options.world
        self.epochs: float = options.epochs
        self.detectors: list[str] = options.detectors
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.data / "photos_val.npz").exists():
            prepare(options.archives, self.data)
        self.step_flops = {kind: flops(self.recipe(kind)) for kind in KINDS}

    def spec(self, name: str) -> str:
        """Returns the name of a set for oodbench."""
        return f"npz:{self.data / name}.npz"

    def recipe(self, kind: str) -> Recipe:
        """Returns the recipe of a kind, but for its epochs, chosen setting and seed."""
        preset = PRESETS[kind if kind in JEMS else "ce"]
        steps = {"sgld_steps": STEPS[kind]} if kind in STEPS else {}
        return replace(preset, **COMMON, **steps, epochs=self.epochs)

    def epochs_of(self, kind: str) -> float:
        """Returns the epochs that give a kind its share of operations."""
        if kind == "plain":
            return self.epochs
        share = self.step_flops["jem"] / self.step_flops[kind]
        return self.epochs * share / (MEMBERS if kind == "ensemble" else 1)

    def model(self, kind: str, seed: int) -> str:
        """Returns the model of a kind and seed for `oodbench run`."""
        files = [str(self.weights(kind, one)) for one in self.members(kind, seed)]
        return f"{kind}-{seed}={'+'.join(files)}"

    def members(self, kind: str, seed: int) -> list[int]:
        """Returns the seeds of the networks that make a model."""
        if kind != "ensemble":
            return [seed]
        return [MEMBERS * seed + member for member in range(MEMBERS)]

    def weights(self, kind: str, seed: int | str) -> Path:
        """Returns the file of trained weights; trials have a setting for a seed."""
        name = f"{kind}-{seed}".replace(" ", "-")
        return self.folder / "models" / name / f"{name}.safetensors"

    def train(self, kind: str, seed: int, setting: str, path: Path) -> None:
        """Trains one network, and stores the seconds of CPU time that it took."""
        if path.exists():
            return
        changes = CHOICES.get(kind, CHOICES["plain-long"])[setting]
        recipe = replace(
            self.recipe(kind), epochs=self.epochs_of(kind), seed=seed, **changes
        )
        began = time.process_time()
        trained = oodbench.train(
            self.spec(f"{self.world}_train"),
            path.parent,
            recipe=recipe,
            arch="oe_convnet",
            arch_args=NETWORK,
            test=self.spec(f"{self.world}_val"),
            overwrite=True,
        )
        assert trained is not None
        record = {
            "seconds": time.process_time() - began,
            "accuracy": trained.card["accuracy"]["test"],
            "went_back": len(trained.card["faults"]),
            "epochs": recipe.epochs,
            "operations": recipe.epochs * self.step_flops[kind],
        }
        path.with_suffix(".cost.json").write_text(json.dumps(record))

    def settings(self) -> dict[str, str]:
        """Returns the chosen setting of each kind."""
        found = json.loads(self.choices.read_text())
        chosen = {kind: one["chosen"] for kind, one in found.items()}
        return {kind: chosen.get(kind, chosen["plain-long"]) for kind in KINDS}

    @property
    def choices(self) -> Path:
        """The file of settings with what they were chosen by."""
        return self.folder / "choices.json"

    def choose(self) -> None:
        """Chooses the settings by validation images."""
        tried = [(kind, one) for kind, settings in CHOICES.items() for one in settings]
        paths = {each: self.weights(*each) for each in tried}
        self.score("choice", [str(path) for path in paths.values()], ["energy"])
        rows = oodbench.rows(self.folder / "choice")
        found = {}
        for kind, settings in CHOICES.items():
            by = {}
            for one in settings:
                mine = rows[rows["model"] == paths[kind, one].stem]
                by[one] = {
                    "accuracy": cost(paths[kind, one])["accuracy"],
                    "auroc": float(mine["auroc"].mean()),
                }
            least = max(value["accuracy"] for value in by.values()) - 0.01
            good = {k: v["auroc"] for k, v in by.items() if v["accuracy"] >= least}
            found[kind] = {"chosen": max(good, key=good.__getitem__), "by": by}
        self.choices.write_text(json.dumps(found, indent=1))

    def score(self, stage: str, models: list[str], detectors: list[str]) -> None:
        """Runs detectors on the validation or the test sets."""
        inside = "test" if stage == "test" else "val"
        with redirect_stdout(sys.stderr):
            oodbench.run(
                models=models,
                inside=self.spec(f"{self.world}_{inside}"),
                out=self.outside(stage),
                fit=self.spec(f"{self.world}_train"),
                detectors=detectors,
                results=self.folder / stage,
            )

    def outside(self, stage: str) -> list[str]:
        """Returns the OOD sets of a stage, with their roles."""
        if stage != "test":
            pairs = f"interp:{self.spec(f'{self.world}_val')}"
            return [f"probe={pairs}", f"far={self.spec('photos_val')}"]
        other = next(one for one in WORLDS if one != self.world)
        far = (f"{other}_all", "letters", "textures")
        return [
            f"near={self.spec(f'{self.world}_8-9')}",
            *(f"far={self.spec(name)}" for name in far),
            "probe=noise:uniform",
        ]

    def extras(self) -> None:
        """Measures calibration, robustness, chains and samples; finds what is there."""
        inside = self.spec(f"{self.world}_test")
        for kind in KINDS:
            for seed in SEEDS:
                self.robustness(kind, seed, inside)
            if kind in JEMS:
                weights = self.weights(kind, 0)
                chains = weights.with_name("chains.json")
                if not chains.exists():
                    oodbench.diagnose(weights, chains, inside=inside, chains=16)
                samples = self.folder / "samples" / kind
                if not samples.exists():
                    clamp = self.recipe(kind).sgld_clamp
                    oodbench.sample(weights, samples, count=64, clamp=clamp)

    def robustness(self, kind: str, seed: int, inside: str) -> None:
        """Stores accuracy under PGD and calibration of a model."""
        path = self.folder / "extras" / f"{kind}-{seed}.json"
        if path.exists():
            return
        path.parent.mkdir(exist_ok=True)
        model = self.model(kind, seed)
        found = calibrate(
            model, inside, fit=self.spec(f"{self.world}_val"), quiet=True
        )[0]
        record = {"before": found.before.values, "after": found.after.values}
        if kind != "ensemble":
            network = oodbench.load_network(self.weights(kind, seed))
            split = open_images(open_dataset(inside), "test", SHAPE, limit=ATTACKED)
            record["robust"] = {
                f"{eps:g}": value
                for eps, value in robust_accuracy(network, split.split, EPS).items()
            }
        path.write_text(json.dumps(record))

    def steps(self) -> Iterator[str]:
        """Does one missing step after another, and names each before it is done."""
        for kind, settings in CHOICES.items():
            for one in settings:
                yield f"{kind} with {one}"
                self.train(kind, CHOOSER, one, self.weights(kind, one))
        if not self.choices.exists():
            yield "the choice of settings"
            self.choose()
        chosen = self.settings()
        for seed in SEEDS:
            for kind in KINDS:
                for one in self.members(kind, seed):
                    yield f"{kind} of seed {one}"
                    self.train(kind, one, chosen[kind], self.weights(kind, one))
            models = [self.model(kind, seed) for kind in KINDS]
            for stage in ("val", "test"):
                yield f"scores of seed {seed} on {stage}"
                self.score(stage, models, self.detectors)
        yield "calibration, robustness, chains and samples"
        self.extras()


def flops(recipe: Recipe) -> float:
    """Returns the floating-point operations of one iteration, by torch's rules."""
    built = build("oe_convnet", NETWORK, SHAPE, CLASSES, 0)
    images = torch.rand(128, *SHAPE)
    labels = torch.arange(128) % CLASSES
    trainer = Trainer(built.module, images, labels, replace(recipe, precision="fp32"))
    with Flops() as counter:
        trainer.step()
    return counter.total


def main() -> None:
    """Takes the missing steps, and prints the page after the last one."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("archives", type=Path, help="the folder of the image archives")
    parser.add_argument("out", type=Path, help="the folder of sets, models and scores")
    parser.add_argument("--world", choices=WORLDS, default="fashion")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="of the JEM")
    parser.add_argument("--detectors", type=lambda text: text.split(","))
    options = parser.parse_args()
    if options.detectors is None:
        options.detectors = sorted(set(registry.names("detectors")) - LEFT_OUT)
    torch.set_num_threads(1)
    began = time.monotonic()
    experiment = Experiment(options)
    for step in experiment.steps():
        minutes = (time.monotonic() - began) / 60
        if minutes > options.minutes:
            sys.exit(
                f"Stopped after {minutes:.1f} minutes before {step}; call it again."
            )
        print(f"{minutes:6.1f} min: {step}", file=sys.stderr, flush=True)
    print(page(__doc__, experiment))


if __name__ == "__main__":
    main()
