"""The page of `small_images.py`: tables computed from what the steps have stored."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from digits_seeds import spread
from small_images_attacks import EPS
from small_images_kinds import CALMED, EQUAL, JEMS, KINDS, LATER, LONGER
from tabulate import tabulate

import oodbench
from oodbench.metrics.significance import holm, seed_difference

if TYPE_CHECKING:
    from small_images import Experiment

COMMAND = "> results/small_images.md\n\n"
OPPONENTS = ("plain-long", "ensemble")
Chosen = Mapping[str, str]
"""The detector of each kind."""


class Scores:
    """AUROCs of all detectors on all sets, of a stage."""

    def __init__(self, experiment: "Experiment", stage: str) -> None:
        rows = oodbench.rows(experiment.folder / stage)
        rows[["kind", "seed"]] = rows["model"].str.rsplit("-", n=1, expand=True)
        rows["seed"] = rows["seed"].astype(int)
        self.rows = rows[rows["failure"] == ""]
        self.seeds = len(experiment.seeds)

    def of(self, kind: str, detector: str, role: str) -> list[float]:
        """Returns for each seed the mean over a role's sets; none if one failed."""
        mine = self.rows
        mine = mine[(mine["kind"] == kind) & (mine["detector"] == detector)]
        found = mine[mine["role"].isin(role.split("|"))].groupby("seed")["auroc"].mean()
        return found.sort_index().tolist() if len(found) == self.seeds else []

    def names(self, kind: str, *, control: bool = False) -> list[str]:
        """Returns the detectors that scored a kind."""
        mine = self.rows[self.rows["kind"] == kind]
        return sorted(set(mine[mine["control"] == control]["detector"]))


def page(about: str, experiment: "Experiment") -> str:
    """Returns the page in Markdown.

    Args:
        about: The docstring of the script.
        experiment: With all steps done.
    """
    val, test = Scores(experiment, "val"), Scores(experiment, "test")
    chosen = {kind: choose(val, kind) for kind in KINDS}
    all_chosen = chosen | {kind: chosen[base] for kind, base in LATER.items()}
    parts = {
        "Training": training(experiment, KINDS),
        "Settings, chosen by validation": settings(experiment),
        "Accuracy, calibration and robustness": fitness(experiment, KINDS),
        "OOD detection by the chosen detectors": ood(test, val, chosen),
        "The question": question(test, chosen, JEMS, OPPONENTS),
        "At equal epochs": later(experiment, test, all_chosen, EQUAL),
        "AutoAttack beside PGD": auto_attack(experiment),
        "What stops divergence": later(experiment, test, all_chosen, ("jem", *CALMED)),
        "Chains of seed 0": chains(experiment),
        "Near-OOD AUROC of every detector": every(test, KINDS, "near"),
        "Far-OOD AUROC of every detector, mean of three sets": every(
            test, KINDS, "far"
        ),
    }
    head = (
        f"# Recipes of JEMs on 28 x 28 images: {experiment.world}\n\n"
        f"{about.partition(COMMAND)[2]}\n"
        f"Written by `python benchmarks/small_images.py DATA OUT --world "
        f"{experiment.world} --epochs {experiment.epochs:g}` (torch "
        f"{torch.__version__}, CPU). Numbers are mean ± sample deviation over seeds "
        f"{', '.join(map(str, experiment.seeds))}, in % but for NLL."
    )
    return "\n\n".join([head, *(f"## {k}\n\n{v}" for k, v in parts.items())])


def choose(val: Scores, kind: str) -> str:
    """Returns the detector with the highest mean AUROC on the validation sets."""
    values = {name: val.of(kind, name, "probe|far") for name in val.names(kind)}
    means = {name: sum(found) / len(found) for name, found in values.items() if found}
    return max(means, key=lambda name: means[name])


def cost(weights: Path) -> dict:
    """Returns what is stored beside weights on their training."""
    return json.loads(weights.with_suffix(".cost.json").read_text())


def training(experiment: "Experiment", kinds: Sequence[str]) -> str:
    """Returns what each kind cost."""
    rows = []
    for kind in kinds:
        stages = experiment.stages(kind)
        costs = [
            cost(experiment.weights(stage, one))
            for stage in stages
            for seed in experiment.seeds
            for one in experiment.members(stage, seed)
        ]
        minutes = sum(one["seconds"] for one in costs) / len(experiment.seeds) / 60
        rows.append(
            [
                kind,
                " + ".join(f"{experiment.epochs_of(stage):.1f}" for stage in stages),
                f"{experiment.operations(kind):.3g}",
                f"{minutes:.1f}",
                f"{sum(one['went_back'] > 0 for one in costs)} of {len(costs)}",
            ]
        )
    head = ["kind", "epochs", "operations", "CPU minutes", "runs that went back"]
    return markdown(rows, head)


def settings(experiment: "Experiment") -> str:
    """Returns what the settings were chosen by."""
    rows = []
    for kind, found in json.loads(experiment.choices.read_text()).items():
        for name, by in found["by"].items():
            mark = " (chosen)" if name == found["chosen"] else ""
            values = [f"{100 * by[key]:.2f}" for key in ("accuracy", "auroc")]
            rows.append([kind, f"{name}{mark}", *values])
    return markdown(rows, ["kind", "setting", "accuracy", "AUROC of energy"])


def fitness(experiment: "Experiment", kinds: Sequence[str]) -> str:
    """Returns accuracy, calibration and accuracy under attack."""
    rows = []
    for kind in kinds:
        found = [
            json.loads(experiment.extra(kind, seed).read_text())
            for seed in experiment.seeds
        ]
        row = [kind]
        for name, unit in (("accuracy", 100), ("nll", 1), ("ece", 100)):
            row.append(spread([one["before"][name] for one in found], unit))
        row.append(spread([one["after"]["ece"] for one in found], 100))
        for eps in EPS:
            row.append(spread([one["robust"][f"{eps:g}"] for one in found], 100))
        rows.append(row)
    head = ["kind", "accuracy", "NLL", "ECE", "ECE, scaled"]
    return markdown(rows, [*head, *(f"PGD {eps:g}" for eps in EPS)])


def ood(test: Scores, val: Scores, chosen: Chosen) -> str:
    """Returns AUROCs of the chosen detectors, of energy and of the JEM's score."""
    rows = []
    for kind, best in chosen.items():
        for name in dict.fromkeys([best, "energy", "jem_grad_norm"]):
            values = [val.of(kind, name, "probe|far")]
            values += [test.of(kind, name, role) for role in ("near", "far", "probe")]
            mark = " (chosen)" if name == best else ""
            row = [spread(each, 100) if each else "–" for each in values]
            rows.append([kind, f"{name}{mark}", *row])
    first = next(iter(chosen))
    for name in test.names(first, control=True):
        values = [val.of(first, name, "probe|far")]
        values += [test.of(first, name, role) for role in ("near", "far", "probe")]
        rows.append(["control", name, *(f"{100 * each[0]:.2f}" for each in values)])
    return markdown(rows, ["kind", "detector", "validation", "near", "far", "noise"])


def question(
    test: Scores, chosen: Chosen, jems: Sequence[str], opponents: Sequence[str]
) -> str:
    """Returns the differences of JEMs from their opponents, corrected together."""
    pairs = [(jem, other) for jem in jems for other in opponents]
    found = [
        seed_difference(*(test.of(kind, chosen[kind], "near") for kind in pair))
        for pair in pairs
    ]
    corrected = holm([one.p for one in found])
    rows = [
        [
            f"{jem} ({chosen[jem]})",
            f"{other} ({chosen[other]})",
            f"{100 * one.value:+.2f} [{100 * one.low:+.2f}, {100 * one.high:+.2f}]",
            f"{p:.3g}",
        ]
        for (jem, other), one, p in zip(pairs, found, corrected, strict=True)
    ]
    head = ["kind", "against", "difference of near-OOD AUROC", "p, Holm"]
    wins = [
        jem
        for jem in jems
        if all(
            one.value > 0 and p < 0.05
            for (kind, _), one, p in zip(pairs, found, corrected, strict=True)
            if kind == jem
        )
    ]
    verdict = f"**Better than {' and '.join(opponents)}: {', '.join(wins) or 'none'}.**"
    return f"{markdown(rows, head)}\n\n{verdict}"


def later(
    experiment: "Experiment", test: Scores, chosen: Chosen, kinds: Sequence[str]
) -> str:
    """Returns all that is measured of some kinds, and differences from the first."""
    rows = []
    for kind in kinds:
        for name in dict.fromkeys([chosen[kind], "energy"]):
            values = [test.of(kind, name, role) for role in ("near", "far")]
            rows.append([kind, name, *(spread(each, 100) for each in values)])
    first, *others = kinds
    return "\n\n".join(
        [
            training(experiment, kinds),
            fitness(experiment, kinds),
            markdown(rows, ["kind", "detector", "near", "far"]),
            question(test, chosen, others, [first]),
        ]
    )


def auto_attack(experiment: "Experiment") -> str:
    """Returns the accuracies of seed 0 under PGD and AutoAttack on the same images."""
    rows = []
    for kind in (*KINDS, *LONGER):
        found = json.loads(experiment.extra(kind, "auto").read_text())
        gap = found["PGD"] - found["AutoAttack"]
        rows.append([kind, *(f"{100 * each:.1f}" for each in (*found.values(), gap))])
    head = ["kind", "no attack", "PGD", "AutoAttack", "PGD − AutoAttack"]
    return markdown(rows, head)


def chains(experiment: "Experiment") -> str:
    """Returns whether the chains of each recipe mix, and its bracket of log Z."""
    rows = []
    for kind in JEMS:
        path = experiment.weights(kind, 0).with_name("chains.json")
        found = json.loads(path.read_text())
        mixing = found["chains"]
        rows.append(
            [
                kind,
                f"{mixing['r_hat']:.2f}",
                f"{mixing['effective_samples']:.0f} of {mixing['states']}",
                " to ".join(f"{end:.2f}" for end in found["log_z"]["interval"]),
                f"{found['real']['log_px']['median']:.2f}",
                str(found["samples"]["classes"]),
            ]
        )
    head = ["kind", "R-hat of log p(x)", "effective samples", "log Z"]
    return markdown(rows, [*head, "log p(x) + log Z, test images", "classes reached"])


def every(test: Scores, kinds: Sequence[str], role: str) -> str:
    """Returns the AUROCs of every detector for every kind."""
    names = sorted({name for kind in kinds for name in test.names(kind)})
    rows = []
    for name in names:
        values = [test.of(kind, name, role) for kind in kinds]
        rows.append([name, *(spread(each, 100) if each else "–" for each in values)])
    return markdown(rows, ["detector", *kinds])


def markdown(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Returns a table."""
    return tabulate(rows, head, "pipe", disable_numparse=True)
