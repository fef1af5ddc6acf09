"""Says how far the AUROC of a sample may lie from that of all images like these."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.errors import InputError
from oodbench.metrics import FloatArray, auroc, finite


class Interval(NamedTuple):
    """A confidence interval, both ends within [0, 1]."""

    low: float
    high: float


def delong_variance(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Returns the variance of the AUROC over samples of images, at least 0.

    An image's placement is the share of the other class that it outscores; the AUROC
    is the mean placement, and its variance the sum of what either class contributes
    (DeLong, DeLong and Clarke-Pearson, Biometrics, 1988). Placements come from sorted
    scores rather than from all pairs, O((N + M) log(N + M)) as with the mid-ranks of
    Sun and Xu (IEEE Signal Processing Letters, 2014).

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.

    Returns:
        Infinity where a class has a single image, which tells nothing about its spread.

    >>> delong_variance([3, 2], [1, 2])  # placements 1, 3/4 and 0, 1/4: 2 · 1/32 / 2
    0.03125
    """
    positives = np.sort(finite(id_scores, "id_scores"))
    negatives = np.sort(finite(ood_scores, "ood_scores"))
    if min(positives.size, negatives.size) < 2:
        return math.inf
    return float(
        np.var(_placements(positives, negatives), ddof=1) / positives.size
        + np.var(_placements(negatives, positives), ddof=1) / negatives.size
    )


def delong_interval(
    id_scores: ArrayLike, ood_scores: ArrayLike, *, level: float = 0.95
) -> Interval:
    """Returns a confidence interval of the AUROC, over samples of images.

    It is symmetric in logit(AUROC), so it stays within [0, 1] and holds its level near
    1 (Pepe, The Statistical Evaluation of Medical Tests for Classification and
    Prediction, Oxford University Press, 2003): of normal scores with an AUROC of 0.99
    and 100 images a class, 93 % of 95 % intervals. The images must be independent.

    Where the variance is 0, because the scores separate the classes perfectly or are
    all tied, the AUROC is bounded by an exact test instead (Clopper and Pearson,
    Biometrika, 1934). Pair each image of the smaller class with one of the other: all
    K pairs came out alike. If a share c of all pairs does, the chance of that is c^K,
    so c is at least `((1 - level) / 2) ** (1 / K)`; the rest may be in either order.
    For separated classes this is the best that holds for every distribution: a kind of
    image that the sample happened to miss can be on the wrong side of all others.

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.
        level: Share of samples whose interval holds the true AUROC, in (0, 1).

    Returns:
        (0, 1) where a class has a single image.

    >>> round(delong_interval([2] * 100, [1] * 100).low, 4)  # 0.025 ** (1 / 100)
    0.9638
    """
    if not 0 < level < 1:
        raise InputError(f"A confidence level of {level} is not in (0, 1).")
    tail = (1 - level) / 2
    area = auroc(id_scores, ood_scores)
    variance = delong_variance(id_scores, ood_scores)
    if math.isinf(variance):
        return Interval(0.0, 1.0)
    if variance == 0:
        alike = tail ** (1 / min(np.size(id_scores), np.size(ood_scores)))
        return Interval(alike * area, 1 - alike * (1 - area))
    # The logit has the slope 1 / (A (1 - A)); a step along it stretches the odds.
    step = -NormalDist().inv_cdf(tail) * math.sqrt(variance) / (area * (1 - area))
    odds = area / (1 - area)
    low, high = odds * math.exp(-step), odds * math.exp(step)
    return Interval(low / (1 + low), high / (1 + high))


def _placements(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Returns the share of sorted `[M]` others below each of `[N]`, ties half."""
    below = np.searchsorted(others, scores, side="left")
    not_above = np.searchsorted(others, scores, side="right")
    return (below + not_above) / (2 * others.size)
