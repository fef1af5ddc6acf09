"""Tables of accuracy and calibration, before and after temperature scaling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from oodbench.output.numbers import DIGITS, with_deviation
from oodbench.results.fitness import Fitness
from oodbench.results.recalibrated import Recalibrated

CLASSIFICATION = ("accuracy %", "NLL", "Brier", "ECE %", "adaptive ECE %")


def layout_fitness(
    found: Sequence[Fitness], decimals: int = DIGITS, *, kind: str = "in"
) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the table of accuracies and calibration.

    Args:
        found: On in-distribution sets, or on shifted ones.
        decimals: Digits behind the point of numbers in %.
        kind: What the head calls the sets.
    """
    head = ["model", kind, "images", *CLASSIFICATION]
    rows = [
        [
            one.model + (" (near chance!)" if one.is_chance else ""),
            one.set,
            str(one.images),
            *classification(one.values, decimals),
        ]
        for one in found
    ]
    return head, rows


def layout_recalibrated(
    found: Sequence[Recalibrated],
) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of the table of what temperature scaling changes."""
    head = ["model", "scaling", "T", *CLASSIFICATION]
    rows = [
        [one.model["name"], when, f"{t:#.4g}", *classification(graded.values)]
        for one in found
        for when, t, graded in (
            ("before", 1.0, one.before),
            ("after", one.temperature, one.after),
        )
    ]
    return head, rows


def classification(values: Mapping[str, float], decimals: int = DIGITS) -> list[str]:
    """Returns the numbers of `calibration.summary` as text below `CLASSIFICATION`."""

    def text(name: str, scale: float, digits: int) -> str:
        deviation = values.get(f"{name}_deviation", math.nan)
        return with_deviation(scale * values[name], scale * deviation, digits)

    shown = {"accuracy": 1, "nll": 0.01, "brier": 0.01, "ece": 1, "adaptive_ece": 1}
    return [
        text(name, scale, decimals if scale == 1 else 4) if name in values else "–"
        for name, scale in shown.items()
    ]
