"""How well models classify the in-distribution set, from what a run stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oodbench.metrics import calibration
from oodbench.results.groups import Group

GRADES = {"labels", "predictions", "confidences", "nll", "brier"}
"""Arrays that accuracy and calibration are computed from."""


@dataclass(frozen=True)
class Fitness:
    """How well one model classifies its in-distribution set."""

    model: str
    inside: str
    images: int
    classes: int
    values: dict[str, float]
    """`accuracy`, `nll`, `brier`, `ece`, `adaptive_ece`."""

    @property
    def is_chance(self) -> bool:
        """Whether the model guesses: mostly wrong preprocessing or label order."""
        return self.values["accuracy"] < 1.5 / self.classes


def fitness(group: Group) -> Fitness | None:
    """Returns how well a model classifies its in-set; None where `lack` says why."""
    if lack(group):
        return None
    arrays = group.inside.arrays
    return Fitness(
        model=group.model,
        inside=group.inside.name,
        images=len(arrays["nll"]),
        classes=group.inside.record["model"]["classes"],
        values=calibration.summary(
            arrays["labels"],
            arrays["predictions"],
            confidence=arrays["confidences"],
            nll=arrays["nll"],
            brier=arrays["brier"],
        ),
    )


def lack(group: Group) -> str:
    """Returns why a model has no accuracy; empty where it has one."""
    arrays, name = group.inside.arrays, group.inside.name
    if "labels" not in arrays:
        return f"{name} has no labels"
    if not arrays.keys() >= GRADES:
        return f"the labels of {name} are not the classes of the model"
    if not np.isfinite(arrays["nll"]).all():
        return f"its losses on {name} are not finite"
    return ""
