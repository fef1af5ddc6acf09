"""How far the AUROC of a sample may be from the AUROC of all such images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.metrics.counted import areas
from oodbench.metrics.order import Order, at, order_of
from oodbench.metrics.ranking import FloatArray, finite
from oodbench.metrics.spreads import (
    INDEPENDENT,
    Clusters,
    Placements,
    Spread,
    Units,
    cluster_numbers,
    deviations,
    spread_of,
    summed,
)

FEW_IMAGES = 40
"""An AUROC that fewer images decide depends on images that the sample may lack."""


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Intervals(NamedTuple):
    """Confidence intervals, one per row."""

    low: FloatArray
    """`[…]`."""
    high: FloatArray


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
        The interval, which contains the AUROC of the sample. It is `alike_intervals`
        where the classes are separated or all scores are tied, and (0, 1) where a class
        has a single image or cluster.

    >>> round(delong_interval([2] * 100, [1] * 100).low, 4)  # 0.025 ** (1 / 100)
    0.9638
    """
    found = placements_intervals(
        placements(id_scores, ood_scores), clusters, level=level
    )
    return Interval(float(found.low), float(found.high))


def placements_intervals(
    means: Placements, clusters: Clusters = INDEPENDENT, *, level: float = 0.95
) -> Intervals:
    """Returns `delong_interval` of each row from the placements of both classes."""
    tail = tail_of(level)
    area = areas(means)
    units = deviations(means, clusters)
    count = min(unit.count for unit in units)
    if count < 2:
        return anything(area)
    alike = alike_intervals(area, count, level=level)
    differ = np.any([unit.largest > 0 for unit in units], axis=0)
    low = _low_end(area, units, tail)
    high = 1 - _low_end(1 - area, [unit.mirrored() for unit in units], tail)
    return Intervals(
        np.where(differ, low, alike.low), np.where(differ, high, alike.high)
    )


def anything(values: FloatArray) -> Intervals:
    """Returns intervals that say nothing of some values `[…]`: (0, 1)."""
    return Intervals(np.zeros_like(values), np.ones_like(values))


def alike_intervals(share: FloatArray, units: int, *, level: float = 0.95) -> Intervals:
    """Returns intervals within [0, 1] of shares that are the same in all of K units.

    An exact test (Clopper and Pearson, Biometrika, 1934). For an AUROC, pair each image
    of the smaller class with one of the other: all K pairs agreed. If a share c
    of all pairs does, the chance of that is c^K, so c is at least
    `((1 - level) / 2) ** (1 / K)`; the rest may be in either order. For separated
    classes this is the best that is valid for every distribution: a kind of image that
    the sample happened to miss can be on the wrong side of all others.
    """
    alike = tail_of(level) ** (1 / units)
    return Intervals(alike * share, 1 - alike * (1 - share))


def few_decide(means: Placements, clusters: Clusters = INDEPENDENT) -> FloatArray:
    """Returns how many images, or clusters, decide each AUROC, of the scarcer class.

    This is the participation ratio (Σ w)² / Σ w² of the shortfalls w = 1 − placement:
    K if K images share the shortfall equally and the others have none. Below
    `FEW_IMAGES`, another sample may give quite another AUROC. For an AUROC below 1/2
    the placements themselves are the scarcer side, so the smaller ratio counts.

    Returns:
        In [0, N] and [0, M]; 0 where the classes are separated.

    >>> found = few_decide(placements([3, 4, 5, 6], [1, 2, 3.5, 4.5]))
    >>> float(found)  # shortfalls 2, 1 and 1
    1.8
    """
    found = [
        _participation(weights, labels, name)
        for rows, labels, name in zip(means, clusters, Clusters._fields, strict=True)
        for weights in (1 - rows, rows)
    ]
    return np.min(found, axis=0)


def placements(id_scores: ArrayLike, ood_scores: ArrayLike) -> Placements:
    """Returns the placements of `[N]` ID and `[M]` OOD scores, in their order.

    They come from sorted scores rather than from all pairs, O((N + M) log(N + M)) as
    with the mid-ranks of Sun and Xu (IEEE Signal Processing Letters, 2014).
    """
    inside, outside = finite(id_scores, "id_scores"), finite(ood_scores, "ood_scores")
    return placements_of(order_of(inside, outside))


def placements_of(order: Order) -> Placements:
    """Returns the placements of images from their order."""
    # Twice the images above each score, those that tie with it counted once.
    positives, negatives = (part[..., 1:] + part[..., :-1] for part in order.counts)
    twice = 2 * order.inside.shape[-1], 2 * order.outside.shape[-1]
    return Placements(
        (twice[1] - at(negatives, order.inside)) / twice[1],
        at(positives, order.outside) / twice[0],
    )


def logit_step(value: FloatArray, found: Spread, sign: int, tail: float) -> FloatArray:
    """Returns the low (−1) or high (1) ends of intervals of values `[…]`.

    They are numbers only for values in (0, 1).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # The logit has the slope 1 / (v (1 - v)); a step along it stretches the odds.
        error = np.sqrt(found.variance) / (value * (1 - value))
        logit = np.log(value / (1 - value)) + sign * found.quantile(tail) * error
        return (1 + np.tanh(logit / 2)) / 2


def tail_of(level: float) -> float:
    """Returns the chance that either end of a two-sided interval leaves outside."""
    if not 0 < level < 1:
        raise InputError(f"A confidence level of {level} is not in (0, 1).")
    return (1 - level) / 2


def _low_end(area: FloatArray, units: Sequence[Units], tail: float) -> FloatArray:
    """Returns the low ends of the intervals of AUROCs in (0, 1)."""
    from scipy.special import betaincinv

    count = min(unit.count for unit in units)
    binomial = betaincinv(count * area, count * (1 - area) + 1, tail)
    missed = [_missed_image(unit, area) for unit in units]
    step = logit_step(area, spread_of(units, missed), -1, tail)
    return np.minimum(area, np.maximum(binomial, step))


def _missed_image(units: Units, area: FloatArray) -> FloatArray:
    """Returns the deviation of the placement of an image that a sample missed."""
    largest_shortfall = np.clip(1 - area - units.lowest, 0, 1)
    return 1 - np.sqrt(largest_shortfall) - area


def _participation(
    weights: FloatArray, labels: ArrayLike | None, name: str
) -> FloatArray:
    if labels is not None:
        weights = summed(weights, *cluster_numbers(labels, weights.shape[-1], name))
    squares = np.sum(weights**2, axis=-1)
    # Where there are no weights the ratio is 0.
    return np.sum(weights, axis=-1) ** 2 / np.where(squares > 0, squares, 1)
