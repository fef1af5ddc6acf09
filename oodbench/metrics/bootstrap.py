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

from oodbench.metrics.intervals import (
    Interval,
    Intervals,
    alike_intervals,
    anything,
    tail_of,
)
from oodbench.metrics.order import Order, at, order_of
from oodbench.metrics.ranking import (
    Convention,
    FloatArray,
    as_positives,
    fpr,
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
) -> Interval:
    """Returns a confidence interval of `ranking.fpr_at_tpr`, in [0, 1].

    The threshold is drawn anew each time. Where the rate is 0 or 1, or where all
    samples agree, the interval is at least that of `alike_intervals` over the
    negatives.

    Args:
        id_scores: `[N]`, finite.
        ood_scores: `[M]`, finite.
        clusters: Images that share an origin.
        tpr: The wanted share of the positives, in (0, 1].
        convention: Which class is positive.
        level: Share of samples whose interval contains the true rate, in (0, 1).
        resamples: The number of draws.
        seed: The seed of the draws.

    Returns:
        The interval, which contains the rate of the sample; (0, 1) where a class has a
        single image or cluster.
    """
    found = rate_intervals(
        order_of(*as_positives(id_scores, ood_scores, convention)),
        clusters if convention == "id" else clusters.swapped(),
        tpr=tpr,
        level=level,
        resamples=resamples,
        seed=seed,
    )
    return Interval(float(found.low), float(found.high))


def rate_intervals(
    order: Order,
    clusters: Clusters = INDEPENDENT,
    *,
    tpr: float = 0.95,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Intervals:
    """Returns `fpr_interval` of each row, ID images as positives."""
    tail = tail_of(level)
    observed = fpr(order.counts, tpr)
    units = [
        part.shape[-1] if labels is None else np.unique(labels).size
        for part, labels in zip(order[:2], clusters, strict=True)
    ]
    drawn = drawn_rates(order, clusters, tpr=tpr, resamples=resamples, seed=seed)
    if min(units) < 2:
        return anything(observed)
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=-1)
    exact = alike_intervals(observed, units[1], level=level)
    agree = (observed == 0) | (observed == 1) | (high - low < 1e-12)
    low = np.minimum(low, np.where(agree, exact.low, observed))
    high = np.maximum(high, np.where(agree, exact.high, observed))
    return Intervals(low, high)


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
    order = order_of(*as_positives(id_scores, ood_scores, convention))
    labels = clusters if convention == "id" else clusters.swapped()
    return drawn_rates(order, labels, tpr=tpr, resamples=resamples, seed=seed)


def drawn_rates(
    order: Order,
    clusters: Clusters,
    *,
    tpr: float,
    resamples: int,
    seed: int,
) -> FloatArray:
    """Draws `resampled_fprs` `[…, R]` of each row; all rows have the same draws."""
    rng = np.random.default_rng(seed)
    thresholds = _thresholds(order.inside, clusters.inside, tpr, resamples, rng)
    accepted = at(order.counts.negatives[..., 1:], thresholds)
    return _rates(order.outside, clusters.outside, accepted, rng)


def _thresholds(
    places: NDArray[np.intp],
    labels: ArrayLike | None,
    tpr: float,
    resamples: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Draws the places `[…, R]` of possible scores that the share `tpr` reaches.

    Args:
        places: `[…, N]`, of the positives.
        labels: `[N]`, their clusters.
        tpr: The wanted share of the positives.
        resamples: R.
        rng: Draws.
    """
    count = places.shape[-1]
    if labels is None:
        below = rng.binomial(count, 1 - tpr, size=resamples)
        # The true threshold is between two scores; half of the draws take either.
        ranks = np.clip(below - rng.integers(0, 2, size=resamples), 0, count - 1)
        return np.sort(places, axis=-1)[..., count - 1 - ranks]
    lowest_first = np.argsort(-places, axis=-1)
    numbers, units = cluster_numbers(labels, count, "positive")
    sizes, numbers = np.bincount(numbers), numbers[lowest_first]
    few = 100 + int(4 * (1 - tpr) * count)
    drawn = []
    for _ in range(resamples):
        times = _times(units, rng)
        allowed = (1 - tpr + 1e-12) * (times @ sizes)
        # In most samples only the lowest few are rejected.
        for lowest in (numbers[..., :few], numbers):
            rejected = np.cumsum(times[lowest], axis=-1)
            if (rejected[..., -1] > allowed).all():
                break
        drawn.append(np.count_nonzero(rejected <= allowed, axis=-1))
    return at(at(places, lowest_first), np.stack(drawn, axis=-1))


def _rates(
    places: NDArray[np.intp],
    labels: ArrayLike | None,
    accepted: NDArray[np.intp],
    rng: np.random.Generator,
) -> FloatArray:
    """Draws possible shares `[…, R]` of negatives that score no less than a threshold.

    Args:
        places: `[…, M]`, of the negatives.
        labels: `[M]`, their clusters.
        accepted: `[…, R]`, how many negatives each threshold accepts.
        rng: Draws.
    """
    count = places.shape[-1]
    if labels is None:
        # Half of the draws are of either bound; a shape of 0 means the rate 0 or 1.
        more = rng.integers(0, 2, size=accepted.shape[-1])
        shapes = accepted + more, count - accepted + 1 - more
        one, other = (np.maximum(shape, 1e-9) for shape in shapes)
        return _beta(one, other, rng)
    numbers, units = cluster_numbers(labels, count, "negative")
    sizes, numbers = np.bincount(numbers), numbers[np.argsort(places, axis=-1)]
    rows, drawn = numbers.reshape(-1, count), []
    for ends in accepted.reshape(len(rows), -1).T.tolist():
        times = _times(units, rng)
        sums = [times[row[:end]].sum() for row, end in zip(rows, ends, strict=True)]
        drawn.append(np.array(sums) / (times @ sizes))
    return np.stack(drawn, axis=-1).reshape(accepted.shape)


def _beta(one: FloatArray, other: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draws from beta distributions `[…, R]`, each row from the same random numbers."""
    drawn = np.empty_like(one)
    state = rng.bit_generator.state
    for row in np.ndindex(one.shape[:-1]):
        rng.bit_generator.state = state
        drawn[row] = rng.beta(one[row], other[row])
    return drawn


def _times(units: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draws how often each of some units is in one sample."""
    return np.bincount(rng.integers(units, size=units), minlength=units)
