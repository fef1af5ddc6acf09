"""What is written of attacks: a record in JSON, rows of tables, sets of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from oodbench.attacks.ball import LEVELS, Norm
from oodbench.attacks.plan import Attacked, Plan
from oodbench.attacks.robust_accuracy import Robustness
from oodbench.attacks.rounding import Rounded
from oodbench.attacks.targets import Refined, Target
from oodbench.base.files import (
    Record,
    folder_name,
    json_bytes,
    key_of,
    write_atomically,
)

SCHEMA = 1
ALL = "all attacks"
FEW = 32
"""Radii up to so many levels of an 8-bit image are written as such."""

Rows = list[list[str]]


def eps_text(eps: float, norm: Norm) -> str:
    """Returns how a radius is written.

    >>> eps_text(8 / 255, "linf"), eps_text(0.5, "l2"), eps_text(0, "l2")
    ('8/255', '0.5', 'clean')
    """
    if not eps:
        return "clean"
    levels = eps * LEVELS
    if norm == "linf" and abs(levels - round(levels)) < 1e-6 and levels < FEW + 1:
        return f"{round(levels)}/{LEVELS}"
    return f"{eps:.4g}"


def accuracy_rows(attacked: Attacked, norm: Norm) -> tuple[list[str], Rows]:
    """Returns head and rows of the robust accuracies, in %, of one network."""
    first = attacked.robustness[0]
    head = ["target", "attack", *(eps_text(eps, norm) for eps in first.eps)]
    rows = []
    for one in attacked.robustness:
        lines = one.by_attack
        if len(lines) > 1:
            lines = {ALL: one.accuracy, **lines}
        if kept := attacked.rounded.get(one.target.title):
            after = [each.accuracy for each in kept]
            lines[f"{ALL}, in 8 bits"] = [one.accuracy[0], *after]
        rows += [[one.target.title, *_line(name, lines[name])] for name in lines]
    return head, rows


def auroc_rows(attacked: Attacked, norm: Norm) -> tuple[list[str], Rows]:
    """Returns head and rows of the worst-case AUROCs, in %, of one network."""
    first = attacked.worst_cases[0]
    head = ["set", "detector", *(eps_text(eps, norm) for eps in first.eps)]
    return head, [
        [one.outside, *_line(one.detector, one.auroc)] for one in attacked.worst_cases
    ]


def write(plan: Plan, found: Sequence[Attacked], folder: Path) -> Path:
    """Writes all numbers with all that decides them, and the images that were kept.

    Args:
        plan: What was attacked.
        found: What the attacks came to, by network.
        folder: Where the files go.

    Returns:
        The record's path, whose stem whatever else belongs to it shares.
    """
    suite = asdict(plan.suite)
    content = {
        "kind": "oodbench attack",
        "schema": SCHEMA,
        "suite": suite,
        "attacked_images": plan.count,
        "models": [_of_network(one) for one in found],
    }
    sets = [(one.model["key"], one.inside["key"]) for one in found]
    rest = plan.count, plan.refine, plan.detectors, [each.name for each in plan.out]
    key = key_of(suite, rest, sets)
    stem = folder_name(f"attack-{plan.inside.name}-{plan.suite.norm}", key)
    for one in found:
        for target, kept in one.rounded.items():
            for each in kept:
                radius = eps_text(each.eps, plan.suite.norm)
                label = f"{one.model['name']}-{target}-{radius}"
                name = folder_name(label, one.model["key"])
                each.write(folder / stem / f"{name}.npz")
    path = folder / f"{stem}.json"
    write_atomically(path, json_bytes(content))
    return path


def _of_network(one: Attacked) -> Record:
    return {
        "model": one.model,
        "inside": one.inside,
        "outside": one.outside,
        "run": one.run,
        "notes": one.notes(),
        "robust_accuracy": [
            _of_target(each, one.rounded.get(each.target.title, []))
            for each in one.robustness
        ],
        "worst_case_auroc": [asdict(each) for each in one.worst_cases],
    }


def _of_target(one: Robustness, kept: Sequence[Rounded]) -> Record:
    return {
        "target": _describe(one.target),
        "eps": one.eps,
        "accuracy": one.accuracy,
        "by_attack": one.by_attack,
        "falls_at": one.falls_at(),
        "in_8_bits": [
            {"eps": each.eps, "accuracy": each.accuracy, "farthest": each.farthest}
            for each in kept
        ],
    }


def _describe(target: Target) -> Record:
    if not isinstance(target, Refined):
        return {"title": target.title}
    return {
        "title": target.title,
        "sampler": asdict(target.sampler),
        "duplicates": target.duplicates,
        "input_noise": target.input_noise,
    }


def _line(name: str, rates: Sequence[float]) -> list[str]:
    return [name, *(f"{100 * rate:.1f}" for rate in rates)]
