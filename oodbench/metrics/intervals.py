"""How far the AUROC of a sample may be from the AUROC of all such images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.metrics.counted import areas
from oodbench.metrics.ranking import (
    Counts,
    FloatArray,
    Places,
    counts_of,
    places_of,
)
from oodbench.metrics.spreads import (
    INDEPENDENT,
    Clusters,
    Placements,
    Spread,
    Units,
    cluster_numbers,
    deviations,
    spread_of,
)

FEW_IMAGES = 40
"""An AUROC that fewer images decide depends on images that the sample may lack."""


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


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
    area = float(areas(means))
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


def logit_step(value: float, found: Spread, sign: int, tail: float) -> float:
    """Returns the low (−1) or high (1) end of an interval of a value in (0, 1)."""
    # The logit has the slope 1 / (v (1 - v)); a step along it stretches the odds.
    error = float(np.sqrt(found.variance)) / (value * (1 - value))
    logit = math.log(value / (1 - value)) + sign * float(found.quantile(tail)) * error
    return (1 + math.tanh(logit / 2)) / 2


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


def _participation(weights: FloatArray, labels: ArrayLike | None, name: str) -> float:
    if labels is not None:
        numbers, _ = cluster_numbers(labels, weights.size, name)
        weights = np.bincount(numbers, weights).astype(np.float64)
    squares = float(np.sum(weights**2))
    return float(np.sum(weights)) ** 2 / squares if squares else 0.0
