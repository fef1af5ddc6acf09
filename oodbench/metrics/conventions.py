"""The metrics as published protocols compute them, on images as drawn.

Protocols differ in the positive class, in the threshold that stands for a true positive
rate of 95 %, and in the area below the precision-recall curve. For the same scores they
give different numbers, most of all where scores tie or classes differ in size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown
from oodbench.metrics import ranking
from oodbench.metrics.order import Counts

TPR = 0.95
FIGURES = ("auroc", "fpr95", "aupr_in", "aupr_out")


def first_fpr(counts: Counts) -> float:
    """Returns the FPR at the highest threshold that at least 95 % of positives reach.

    pytorch-ood 0.4.0 (Kirchheim, Filax and Ortmeier, CVPR Workshops 2022).
    """
    return float(ranking.fpr(counts, TPR))


def corner_fpr(counts: Counts) -> float:
    """Returns the FPR at the first corner of the ROC curve with TPR ≥ 95 %.

    scikit-learn's `roc_curve` leaves out points on a straight line between others, so
    that the corner may lie behind the threshold of `first_fpr`. OpenOOD (Yang et al.,
    NeurIPS 2022, arXiv 2210.07242).
    """
    positives, negatives = counts.positives[1:], counts.negatives[1:]
    bends = (np.diff(positives, 2) != 0) | (np.diff(negatives, 2) != 0)
    corners = np.ones(positives.size, dtype=bool)
    corners[1:-1] = bends
    reached = corners & (positives / positives[-1] >= TPR)
    return int(negatives[np.argmax(reached)]) / int(negatives[-1])


def nearest_fpr(counts: Counts) -> float:
    """Returns the FPR at the threshold whose TPR is nearest to 95 %, perhaps below it.

    Of two equally near ones it is the one with more false positives. Outlier Exposure
    (Hendrycks, Mazeika and Dietterich, ICLR 2019, arXiv 1812.04606).
    """
    positives, negatives = counts.positives[1:], counts.negatives[1:]
    full = int(np.argmax(positives == positives[-1]))
    rates = positives[full::-1] / positives[-1]
    place = full - int(np.argmin(np.abs(rates - TPR)))
    return int(negatives[place]) / int(negatives[-1])


def above_fpr(counts: Counts) -> float:
    """Returns the share of negatives strictly above the positive at 5 % from below.

    Its place among N positives in ascending order is round(0.05 N), from 0.
    DICE (Sun and Li, ECCV 2022, arXiv 2111.09805).
    """
    total = int(counts.positives[-1])
    place = np.searchsorted(counts.positives, total - round(0.05 * total))
    return int(counts.negatives[place - 1]) / int(counts.negatives[-1])


def average_precision(counts: Counts) -> float:
    """Returns the sum of precisions, each times the step in recall before it."""
    precision = counts.positives[1:] / (counts.positives[1:] + counts.negatives[1:])
    return float(np.sum(np.diff(counts.positives) * precision) / counts.positives[-1])


def trapezoid(counts: Counts, start: float = 1.0) -> float:
    """Returns the area below the precision-recall curve with straight lines.

    Args:
        counts: The images that score at least each threshold.
        start: The precision at recall 0: 1 in scikit-learn's curve, 0 in DICE's code.
    """
    precision = counts.positives[1:] / (counts.positives[1:] + counts.negatives[1:])
    recall = counts.positives / counts.positives[-1]
    return float(np.trapezoid(np.append(start, precision), recall))


class Rule(NamedTuple):
    """One way to compute a metric."""

    value: Callable[[Counts], float]
    words: str
    """What stands in titles of tables."""


THRESHOLDS: Mapping[str, Rule] = MappingProxyType(
    {
        "first": Rule(first_fpr, "at the first threshold that finds 95 % of them"),
        "corner": Rule(
            corner_fpr, "at the first corner of the ROC curve that finds 95 % of them"
        ),
        "nearest": Rule(
            nearest_fpr, "at the threshold that finds nearest to 95 % of them"
        ),
        "above": Rule(above_fpr, "strictly above the score at 5 % of them"),
    }
)
"""The rules of FPR95 by name."""
AREAS: Mapping[str, Rule] = MappingProxyType(
    {
        "average": Rule(average_precision, "average precision"),
        "trapezoid": Rule(trapezoid, "by trapezoids"),
        "trapezoid-from-0": Rule(
            lambda counts: trapezoid(counts, 0.0), "by trapezoids from precision 0"
        ),
    }
)
"""The rules of AUPR by name."""


@dataclass(frozen=True)
class Rules:
    """How a protocol computes its metrics.

    Raises:
        InputError: There is no such rule.
    """

    positive: str
    """`out` or `in`: the images that FPR95 has to find."""
    threshold: str
    """A name of `THRESHOLDS`."""
    area: str
    """A name of `AREAS`."""

    def __post_init__(self) -> None:
        for noun, name, known in (
            ("positive class", self.positive, ("in", "out")),
            ("rule of FPR95", self.threshold, THRESHOLDS),
            ("rule of AUPR", self.area, AREAS),
        ):
            if name not in known:
                raise InputError(unknown(noun, name, known))

    def title(self, metric: str) -> str:
        """Returns the words above a table of one of `FIGURES`."""
        kinds = {"in": "in-distribution images", "out": "OOD images"}
        if metric == "fpr95":
            threshold = THRESHOLDS[self.threshold].words
            return f"FPR95 in %, {kinds[self.positive]} positive, {threshold}"
        if metric == "auroc":
            return "AUROC in %"
        positive = kinds[metric.removeprefix("aupr_")]
        return f"AUPR in %, {positive} positive, {AREAS[self.area].words}"

    def figures(self, id_scores: ArrayLike, ood_scores: ArrayLike) -> dict[str, float]:
        """Returns each of `FIGURES` for `[N]` ID and `[M]` OOD scores, in [0, 1].

        >>> rules = Rules("out", "first", "average")
        >>> rules.figures([3, 2], [2, 1])["fpr95"]  # finding both accuses one of two
        0.5
        """
        counts = ranking.count(id_scores, ood_scores)
        mirrored = ranking.count(id_scores, ood_scores, "openood")
        sought = counts if self.positive == "in" else mirrored
        area = AREAS[self.area].value
        return {
            "auroc": float(ranking.area(counts)),
            "fpr95": THRESHOLDS[self.threshold].value(sought),
            "aupr_in": area(counts),
            "aupr_out": area(mirrored),
        }
