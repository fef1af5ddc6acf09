"""Says whether detectors, or kinds of models, differ by more than chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.metrics.intervals import (
    INDEPENDENT,
    Clusters,
    Placements,
    Spread,
    spread,
    tail_of,
)
from oodbench.metrics.ranking import finite

SIGNIFICANCE = 0.05
"""A corrected p-value from which two detectors are not told apart."""


class Difference(NamedTuple):
    """A difference of two AUROCs with its confidence interval, within [-1, 1]."""

    value: float
    low: float
    high: float
    p: float
    """Chance of one at least as large, either way, if there is none in truth."""


class Seeds(NamedTuple):
    """One number over models that differ in their seed alone."""

    mean: float
    deviation: float
    """Of the sample, with N - 1; NaN for a single seed."""


@dataclass(frozen=True)
class Contrast:
    """One of several things beside the one that it is compared with."""

    label: str
    against: str
    difference: Difference
    corrected: float
    """The p-value after Holm's correction over the family."""

    @property
    def told_apart(self) -> bool:
        """Whether the difference is more than chance at 5 %."""
        return self.corrected < SIGNIFICANCE


def delong_difference(
    first: Placements,
    second: Placements,
    clusters: Clusters = INDEPENDENT,
    *,
    level: float = 0.95,
) -> Difference:
    """Returns by how much the AUROC of one detector exceeds another's, same images.

    The difference is the mean over images of the difference in placements; its variance
    is that of DeLong, DeLong and Clarke-Pearson (Biometrics, 1988) with the covariance
    of the two, computed as by Sun and Xu (IEEE Signal Processing Letters, 2014); with
    clusters it is Obuchowski's (Biometrics, 1997). It speaks of one checkpoint.

    Where all images agree, as when both detectors separate the classes, the exact rule
    of `intervals.alike_interval` bounds it over images instead.

    Args:
        first: Of `intervals.placements`.
        second: Of the same images by another detector.
        clusters: Images that share an origin.
        level: Share of samples whose interval holds the true difference.

    Returns:
        (-1, 1) with p = 1 where a class has a single image or cluster.
    """
    sizes = [[part.size for part in one] for one in (first, second)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"Two detectors scored {sizes[0]} and {sizes[1]} images (ID, OOD); "
            "compare them on the same ones."
        )
    apart = Placements(first.inside - second.inside, first.outside - second.outside)
    return _difference(float(apart.inside.mean()), spread(apart, clusters), level)


def seed_difference(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95
) -> Difference:
    """Returns by how much `[S]` AUROCs exceed `[S]` others, paired by their seed.

    Student's t over seeds: it speaks of the recipes that made the models, as far as S
    trainings can tell.

    >>> round(seed_difference([0.9, 0.8, 0.7], [0.8, 0.6, 0.7]).p, 4)  # t = 3 ** 0.5
    0.2254
    """
    apart = finite(first, "first") - finite(second, "second")
    count = apart.size
    if count < 2:
        raise InputError("One seed tells nothing of the spread; give at least two.")
    found = Spread(float(np.var(apart, ddof=1)) / count, count, count - 1)
    return _difference(float(apart.mean()), found, level)


def over_seeds(values: ArrayLike) -> Seeds:
    """Returns mean and sample deviation of `[S]` numbers."""
    array = finite(values, "values")
    deviation = float(np.std(array, ddof=1)) if array.size > 1 else math.nan
    return Seeds(float(array.mean()), deviation)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number, in the given order.

    The smallest of m counts m times, the next m - 1 times, and none less than a smaller
    one, so that the chance of a single false rejection in the family stays below the
    level, whatever depends on what (Holm, Scandinavian Journal of Statistics, 1979).

    >>> holm([0.25, 0.01, 0.02])
    [0.25, 0.03, 0.04]
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(
        sorted(range(len(p_values)), key=p_values.__getitem__)
    ):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(1.0, largest)
    return corrected


def contrasts(
    values: Mapping[str, float],
    between: Callable[[str, str], Difference],
    named: str | None = None,
) -> list[Contrast]:
    """Compares several things with one of them, the p-values corrected by Holm.

    With one that was named beforehand the family is its comparisons. The best by the
    same numbers might have been any other, so its family is all pairs: choosing it then
    does not spoil the p-values.

    Args:
        values: The AUROC of each, by its label.
        between: Returns by how much the first exceeds the second.
        named: What to compare with; None for the best.

    Returns:
        The others in their order.
    """
    one = named or max(values, key=values.__getitem__)
    others = [label for label in values if label != one]
    pairs = (
        [(label, one) for label in others]
        if named
        else list(combinations([*others, one], 2))
    )
    differences = [between(*pair) for pair in pairs]
    corrected = holm([difference.p for difference in differences])
    return [
        Contrast(first, second, difference, p)
        for (first, second), difference, p in zip(
            pairs, differences, corrected, strict=True
        )
        if second == one
    ]


def _difference(value: float, found: Spread, level: float) -> Difference:
    tail = tail_of(level)
    if math.isinf(found.variance):
        return Difference(value, -1.0, 1.0, 1.0)
    if found.variance == 0:
        # All units came out alike; whatever share of others does not may be at ±1.
        alike = tail ** (1 / found.units)
        # With mean 0 no more than 1 / (1 + |value|) of units can lie that far off.
        chance = 2 * (1 + abs(value)) ** -found.units
        low, high = alike * value - (1 - alike), alike * value + (1 - alike)
        return Difference(value, low, high, min(1.0, chance))
    reach = found.quantile(tail) * math.sqrt(found.variance)
    low, high = max(-1.0, value - reach), min(1.0, value + reach)
    return Difference(value, low, high, found.p_value(value))
