"""Whether detectors, or kinds of models, differ by more than chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError
from oodbench.metrics.counted import areas, units_of_differences
from oodbench.metrics.intervals import tail_of
from oodbench.metrics.ranking import FloatArray, finite
from oodbench.metrics.spreads import (
    INDEPENDENT,
    ROUNDING,
    Clusters,
    Placements,
    Spread,
    Units,
    spread_of,
)

SIGNIFICANCE = 0.05
"""A difference is significant if its corrected p-value is below this."""


class Difference(NamedTuple):
    """A difference of two AUROCs with its confidence interval, within [-1, 1]."""

    value: float
    low: float
    high: float
    p: float
    """The chance of a difference at least as large, in either direction, if the true
    difference is 0; in (0, 1]."""


class Seeds(NamedTuple):
    """One number over models that differ only in their seed."""

    mean: float
    deviation: float
    """The sample's standard deviation, with N - 1; NaN for a single seed."""


@dataclass(frozen=True)
class Contrast:
    """The difference of one detector, or model, from another."""

    label: str
    against: str
    """The label of the other one."""
    difference: Difference
    corrected: float
    """The p-value after Holm's correction over the family."""

    @property
    def is_significant(self) -> bool:
        """Whether the difference is more than chance, at 5 % after the correction."""
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
    clusters it is Obuchowski's (Biometrics, 1997). The quantile is Student's, with the
    degrees of freedom of the variance itself, and each class gets one more image that
    differs as much as the most different one, in the other direction: few images then
    cannot show a difference by chance agreement. The result is about one checkpoint.

    Where the variance is 0 but for rounding, because all images agree, the exact rule
    of `intervals.alike_intervals` bounds the difference. With mean 0, no more than the
    share 1 / (1 + |d|) of images can have the difference d, so p is at most
    2 (1 + |d|)^-K for K images: 1 for a few images, however large the difference.

    Args:
        first: Placements of one detector, from `intervals.placements`.
        second: Those of the same images by another detector.
        clusters: Images that share an origin.
        level: Share of samples whose interval contains the true difference, in (0, 1).

    Returns:
        (-1, 1) with p = 1 where a class has a single image or cluster.

    Raises:
        InputError: The detectors scored different numbers of images.
    """
    sizes = [[part.size for part in one] for one in (first, second)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"Two detectors scored {sizes[0]} and {sizes[1]} images (ID, OOD); "
            "compare them on the same ones."
        )
    placed = [np.stack(rows) for rows in zip(first, second, strict=True)]
    (found,) = delong_differences(Placements(*placed), [(0, 1)], clusters, level=level)
    return found


def delong_differences(
    placed: Placements,
    pairs: Sequence[tuple[int, int]],
    clusters: Clusters = INDEPENDENT,
    *,
    level: float = 0.95,
) -> list[Difference]:
    """Returns `delong_difference` for pairs of detectors, bit for bit.

    Args:
        placed: `[D, N]` and `[D, M]`, the placements of the same images by D detectors.
        pairs: The first and the second detector of each pair, from 0.
        clusters: Images that share an origin.
        level: As in `delong_difference`.
    """
    if not pairs:
        return []
    rows = np.array(pairs)
    area = areas(placed)
    values = area[rows[:, 0]] - area[rows[:, 1]]
    units = units_of_differences(placed, rows, clusters)
    return _differences(values, *_spreads(values, units), level)


def seed_difference(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95
) -> Difference:
    """Returns by how much `[S]` AUROCs exceed `[S]` others, paired by their seed.

    Student's paired t over seeds. The result is about the recipes that made the models,
    as far as S trainings can show. Where all seeds have the same difference but for
    rounding, it is bounded as in `delong_difference`.

    Args:
        first: `[S]`, in [0, 1].
        second: `[S]`, of the same seeds.
        level: Share of samples whose interval contains the true difference, in (0, 1).

    Raises:
        InputError: There are fewer than two seeds, or the numbers of seeds differ.

    >>> round(seed_difference([0.9, 0.8, 0.7], [0.8, 0.6, 0.7]).p, 4)  # t = 3 ** 0.5
    0.2254
    """
    one, other = finite(first, "first"), finite(second, "second")
    if one.size != other.size:
        raise InputError(
            f"There are {one.size} and {other.size} seeds to compare; pair the AUROCs "
            "of the same seeds."
        )
    apart = one - other
    count = apart.size
    if count < 2:
        raise InputError("A single seed has no spread; give at least two seeds.")
    rounding = ROUNDING * max(np.abs(one).max(), np.abs(other).max())
    variance = np.var(apart, ddof=1) / count if np.ptp(apart) > rounding else 0.0
    spread = Spread(np.array([variance]), count, np.array([count - 1.0]))
    (found,) = _differences(np.array([apart.mean()]), spread, spread, level)
    return found


def over_seeds(values: ArrayLike) -> Seeds:
    """Returns mean and sample deviation of `[S]` numbers."""
    array = finite(values, "values")
    deviation = float(np.std(array, ddof=1)) if array.size > 1 else math.nan
    return Seeds(float(array.mean()), deviation)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number, in the given order.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none becomes less
    than a smaller one. The chance of any false rejection in the family then stays below
    the level, also if the tests depend on each other (Holm, Scandinavian Journal of
    Statistics, 1979).

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
    between: Callable[[list[tuple[str, str]]], Sequence[Difference]],
    named: str | None = None,
) -> list[Contrast]:
    """Compares detectors, or models, with one of them; p-values are corrected by Holm.

    If the one was named beforehand, the family of tests is the comparisons with it. If
    it is the best of the same numbers, it might have been any other, so the family is
    all pairs: the choice of the best then does not make the p-values too small.

    Args:
        values: The AUROC of each, by its label.
        between: Returns by how much the first exceeds the second of each pair.
        named: The label to compare with; None for the best.

    Returns:
        One contrast for each of the others, in their order.
    """
    one = named or max(values, key=values.__getitem__)
    others = [label for label in values if label != one]
    pairs = (
        [(label, one) for label in others]
        if named
        else list(combinations([*others, one], 2))
    )
    differences = between(pairs)
    corrected = holm([difference.p for difference in differences])
    return [
        Contrast(first, second, difference, p)
        for (first, second), difference, p in zip(
            pairs, differences, corrected, strict=True
        )
        if second == one
    ]


def between_seeds(
    values: Mapping[str, ArrayLike], named: str | None = None
) -> list[Contrast]:
    """Compares detectors over models that differ in their seed, as `contrasts` does.

    Args:
        values: `[S]` AUROCs of each detector, of the same models in the same order.
        named: The label to compare with; None for the one with the best mean.
    """
    return contrasts(
        {label: over_seeds(each).mean for label, each in values.items()},
        lambda pairs: [seed_difference(values[a], values[b]) for a, b in pairs],
        named,
    )


def _spreads(values: FloatArray, units: Sequence[Units]) -> tuple[Spread, Spread]:
    """Returns how far differences of AUROCs `[P]` vary, down and up.

    Each class gets one more image or cluster that the sample may have missed; it
    differs as much as the most different one in the sample, downwards in the first
    spread and upwards in the second. Where all units are equal, or a class has one
    unit, none is added.
    """
    count = min(unit.count for unit in units)
    if count < 2:
        return spread_of(units), spread_of(units)
    largest = [
        np.maximum(np.abs(unit.lowest + values), np.abs(unit.highest + values))
        for unit in units
    ]
    differ = np.any([unit.largest for unit in units], axis=0)

    def towards(sign: int) -> Spread:
        found = spread_of(units, [sign * most - values for most in largest])
        variance = np.where(differ, found.variance, 0)
        return Spread(variance, count, np.where(differ, found.freedom, math.inf))

    return towards(-1), towards(1)


def _differences(
    values: FloatArray, below: Spread, above: Spread, level: float
) -> list[Difference]:
    """Returns differences `[P]` from their spreads towards the low and the high end."""
    tail, units = tail_of(level), below.units
    if units < 2:
        return [Difference(value, -1.0, 1.0, 1.0) for value in values.tolist()]
    # A share of units that the sample missed may differ by ±1.
    alike = tail ** (1 / units)
    low, high = alike * values - (1 - alike), alike * values + (1 - alike)
    p = 2 * (1 + np.abs(values)) ** -units
    varies = np.asarray(below.variance) > 0
    if varies.any():
        down, up = (_rows(spread, varies) for spread in (below, above))
        some = values[varies]
        low[varies] = some - down.quantile(tail) * np.sqrt(down.variance)
        high[varies] = some + up.quantile(tail) * np.sqrt(up.variance)
        p[varies] = np.where(some > 0, down.p_value(some), up.p_value(some))
    ends = np.maximum(low, -1), np.minimum(high, 1), np.minimum(p, 1)
    rows = zip(values.tolist(), *(end.tolist() for end in ends), strict=True)
    return [Difference(*row) for row in rows]


def _rows(spread: Spread, chosen: NDArray[np.bool_]) -> Spread:
    variance, freedom = np.asarray(spread.variance), np.asarray(spread.freedom)
    return Spread(variance[chosen], spread.units, freedom[chosen])
