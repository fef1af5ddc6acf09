"""Intervals of FPR at TPR, whose threshold is as uncertain as the rate.

Possible thresholds and rates are drawn, and the interval goes from percentile to
percentile. Where images share an origin, their clusters are drawn with replacement,
each class on its own, as many as there are (Efron and Tibshirani, An Introduction to
the Bootstrap, Chapman & Hall, 1993). Where images are independent, the distributions
are known: the number of images below the true threshold is binomial (David and
Nagaraja, Order Statistics, Wiley, 2003), and the rate has the confidence distribution
between the bounds of Clopper and Pearson (Biometrika, 1934). A bootstrap would be too
short there: of 100 positives it covers 84 % instead of 95 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.metrics.intervals import Interval, alike_interval, tail_of
from oodbench.metrics.ranking import (
    Convention,
    FloatArray,
    finite,
    fpr_at_tpr,
)
from oodbench.metrics.spreads import INDEPENDENT, Clusters, cluster_numbers

RESAMPLES = 1000
SEED = 0


def fpr_interval(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    clusters: Clusters = INDEPENDENT,
    *,
    tpr: float = 0.95,
    convention: Convention = "id",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    observed: float | None = None,
) -> Interval:
    """Returns a confidence interval of `ranking.fpr_at_tpr`, in [0, 1].

    The threshold is drawn anew each time. Where the rate is 0 or 1, or where all
    samples agree, the interval is at least that of `alike_interval` over the negatives.

    Args:
        id_scores: `[N]`, finite.
        ood_scores: `[M]`, finite.
        clusters: Images that share an origin.
        tpr: The wanted share of the positives, in (0, 1].
        convention: Which class is positive.
        level: Share of samples whose interval contains the true rate, in (0, 1).
        resamples: The number of draws.
        seed: The seed of the draws.
        observed: The rate of the sample where it is known already.

    Returns:
        The interval, which contains the rate of the sample; (0, 1) where a class has a
        single image or cluster.
    """
    tail = tail_of(level)
    if observed is None:
        observed = fpr_at_tpr(id_scores, ood_scores, tpr=tpr, convention=convention)
    drawn = resampled_fprs(
        id_scores,
        ood_scores,
        clusters,
        tpr=tpr,
        convention=convention,
        resamples=resamples,
        seed=seed,
    )
    units = [
        np.size(scores) if labels is None else np.unique(labels).size
        for scores, labels in zip((id_scores, ood_scores), clusters, strict=True)
    ]
    if min(units) < 2:
        return Interval(0.0, 1.0)
    low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
    if observed in (0, 1) or high - low < 1e-12:
        negatives = units[1 if convention == "id" else 0]
        exact = alike_interval(observed, negatives, level=level)
        low, high = min(low, exact.low), max(high, exact.high)
    return Interval(min(low, observed), max(high, observed))


def resampled_fprs(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    clusters: Clusters = INDEPENDENT,
    *,
    tpr: float = 0.95,
    convention: Convention = "id",
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> FloatArray:
    """Draws `[R]` possible FPRs at TPR; with clusters those of resampled clusters."""
    positives = finite(id_scores, "id_scores")
    negatives = finite(ood_scores, "ood_scores")
    labels = clusters
    if convention == "openood":
        positives, negatives = -negatives, -positives
        labels = Clusters(clusters.outside, clusters.inside)
    rng = np.random.default_rng(seed)
    thresholds = _thresholds(positives, labels.inside, tpr, resamples, rng)
    return _rates(negatives, labels.outside, thresholds, rng)


def _thresholds(
    positives: FloatArray,
    labels: ArrayLike | None,
    tpr: float,
    resamples: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws `[R]` possible scores that the share `tpr` of positives reaches."""
    count = positives.size
    if labels is None:
        below = rng.binomial(count, 1 - tpr, size=resamples)
        # The true threshold is between two scores; half of the draws take either.
        places = below - rng.integers(0, 2, size=resamples)
        return np.sort(positives)[np.clip(places, 0, count - 1)]
    order = np.argsort(positives)
    ascending = positives[order]
    numbers, units = cluster_numbers(labels, count, "positive")
    sizes, numbers = np.bincount(numbers), numbers[order]
    few = 100 + int(4 * (1 - tpr) * count)
    thresholds = []
    for _ in range(resamples):
        times = _times(units, rng)
        allowed = (1 - tpr + 1e-12) * (times @ sizes)
        # In most samples only the lowest few are rejected.
        for lowest in (numbers[:few], numbers):
            rejected = np.cumsum(times[lowest])
            if rejected[-1] > allowed:
                break
        rank = int(np.searchsorted(rejected, allowed, side="right"))
        thresholds.append(ascending[rank])
    return np.array(thresholds)


def _rates(
    negatives: FloatArray,
    labels: ArrayLike | None,
    thresholds: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws possible shares `[R]` of negatives that score no less than a threshold."""
    count = negatives.size
    accepted = np.searchsorted(np.sort(-negatives), -thresholds, side="right")
    if labels is None:
        # Half of the draws are of either bound; a shape of 0 means the rate 0 or 1.
        more = rng.integers(0, 2, size=accepted.size)
        shapes = accepted + more, count - accepted + 1 - more
        return rng.beta(*(np.maximum(shape, 1e-9) for shape in shapes))
    numbers, units = cluster_numbers(labels, count, "negative")
    sizes, numbers = np.bincount(numbers), numbers[np.argsort(-negatives)]
    rates = []
    for above in accepted:
        times = _times(units, rng)
        rates.append(times[numbers[:above]].sum() / (times @ sizes))
    return np.array(rates)


def _times(units: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draws how often each of some units is in one sample."""
    return np.bincount(rng.integers(units, size=units), minlength=units)
