"""Says how far the AUROC of a sample may lie from that of all images like these."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.base.errors import InputError
from oodbench.metrics.ranking import FloatArray, finite


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Placements(NamedTuple):
    """What each image adds to the AUROC, which is the mean of either row."""

    inside: FloatArray
    """`[N]`: the share of OOD images below each ID image, ties half."""
    outside: FloatArray
    """`[M]`: the share of ID images above each OOD image, ties half."""


class Clusters(NamedTuple):
    """Which images of either class share an origin and are drawn together."""

    inside: ArrayLike | None = None
    """`[N]`, equal for images of one origin; None where every image has its own."""
    outside: ArrayLike | None = None
    """`[M]`."""


INDEPENDENT = Clusters()


class Spread(NamedTuple):
    """How far a mean of placements varies from sample to sample."""

    variance: float
    """At least 0; infinity where a class has a single image or cluster."""
    units: int
    """Images, or clusters, of the class that has fewer."""
    freedom: float
    """Degrees of freedom of the variance; infinity where no class has clusters."""

    def quantile(self, tail: float) -> float:
        """Returns how many standard errors leave `tail` in (0, 1/2) above them."""
        if math.isinf(self.freedom):
            return -NormalDist().inv_cdf(tail)
        from scipy.special import stdtrit

        return float(-stdtrit(self.freedom, tail))

    def p_value(self, value: float) -> float:
        """Returns the chance that a mean of 0 comes out as far off as `value`."""
        errors = abs(value) / math.sqrt(self.variance)
        if math.isinf(self.freedom):
            return math.erfc(errors / math.sqrt(2))
        from scipy.special import stdtr

        return float(2 * stdtr(self.freedom, -errors))


def delong_variance(
    id_scores: ArrayLike, ood_scores: ArrayLike, clusters: Clusters = INDEPENDENT
) -> float:
    """Returns the variance of the AUROC over samples of images, at least 0.

    An image's placement is the share of the other class that it outscores; the AUROC
    is the mean placement, and its variance the sum of what either class contributes
    (DeLong, DeLong and Clarke-Pearson, Biometrics, 1988). Placements come from sorted
    scores rather than from all pairs, O((N + M) log(N + M)) as with the mid-ranks of
    Sun and Xu (IEEE Signal Processing Letters, 2014).

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.
        clusters: Images that share an origin; they count together (Obuchowski,
            Biometrics, 1997).

    Returns:
        Infinity where a class has a single image, which tells nothing about its spread.

    >>> delong_variance([3, 2], [1, 2])  # placements 1, 3/4 and 0, 1/4: 2 · 1/32 / 2
    0.03125
    """
    return spread(placements(id_scores, ood_scores), clusters).variance


def delong_interval(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    clusters: Clusters = INDEPENDENT,
    *,
    level: float = 0.95,
) -> Interval:
    """Returns a confidence interval of the AUROC within [0, 1], over samples of images.

    It is symmetric in logit(AUROC), so it stays within [0, 1] and holds its level near
    1 (Pepe, The Statistical Evaluation of Medical Tests for Classification and
    Prediction, Oxford University Press, 2003); `docs/intervals.md` has the coverage.
    The images must be independent, or else their clusters; with clusters the quantile
    is Student's, since few of them leave the variance uncertain.

    Where the variance is 0, because the scores separate the classes perfectly or are
    all tied, the AUROC is bounded by `alike_interval` instead.

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.
        clusters: Images that share an origin.
        level: Share of samples whose interval holds the true AUROC, in (0, 1).

    Returns:
        (0, 1) where a class has a single image or cluster.

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
    area = math.fsum(means.inside) / means.inside.size
    found = spread(means, clusters)
    if math.isinf(found.variance):
        return Interval(0.0, 1.0)
    if found.variance == 0:
        return alike_interval(area, found.units, level=level)
    # The logit has the slope 1 / (A (1 - A)); a step along it stretches the odds.
    step = found.quantile(tail) * math.sqrt(found.variance) / (area * (1 - area))
    logit = math.log(area / (1 - area))
    return Interval(_expit(logit - step), _expit(logit + step))


def alike_interval(share: float, units: int, *, level: float = 0.95) -> Interval:
    """Returns an interval within [0, 1] of a share that came out alike in all of K.

    An exact test (Clopper and Pearson, Biometrika, 1934). For an AUROC, pair each image
    of the smaller class with one of the other: all K pairs came out alike. If a share c
    of all pairs does, the chance of that is c^K, so c is at least
    `((1 - level) / 2) ** (1 / K)`; the rest may be in either order. For separated
    classes this is the best that holds for every distribution: a kind of image that the
    sample happened to miss can be on the wrong side of all others.
    """
    alike = tail_of(level) ** (1 / units)
    return Interval(alike * share, 1 - alike * (1 - share))


def placements(id_scores: ArrayLike, ood_scores: ArrayLike) -> Placements:
    """Returns the placements of `[N]` ID and `[M]` OOD scores, in their order."""
    inside, outside = finite(id_scores, "id_scores"), finite(ood_scores, "ood_scores")
    return Placements(
        _share_below(inside, np.sort(outside)),
        1 - _share_below(outside, np.sort(inside)),
    )


def spread(means: Placements, clusters: Clusters = INDEPENDENT) -> Spread:
    """Returns how far the mean of placements, or of differences of them, varies.

    With clusters the degrees of freedom are those of Satterthwaite (Biometrics
    Bulletin, 1946).
    """
    parts = [
        _variance_of_mean(values, labels, name)
        for values, labels, name in zip(means, clusters, Clusters._fields, strict=True)
    ]
    units = min(count for _, count in parts)
    variance = math.inf if units < 2 else sum(part for part, _ in parts)
    freedom = math.inf
    if any(labels is not None for labels in clusters) and 0 < variance < math.inf:
        freedom = variance**2 / sum(part**2 / (count - 1) for part, count in parts)
    return Spread(variance, units, freedom)


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


def _variance_of_mean(
    values: FloatArray, labels: ArrayLike | None, name: str
) -> tuple[float, int]:
    """Returns the variance of the mean of `[N]` values, and the number of units."""
    images = values.size
    if labels is None:
        # Sorted, so that the order of the images does not change a bit of the sum.
        values = np.sort(values)
        sums = values - values.mean()
    else:
        numbers, _ = cluster_numbers(labels, images, name)
        sums = np.bincount(numbers, weights=values - values.mean())
    units = sums.size
    if units < 2 or np.ptp(values) == 0:
        return 0.0, units
    return units / (units - 1) * float(np.sum(sums**2)) / images**2, units


def _share_below(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Returns the share of sorted `[M]` others below each of `[N]`, ties half."""
    below = np.searchsorted(others, scores, side="left")
    not_above = np.searchsorted(others, scores, side="right")
    return (below + not_above) / (2 * others.size)


def _expit(logit: float) -> float:
    """Returns 1 / (1 + e^−logit) without overflow."""
    return (1 + math.tanh(logit / 2)) / 2
