"""Compares recipes of JEMs with plain classifiers on 28 x 28 images, over five seeds.

    python benchmarks/small_images.py DATA OUT > results/small_images.md

DATA is the folder of the image archives. OUT keeps sets, models and scores: the command
continues where it was, and --minutes stops it between two steps. --world takes fashion
(Fashion-MNIST) or digits (MNIST). It takes about two hours of one CPU core.

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
images, and chains and samples of seed 0. An ensemble is attacked as a whole, by the
mean of its members' probabilities.

What was added after these tables had been seen has the settings and detectors of the
first kinds; nothing was chosen anew:

- Equal epochs. `eb-jdat-long` is `eb-jdat` with as many epochs as `jem`. `dat-robust`
  is `dat` as its paper trains it, from the weights of a robust classifier: half of the
  epochs are of `robust`, which is `dat` without log p(x), and half of `dat`. `jem++`
  and `sada-jem` are within 5 % of these epochs. Differences are from `plain`.
- AutoAttack, the standard version, on every second of the 200 images and seed 0; it
  needs `oodbench[autoattack]`. Where it is far below PGD, the gradients mislead PGD.
- `jem` with a penalty on log p(x)² of weight 0.01 (`--energy-l2`), against its
  divergence. Differences are from `jem`.
"""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import torch
from digits_seeds import Flops
from small_images_attacks import pgd, pgd_and_auto
from small_images_kinds import (
    CHOICES,
    COMMON,
    FIRST,
    JEMS,
    KINDS,
    LATER,
    LONGER,
    MEMBERS,
    RECIPES,
    Changes,
)
from small_images_page import Scores, choose, cost, page
from small_images_sets import TRAIN, WORLDS, prepare

import oodbench
from oodbench.base import registry
from oodbench.data.dataset import Shape
from oodbench.jem.training.recipe import Recipe
from oodbench.jem.training.trainer import Trainer
from oodbench.networks.build import build
from oodbench.networks.load import as_network
from oodbench.runs.tuning.calibrate import calibrate

EPOCHS = 10.0
"""Of the recipe `jem`."""
SEEDS, CHOOSER = range(5), 100
NETWORK = {"activation": "silu"}
SHAPE, CLASSES = Shape(1, 28, 28), 8
LEFT_OUT = {
    *("adascale_a", "adascale_l", "cf_ood", "gram", "i_odin", "nac_layers", "pro"),
    *("jem_refine", "jem_refine_grad", "jem_refine_l2", "rankfeat"),
    "mc_dropout",
}
"""Detectors that take longer than the others together; the network has no dropout."""


class Experiment:
    """All steps on one world; what a step has made is found again."""

    seeds = SEEDS

    def __init__(self, options: Namespace) -> None:
        self.world: str = options.world
        self.data: Path = options.out / "data"
        self.folder: Path = options.out / options.world
        self.epochs: float = options.epochs
        self.detectors: list[str] = options.detectors
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.data / "photos_val.npz").exists():
            prepare(options.archives, self.data)
        self.step_flops = {kind: flops(recipe) for kind, recipe in RECIPES.items()}

    def spec(self, name: str) -> str:
        """Returns the name of a set for oodbench."""
        return f"npz:{self.data / name}.npz"

    def epochs_of(self, kind: str) -> float:
        """Returns the epochs of a kind, by its share of epochs or of operations."""
        if kind in (*FIRST, *FIRST.values()):
            return self.epochs / 2
        if kind == "plain" or kind in LATER:
            return self.epochs
        share = self.step_flops["jem"] / self.step_flops[kind]
        return self.epochs * share / (MEMBERS if kind == "ensemble" else 1)

    def stages(self, kind: str) -> list[str]:
        """Returns the kinds of the trainings that make a kind, one after another."""
        return [FIRST[kind], kind] if kind in FIRST else [kind]

    def operations(self, kind: str) -> float:
        """Returns the floating-point operations of all trainings of a model."""
        per_epoch = TRAIN // COMMON["batch_size"]
        return len(self.members(kind, 0)) * sum(
            round(self.epochs_of(stage) * per_epoch) * self.step_flops[stage]
            for stage in self.stages(kind)
        )

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

    def train(self, kind: str, seed: int, changes: Changes, path: Path) -> None:
        """Trains one network, and stores the seconds of CPU time that it took."""
        if path.exists():
            return
        first = self.weights(FIRST[kind], seed) if kind in FIRST else None
        recipe = replace(
            RECIPES[kind], epochs=self.epochs_of(kind), seed=seed, **changes
        )
        began = time.process_time()
        trained = oodbench.train(
            self.spec(f"{self.world}_train"),
            path.parent,
            recipe=recipe,
            arch="oe_convnet",
            arch_args=NETWORK,
            test=self.spec(f"{self.world}_val"),
            start_from=first,
            overwrite=True,
        )
        assert trained is not None
        record = {
            "seconds": time.process_time() - began,
            "accuracy": trained.card["accuracy"]["test"],
            "went_back": len(trained.card["faults"]),
        }
        path.with_suffix(".cost.json").write_text(json.dumps(record))

    def settings(self) -> dict[str, Changes]:
        """Returns what the chosen setting of each kind changes in its recipe."""
        found = json.loads(self.choices.read_text())
        chosen = {kind: CHOICES[kind][one["chosen"]] for kind, one in found.items()}
        bases = {kind: LATER.get(kind, kind) for kind in RECIPES}
        changes = {k: chosen.get(v, chosen["plain-long"]) for k, v in bases.items()}
        return changes | {"robust": {}}

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

    def score_later(self) -> None:
        """Runs what validation chose for a recipe on the later kinds that have it."""
        val = Scores(self, "val")
        for kind, base in LATER.items():
            new = [seed for seed in SEEDS if not self.extra(kind, seed).exists()]
            if models := [self.model(kind, seed) for seed in new]:
                self.score("test", models, sorted({choose(val, base), "energy"}))

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
        for kind in RECIPES:
            for seed in SEEDS:
                self.robustness(kind, seed, inside)
            if kind in JEMS:
                weights = self.weights(kind, 0)
                chains = weights.with_name("chains.json")
                if not chains.exists():
                    oodbench.diagnose(weights, chains, inside=inside, chains=16)
                samples = self.folder / "samples" / kind
                if not samples.exists():
                    clamp = RECIPES[kind].sgld_clamp
                    oodbench.sample(weights, samples, count=64, clamp=clamp)

    def extra(self, kind: str, seed: int | str) -> Path:
        """Returns the file of what is measured once all scores are stored.

        `auto` for a seed is that of AutoAttack on seed 0.
        """
        return self.folder / "extras" / f"{kind}-{seed}.json"

    def robustness(self, kind: str, seed: int, inside: str) -> None:
        """Stores accuracy under PGD and calibration of a model."""
        path = self.extra(kind, seed)
        path.parent.mkdir(exist_ok=True)
        record = json.loads(path.read_text()) if path.exists() else {}
        if "robust" in record:
            return
        network = as_network(self.model(kind, seed))
        fit = self.spec(f"{self.world}_val")
        (found,) = calibrate(network, inside, fit=fit, quiet=True)
        record = {"before": found.before.values, "after": found.after.values}
        record["robust"] = pgd(network, inside)
        path.write_text(json.dumps(record))

    def auto_attack(self, kind: str) -> None:
        """Stores the accuracies of seed 0 under PGD and AutoAttack."""
        path = self.extra(kind, "auto")
        if not path.exists():
            network = as_network(self.model(kind, 0))
            found = pgd_and_auto(network, self.spec(f"{self.world}_test"))
            path.write_text(json.dumps(found))

    def steps(self) -> Iterator[str]:
        """Does one missing step after another, and names each before it is done."""
        for kind, settings in CHOICES.items():
            for one, changes in settings.items():
                yield f"{kind} with {one}"
                self.train(kind, CHOOSER, changes, self.weights(kind, one))
        if not self.choices.exists():
            yield "the choice of settings"
            self.choose()
        for seed in SEEDS:
            yield from self.trainings(KINDS, seed)
            new = [kind for kind in KINDS if not self.extra(kind, seed).exists()]
            models = [self.model(kind, seed) for kind in new]
            for stage in ("val", "test") if models else ():
                yield f"scores of seed {seed} on {stage}"
                self.score(stage, models, self.detectors)
        for seed in SEEDS:
            yield from self.trainings(LATER, seed)
        yield "scores at equal epochs"
        self.score_later()
        yield "calibration, robustness, chains and samples"
        self.extras()
        for kind in (*KINDS, *LONGER):
            yield f"AutoAttack on {kind}"
            self.auto_attack(kind)

    def trainings(self, kinds: Iterable[str], seed: int) -> Iterator[str]:
        """Trains the missing networks of a seed, and names each before."""
        chosen = self.settings()
        for kind in kinds:
            for one in self.members(kind, seed):
                yield f"{kind} of seed {one}"
                self.train(kind, one, chosen[kind], self.weights(kind, one))


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
