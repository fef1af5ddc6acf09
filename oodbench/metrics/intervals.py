"""How far the AUROC of a sample may be from the AUROC of all such images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError
from oodbench.metrics.ranking import (
    Counts,
    FloatArray,
    Places,
    counts_of,
    places_of,
)

ROUNDING = 1e-12
"""Relative differences below this are rounding errors; one image changes far more."""
Numbers = float | FloatArray
"""One number, or `[P]`."""
FEW_IMAGES = 40
"""An AUROC that fewer images decide depends on images that the sample may lack."""


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Placements(NamedTuple):
    """What each image adds to the AUROC, which is the mean of either row."""

    inside: FloatArray
    """`[N]`: the share of OOD images below each ID image; ties count half."""
    outside: FloatArray
    """`[M]`: the share of ID images above each OOD image; ties count half."""


class Clusters(NamedTuple):
    """Which images of either class share an origin and are drawn together."""

    inside: ArrayLike | None = None
    """`[N]`, equal for images of one origin; None where every image has its own."""
    outside: ArrayLike | None = None
    """`[M]`."""


INDEPENDENT = Clusters()


@dataclass(frozen=True)
class Units:
    """How far images, or clusters, of one class deviate from the mean, in P rows.

    A deviation is by how much a unit moves the mean, times their number. All of a row
    are 0 where they are equal but for rounding.
    """

    count: int
    """How many units a row has."""
    lowest: FloatArray
    """`[P]`, the lowest deviation, and the highest."""
    highest: FloatArray
    sums: FloatArray
    """`[4, P]`, the sums of the deviations and of their squares, cubes and fourths."""

    @property
    def largest(self) -> FloatArray:
        """`[P]`, the largest deviation in either direction."""
        return np.maximum(-self.lowest, self.highest)

    def mirrored(self) -> Units:
        """Returns the same with the sign of each deviation turned."""
        signs = np.array([[-1], [1], [-1], [1]])
        return Units(self.count, -self.highest, -self.lowest, signs * self.sums)


class Spread(NamedTuple):
    """How far a mean of placements, or P means, vary from sample to sample."""

    variance: Numbers
    """At least 0; infinity where a class has a single image or cluster."""
    units: int
    """Images, or clusters, of the class that has fewer."""
    freedom: Numbers
    """Degrees of freedom of the variance; infinity where the variance is 0."""

    def quantile(self, tail: float) -> Numbers:
        """Returns how many standard errors leave `tail` in (0, 1/2) above them."""
        from scipy.special import stdtrit

        return -stdtrit(self.freedom, tail)

    def p_value(self, value: Numbers) -> Numbers:
        """Returns the chance that a mean of 0 comes out as far off as `value`."""
        from scipy.special import stdtr

        return 2 * stdtr(self.freedom, -np.abs(value) / np.sqrt(self.variance))


def delong_interval(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    clusters: Clusters = INDEPENDENT,
    *,
    level: float = 0.95,
) -> Interval:
    """Returns a confidence interval of the AUROC within [0, 1], over samples of images.

    Each end is a step of DeLong's standard errors along logit(AUROC), which keeps it
    within [0, 1] (Pepe, The Statistical Evaluation of Medical Tests for Classification
    and Prediction, Oxford University Press, 2003). Two changes make it hold its level
    where few images decide the AUROC:

    - The quantile is Student's, with the degrees of freedom of the variance itself.
    - Each class gets one more image that the sample may have missed. Its shortfall,
      the share of the other class on its wrong side, is the square root of the largest
      one in the sample: the geometric mean of the worst seen and the worst possible.

    No end is farther off than the exact binomial bound of Clopper and Pearson
    (Biometrika, 1934) for as many pairs of images as the smaller class allows.
    `docs/intervals.md` has the coverage. Images, or else clusters, are independent.

    Args:
        id_scores: `[N]`, finite.
        ood_scores: `[M]`, finite.
        clusters: Images that share an origin.
        level: Share of samples whose interval contains the true AUROC, in (0, 1).

    Returns:
        The interval, which contains the AUROC of the sample. It is `alike_interval`
        where the classes are separated or all scores are tied, and (0, 1) where a class
        has a single image or cluster.

    >>> round(delong_interval([2] * 100, [1] * 100).low, 4)  # 0.025 ** (1 / 100)
    0.9638
    """
    return placements_interval(placements(id_scores, ood_scores), clusters, level=level)


def placements_interval(
    means: Placements, clusters: Clusters = INDEPENDENT, *, level: float = 0.95
) -> Interval:
    """Returns `delong_interval` from the placements of both classes."""
    tail = tail_of(level)
    # Rounded once, so that the order of the images does not change a bit.
    area = math.fsum(means.inside.tolist()) / means.inside.size
    units = deviations(means, clusters)
    count = min(unit.count for unit in units)
    if count < 2:
        return Interval(0.0, 1.0)
    if not any(unit.largest.any() for unit in units):
        return alike_interval(area, count, level=level)
    mirrored = [unit.mirrored() for unit in units]
    return Interval(_low_end(area, units, tail), 1 - _low_end(1 - area, mirrored, tail))


def alike_interval(share: float, units: int, *, level: float = 0.95) -> Interval:
    """Returns an interval within [0, 1] of a share that is the same in all of K units.

    An exact test (Clopper and Pearson, Biometrika, 1934). For an AUROC, pair each image
    of the smaller class with one of the other: all K pairs agreed. If a share c
    of all pairs does, the chance of that is c^K, so c is at least
    `((1 - level) / 2) ** (1 / K)`; the rest may be in either order. For separated
    classes this is the best that is valid for every distribution: a kind of image that
    the sample happened to miss can be on the wrong side of all others.
    """
    alike = tail_of(level) ** (1 / units)
    return Interval(alike * share, 1 - alike * (1 - share))


def few_decide(means: Placements, clusters: Clusters = INDEPENDENT) -> float:
    """Returns how many images, or clusters, decide the AUROC, of the scarcer class.

    This is the participation ratio (Σ w)² / Σ w² of the shortfalls w = 1 − placement:
    K if K images share the shortfall equally and the others have none. Below
    `FEW_IMAGES`, another sample may give quite another AUROC. For an AUROC below 1/2
    the placements themselves are the scarcer side, so the smaller ratio counts.

    Returns:
        In [0, N] and [0, M]; 0 where the classes are separated.

    >>> few_decide(placements([3, 4, 5, 6], [1, 2, 3.5, 4.5]))  # shortfalls 2, 1 and 1
    1.8
    """
    return min(
        _participation(weights, labels, name)
        for row, labels, name in zip(means, clusters, Clusters._fields, strict=True)
        for weights in (1 - row, row)
    )


def placements(id_scores: ArrayLike, ood_scores: ArrayLike) -> Placements:
    """Returns the placements of `[N]` ID and `[M]` OOD scores, in their order.

    They come from sorted scores rather than from all pairs, O((N + M) log(N + M)) as
    with the mid-ranks of Sun and Xu (IEEE Signal Processing Letters, 2014).
    """
    places = places_of(id_scores, ood_scores)
    return placements_at(places, counts_of(places))


def placements_at(places: Places, counts: Counts) -> Placements:
    """Returns the placements from the places of all scores, and the counts there."""
    positives, negatives = counts
    # Twice the images above each score, those that tie with it counted once.
    above = positives[1:] + positives[:-1], negatives[1:] + negatives[:-1]
    return Placements(
        (2 * negatives[-1] - above[1][places.inside]) / (2 * negatives[-1]),
        above[0][places.outside] / (2 * positives[-1]),
    )


def spreads_of_differences(
    differences: Placements, clusters: Clusters = INDEPENDENT
) -> tuple[Spread, Spread]:
    """Returns how far the means of differences of placements vary, down and up.

    Each class gets one more image or cluster that the sample may have missed; it
    differs as much as the most different one in the sample, downwards in the first
    spread and upwards in the second. Where all units are equal, or a class has one
    unit, none is added.

    Args:
        differences: `[P, N]` and `[P, M]`, placements of P detectors less those of
            others, in [-1, 1]. A row's result does not depend on the other rows.
        clusters: Images that share an origin.
    """
    values = differences.inside.mean(axis=-1)
    units = deviations(differences, clusters)
    count = min(unit.count for unit in units)
    if count < 2:
        return spreads_of(units), spreads_of(units)
    largest = [
        np.maximum(np.abs(unit.lowest + values), np.abs(unit.highest + values))
        for unit in units
    ]
    differ = np.any([unit.largest for unit in units], axis=0)

    def towards(sign: int) -> Spread:
        found = spreads_of(units, [sign * most - values for most in largest])
        variance = np.where(differ, found.variance, 0)
        return Spread(variance, count, np.where(differ, found.freedom, math.inf))

    return towards(-1), towards(1)


def deviations(means: Placements, clusters: Clusters) -> list[Units]:
    """Returns the units of both classes, from placements `[N]`, or `[P, N]` of rows."""
    return [
        _units(np.atleast_2d(values), labels, name)
        for values, labels, name in zip(means, clusters, Clusters._fields, strict=True)
    ]


def spread_of(units: Sequence[Units], missed: Sequence[float] | None = None) -> Spread:
    """Returns the spread of a mean from its deviations in each class.

    Args:
        units: Of each class, one row.
        missed: For each class the deviation of one more unit, which the sample missed.
    """
    # Numbers take a tenth of the time of arrays of one number.
    single = [replace(unit, sums=unit.sums[:, 0]) for unit in units]
    found = spreads_of(single, missed)
    return Spread(float(found.variance), found.units, float(found.freedom))


def spreads_of(
    units: Sequence[Units], missed: Sequence[Numbers] | None = None
) -> Spread:
    """Returns the spreads of P means from their deviations in each class.

    The variance is the sum of the variances of the two classes (DeLong, DeLong and
    Clarke-Pearson, Biometrics, 1988). Images that share an origin count together
    (Obuchowski, Biometrics, 1997).

    Args:
        units: Of each class, P rows.
        missed: For each class `[P]`, the deviations of one more unit.
    """
    more = [None] * len(units) if missed is None else missed
    counts = [unit.count + (missed is not None) for unit in units]
    if min(counts) < 2:
        endless = np.full_like(units[0].sums[0], math.inf)
        return Spread(endless, min(counts), endless)
    return _spread(counts, list(map(_moments, units, more)))


def logit_step(value: float, found: Spread, sign: int, tail: float) -> float:
    """Returns the low (−1) or high (1) end of an interval of a value in (0, 1)."""
    # The logit has the slope 1 / (v (1 - v)); a step along it stretches the odds.
    error = float(np.sqrt(found.variance)) / (value * (1 - value))
    logit = math.log(value / (1 - value)) + sign * float(found.quantile(tail)) * error
    return (1 + math.tanh(logit / 2)) / 2


def cluster_numbers(
    labels: ArrayLike, images: int, name: str
) -> tuple[NDArray[np.intp], int]:
    """Returns the clusters `[N]` numbered from 0, and how many there are."""
    if np.shape(labels) != (images,):
        raise InputError(
            f"The clusters of the {name} images have the shape "
            f"{list(np.shape(labels))}; give one number for each of {images} images."
        )
    kinds, numbers = np.unique(labels, return_inverse=True)
    return numbers, kinds.size


def tail_of(level: float) -> float:
    """Returns the chance that either end of a two-sided interval leaves outside."""
    if not 0 < level < 1:
        raise InputError(f"A confidence level of {level} is not in (0, 1).")
    return (1 - level) / 2


def _low_end(area: float, units: Sequence[Units], tail: float) -> float:
    """Returns the low end of the interval of an AUROC in (0, 1)."""
    from scipy.special import betaincinv

    count = min(unit.count for unit in units)
    binomial = float(betaincinv(count * area, count * (1 - area) + 1, tail))
    missed = [_missed_image(unit, area) for unit in units]
    return min(
        area, max(binomial, logit_step(area, spread_of(units, missed), -1, tail))
    )


def _missed_image(units: Units, area: float) -> float:
    """Returns the deviation of the placement of an image that a sample missed."""
    largest_shortfall = min(max(1 - area - float(units.lowest[0]), 0.0), 1.0)
    return 1 - math.sqrt(largest_shortfall) - area


def _moments(units: Units, missed: Numbers | None) -> tuple[Any, Any]:
    """Returns the second and fourth central moments of each row, with a missed unit."""
    if missed is None:
        return units.sums[1] / units.count, units.sums[3] / units.count
    square = missed * missed
    added = np.array([missed, square, square * missed, square * square])
    mean, two, three, four = (units.sums + added) / (units.count + 1)
    fourth = four - 4 * mean * three + 6 * mean**2 * two - 3 * mean**4
    return two - mean**2, fourth


def _spread(counts: Sequence[int], moments: Sequence[tuple[Any, Any]]) -> Spread:
    """Returns a spread from the units of each class and their moments."""
    variance, doubt = 0.0, 0.0
    for count, (second, fourth) in zip(counts, moments, strict=True):
        part = second / (count - 1)
        normal = 2 * part**2 / (count - 1)
        # The fourth moment is too low in small samples, so it may only add doubt.
        of_part = (fourth - second**2 * (count - 3) / (count - 1)) / count**3
        variance, doubt = variance + part, doubt + np.maximum(normal, of_part)
    # Satterthwaite (Biometrics Bulletin, 1946): as many as a variance has that is
    # equally uncertain and comes from normal values.
    freedom = 2 * variance**2 / np.where(doubt > 0, doubt, 1)
    return Spread(variance, min(counts), np.where(doubt > 0, freedom, math.inf))


def _units(values: FloatArray, labels: ArrayLike | None, name: str) -> Units:
    """Returns the units of P rows `[P, N]` of one class."""
    # Sorted, so that the order of the images does not change a bit of the sums.
    found = np.sort(values, axis=-1)
    means = found.mean(axis=-1, keepdims=True)
    if labels is None:
        found, largest = found - means, 1.0
    else:
        images = values.shape[-1]
        numbers, count = cluster_numbers(labels, images, name)
        sums = [np.bincount(numbers, row) for row in values - means]
        found = np.sort(sums, axis=-1) * count / images
        largest = float(np.bincount(numbers).max()) * count / images
    lowest, highest = found[:, 0], found[:, -1]
    found[np.maximum(-lowest, highest) <= ROUNDING * largest] = 0
    squares = found**2
    powers = found, squares, squares * found, squares**2
    added = np.stack([power.sum(axis=-1) for power in powers])
    return Units(found.shape[-1], lowest, highest, added)


def _participation(weights: FloatArray, labels: ArrayLike | None, name: str) -> float:
    if labels is not None:
        numbers, _ = cluster_numbers(labels, weights.size, name)
        weights = np.bincount(numbers, weights).astype(np.float64)
    squares = float(np.sum(weights**2))
    return float(np.sum(weights)) ** 2 / squares if squares else 0.0
