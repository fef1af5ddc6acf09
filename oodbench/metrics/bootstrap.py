"""Draws samples from a sample, to say how far AUROC and FPR at TPR may lie from it.

Images, or the clusters that they share an origin in, are drawn with replacement, each
class for itself, as many as there are (Efron and Tibshirani, An Introduction to the
Bootstrap, Chapman & Hall, 1993). No score is copied: a sample is how often each is
drawn. Intervals go from percentile to percentile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oodbench.metrics.intervals import (
    INDEPENDENT,
    Clusters,
    Interval,
    alike_interval,
    cluster_numbers,
    tail_of,
)
from oodbench.metrics.ranking import (
    Convention,
    FloatArray,
    RocCurve,
    auroc,
    finite,
    fpr_at_tpr,
    roc_curve,
    threshold_at_tpr,
)

RESAMPLES = 1000
SEED = 0
GROUPS = 200
"""Stretches that the sorted scores are cut into; more cost time."""


def auroc_interval(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    clusters: Clusters = INDEPENDENT,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Returns a bootstrap interval of the AUROC, in [0, 1].

    Where all samples agree, because the scores separate the classes or are all tied,
    they tell nothing, and `alike_interval` bounds the AUROC instead.

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.
        clusters: Images that share an origin.
        level: Share of samples whose interval is meant to hold the true AUROC.
        resamples: How many samples are drawn.
        seed: Of the draws.

    Returns:
        (0, 1) where a class has a single image or cluster.
    """
    drawn = resampled_aurocs(
        id_scores, ood_scores, clusters, resamples=resamples, seed=seed
    )
    units = _units(id_scores, ood_scores, clusters)
    return _percentiles(drawn, auroc(id_scores, ood_scores), min(units), units, level)


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
    """Returns a bootstrap interval of `metrics.fpr_at_tpr`, in [0, 1].

    The threshold is found anew in every sample. Where the rate is 0 or 1, or where all
    samples agree, the interval is at least that of `alike_interval` over the negatives.

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.
        clusters: Images that share an origin.
        tpr: The wanted share of the positives.
        convention: Which class is positive.
        level: Share of samples whose interval is meant to hold the true rate.
        resamples: How many samples are drawn.
        seed: Of the draws.

    Returns:
        (0, 1) where a class has a single image or cluster.
    """
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
    units = _units(id_scores, ood_scores, clusters)
    negatives = units[1 if convention == "id" else 0]
    return _percentiles(drawn, observed, negatives, units, level)


def resampled_aurocs(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    clusters: Clusters = INDEPENDENT,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> FloatArray:
    """Returns the AUROC of each of `[R]` samples.

    Scores next to each other in order are drawn together as a group, several at a time;
    pairs within a group are counted as in order as often as they are in the data. That
    is exact where the classes change sides less than `GROUPS` times. Else it leaves out
    what images within one group differ by: less than 0.1 % of the deviation in
    `benchmarks/intervals.py`.
    """
    inside, outside = finite(id_scores, "id_scores"), finite(ood_scores, "ood_scores")
    id_groups, ood_groups, within = _grouped(inside, outside)
    rng = np.random.default_rng(seed)
    positives = _draw_groups(id_groups, within.size, clusters.inside, resamples, rng)
    negatives = _draw_groups(ood_groups, within.size, clusters.outside, resamples, rng)
    # Groups descend: what came before is above, and of its own group a share is.
    above = np.cumsum(positives, axis=1) - positives * (1 - within)
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    areas: FloatArray = (negatives * above).sum(axis=1) / pairs
    return areas


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
    """Returns the FPR at TPR of each of `[R]` samples, by the rule `reach`."""
    positives, negatives = (
        finite(id_scores, "id_scores"),
        finite(ood_scores, "ood_scores"),
    )
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
    """Draws `[R]` thresholds that the share `tpr` of drawn positives reaches."""
    order = np.argsort(positives)
    ascending, count = positives[order], positives.size
    if labels is None:
        rank = count - int(threshold_at_tpr(np.arange(count), tpr))
        # The rank-th highest of a sample is at the rank-th smallest of uniform places.
        places = rng.beta(rank, count + 1 - rank, size=resamples)
        return ascending[count - 1 - np.minimum(places * count, count - 1).astype(int)]
    numbers, units = cluster_numbers(labels, count, "positive")
    sizes, numbers = np.bincount(numbers), numbers[order]
    few = 100 + int(4 * (1 - tpr) * count)
    thresholds = []
    for _ in range(resamples):
        times = _times(units, rng)
        allowed = (1 - tpr + 1e-12) * (times @ sizes)
        # Mostly the lowest few are all that is rejected.
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
    """Draws the shares `[R]` of negatives that score no less than each threshold."""
    order = np.argsort(-negatives)
    count = negatives.size
    accepted = np.searchsorted(-negatives[order], -thresholds, side="right")
    if labels is None:
        return np.asarray(rng.binomial(count, accepted / count) / count)
    numbers, units = cluster_numbers(labels, count, "negative")
    sizes, numbers = np.bincount(numbers), numbers[order]
    rates = []
    for above in accepted:
        times = _times(units, rng)
        rates.append(times[numbers[:above]].sum() / (times @ sizes))
    return np.array(rates)


def _times(units: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draws how often each of some units is in one sample."""
    return np.bincount(rng.integers(units, size=units), minlength=units)


def _grouped(
    inside: FloatArray, outside: FloatArray
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """Returns the groups of the ID and OOD images, descending, and AUROCs within."""
    curve = roc_curve(inside, outside)
    steps = np.diff(curve.tpr) > 0, np.diff(curve.fpr) > 0
    # A block is a stretch of one class, or a tie of both; it can be drawn as one.
    mixed = steps[0] & steps[1]
    changes = mixed[1:] | mixed[:-1] | (steps[0][1:] != steps[0][:-1])
    block = np.append(0, np.cumsum(changes))
    groups = block
    if block[-1] >= GROUPS:
        # Groups share blocks and images evenly: beside a large block lie few others.
        first = np.flatnonzero(np.append(True, changes))
        begun = curve.tpr[first] + curve.fpr[first] + np.arange(first.size) / first.size
        groups = np.minimum(begun / 3 * GROUPS, GROUPS - 1).astype(int)[block]
    # Thresholds descend behind an infinite one that no image reaches.
    ascending = curve.thresholds[:0:-1]
    id_groups, ood_groups = (
        groups[ascending.size - 1 - np.searchsorted(ascending, scores)]
        for scores in (inside, outside)
    )
    return id_groups, ood_groups, _areas_within(groups, curve)


def _areas_within(groups: NDArray[np.intp], curve: RocCurve) -> FloatArray:
    """Returns the AUROC of the images of each group alone, 0 where one class is."""
    above = (curve.tpr[1:] + curve.tpr[:-1]) / 2
    ordered = np.bincount(groups, np.diff(curve.fpr) * above)
    positives = np.bincount(groups, np.diff(curve.tpr))
    negatives = np.bincount(groups, np.diff(curve.fpr))
    before = np.cumsum(positives) - positives
    pairs = positives * negatives
    inner = ordered - negatives * before
    return np.divide(inner, pairs, out=np.zeros_like(inner), where=pairs > 0)


def _draw_groups(
    groups: NDArray[np.intp],
    count: int,
    labels: ArrayLike | None,
    resamples: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Returns how many images of each of `count` groups are in `[R]` samples."""
    if labels is None:
        shares = np.bincount(groups, minlength=count) / groups.size
        return rng.multinomial(groups.size, shares, size=resamples).astype(np.float64)
    numbers, units = cluster_numbers(labels, groups.size, "clustered")
    table = np.bincount(numbers * count + groups, minlength=units * count)
    held = table.reshape(units, count).astype(np.float64)
    return np.array([_times(units, rng) @ held for _ in range(resamples)])


def _units(
    id_scores: ArrayLike, ood_scores: ArrayLike, clusters: Clusters
) -> tuple[int, int]:
    sizes = np.size(id_scores), np.size(ood_scores)
    inside, outside = (
        size if labels is None else np.unique(labels).size
        for size, labels in zip(sizes, clusters, strict=True)
    )
    return inside, outside


def _percentiles(
    drawn: FloatArray, share: float, alike: int, units: tuple[int, int], level: float
) -> Interval:
    tail = tail_of(level)
    if min(units) < 2:
        return Interval(0.0, 1.0)
    low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
    if share in (0, 1) or high - low < 1e-12:
        exact = alike_interval(share, alike, level=level)
        low, high = min(low, exact.low), max(high, exact.high)
    return Interval(low, high)
