"""How well models classify images of their classes, from what a run stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oodbench.base.errors import InputError
from oodbench.metrics import calibration
from oodbench.results.groups import Group, StoredSet

GRADES = {"labels", "predictions", "confidences", "nll", "brier"}
"""Arrays that accuracy and calibration are computed from."""


@dataclass(frozen=True)
class Fitness:
    """How well one model classifies the in-distribution set, or that set shifted."""

    model: str
    set: str
    """Its name."""
    images: int
    classes: int
    values: dict[str, float]
    """`accuracy`, `nll`, `brier`, `ece`, `adaptive_ece`; of imported predictions only
    `accuracy`."""

    @property
    def is_chance(self) -> bool:
        """Whether the model guesses: mostly wrong preprocessing or label order."""
        return self.values["accuracy"] < 1.5 / self.classes


def fitness(group: Group, one: StoredSet) -> Fitness | None:
    """Returns how well a model classifies a set of its classes; None if not known.

    Args:
        group: All that is stored of the model.
        one: The in-distribution set, where `lack` says why, or a shifted one.
    """
    found = _fitness(group, one)
    return None if isinstance(found, str) else found


def lack(group: Group) -> str:
    """Returns why a model has no accuracy; empty where it has one."""
    found = _fitness(group, group.inside)
    return found if isinstance(found, str) else ""


def _fitness(group: Group, one: StoredSet) -> Fitness | str:
    arrays, name = one.arrays, one.name
    if "labels" not in arrays:
        return f"{name} has no labels"
    if group.is_imported and "predictions" in arrays:
        right = calibration.accuracy(arrays["labels"], arrays["predictions"])
        return _of(group, one, {"accuracy": right})
    if group.is_imported:
        return f"no predictions on {name} are imported"
    if not arrays.keys() >= GRADES:
        return f"the labels of {name} are not the classes of the model"
    # An infinite loss is that of a masked class; NaN is a fault.
    if np.isnan(arrays["nll"]).any():
        return f"its losses on {name} are not numbers"
    try:
        values = calibration.summary(
            arrays["labels"],
            arrays["predictions"],
            confidence=arrays["confidences"],
            nll=arrays["nll"],
            brier=arrays["brier"],
        )
    except InputError as error:
        return f"what is stored of {name} is damaged: {str(error).rstrip('.')}"
    return _of(group, one, values)


def _of(group: Group, one: StoredSet, values: dict[str, float]) -> Fitness:
    known = group.inside.record["model"]["classes"]
    return Fitness(
        model=group.model,
        set=one.name,
        images=one.record["set"]["images"],
        # A file imported later may be without labels, and does not know them.
        classes=known or int(one.arrays["labels"].max()) + 1,
        values=values,
    )
