"""Intervals of AUPR, AURC and AUGRC from the influence of each image.

The influence of an image is how the metric moves if the image counts slightly more, per
share of its class (Hampel, Journal of the American Statistical Association, 1974). To
first order, the metric of a sample deviates from the true one by the mean influence, so
that influences take the place that placements have for the AUROC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench.metrics.intervals import Intervals, anything, logit_step, tail_of
from oodbench.metrics.order import Order, added_at, at
from oodbench.metrics.ranking import FloatArray
from oodbench.metrics.spreads import (
    INDEPENDENT,
    Clusters,
    Placements,
    Units,
    deviations,
    spread_of,
)


class Influence(NamedTuple):
    """The influences of all images on one metric, each up to a constant."""

    inside: FloatArray
    """`[…, N]`."""
    outside: FloatArray
    """`[…, M]`."""
    possible: tuple[FloatArray, FloatArray]
    """What an image of either class could have above or below all others: `[…, 2]`, or
    `[…, 4]` for ID images, whose prediction is right or wrong."""


def on_average_precision(order: Order) -> Influence:
    """Returns the influences on `ranking.average_precision`, ID images as positives."""
    true, false = (part[..., 1:] / part[..., -1:] for part in order.counts)
    # An image counts at its own threshold and at all lower ones.
    slope = np.diff(true, prepend=0) / (true + false) ** 2
    gained = _from_here_on(slope * false)
    positive, negative = true / (true + false) + gained, -_from_here_on(slope * true)
    # Above all images the precision is 1, below all it is 1 / 2.
    highest, lowest = gained[..., 0], np.zeros_like(gained[..., 0])
    return Influence(
        at(positive, order.inside),
        at(negative, order.outside),
        (
            np.stack([1 + highest, lowest + 0.5], axis=-1),
            np.stack([negative[..., 0], lowest], axis=-1),
        ),
    )


def on_mean_risk(
    errors: FloatArray, order: Order, correct: NDArray[np.bool_]
) -> Influence:
    """Returns the influences on `selective.mean_risk`, from its expected errors.

    Each accepted image makes coverage larger from its place on, an error the risk too.
    """
    accepted = np.arange(1, errors.shape[-1] + 1)
    risk = errors / accepted
    return _selective(
        risk - _from_here_on(risk / accepted),
        _from_here_on(1 / accepted),
        order,
        correct,
    )


def on_mean_generalised_risk(
    errors: FloatArray, order: Order, correct: NDArray[np.bool_]
) -> Influence:
    """Returns the influences on `selective.mean_generalised_risk`."""
    total = errors.shape[-1]
    later = total - np.arange(total) - 0.5
    return _selective(errors / total, later / total, order, correct)


def influence_intervals(
    value: FloatArray,
    influence: Influence,
    clusters: Clusters = INDEPENDENT,
    *,
    level: float = 0.95,
    lowest: Callable[[FloatArray, int, float], FloatArray | float] = lambda *_: 0.0,
) -> Intervals:
    """Returns confidence intervals of a metric within [0, 1].

    It is built as `intervals.delong_interval`, with influences for placements: a step
    along the logit by Student's quantile, with one more image in each class that the
    sample may have missed. That image moves the metric by the geometric mean of the
    largest influence in the sample and the largest possible.

    Where no image moves the metric more than one image of the class can, because right
    and wrong are separated, the interval reaches as far as a share of `1 - ((1 - level)
    / 2) ** (1 / K)` of each class can move it, K being the images of the smaller one.

    Args:
        value: The metric `[…]` of each sample.
        influence: Of each image.
        clusters: Images that share an origin.
        level: Share of samples whose interval contains the true metric, in (0, 1).
        lowest: Returns a bound of the low end from the value, the images or clusters of
            the smaller class, and the chance that the true metric is lower.

    Returns:
        (0, 1) where a class has a single image or cluster.
    """
    tail = tail_of(level)
    units = deviations(Placements(influence.inside, influence.outside), clusters)
    count = min(unit.count for unit in units)
    if count < 2:
        return anything(value)
    possible = [
        limits - values.mean(axis=-1, keepdims=True)
        for limits, values in zip(influence.possible, influence[:2], strict=True)
    ]
    mirrored = [unit.mirrored() for unit in units], [-limits for limits in possible]
    low = _low_end(value, units, possible, tail)
    high = 1 - _low_end(1 - value, *mirrored, tail)
    separated = np.all([unit.largest * unit.count <= 1 for unit in units], axis=0)
    missed = 1 - tail ** (1 / count)
    least, most = (
        value + missed * sum(end(limits, axis=-1) for limits in possible)
        for end in (np.min, np.max)
    )
    low = np.maximum(np.where(separated, least, low), lowest(value, count, tail))
    high = np.where(separated, most, high)
    return Intervals(
        np.minimum(value, np.maximum(0, low)), np.maximum(value, np.minimum(1, high))
    )


def lowest_precision(value: FloatArray, count: int, tail: float) -> FloatArray:
    """Returns low ends of average precisions from a binomial share of K images.

    If a share d of the negatives scores above all positives, and the rest below, the
    average precision is 1 - d log(1 + 1 / d) at 50 % prevalence, and no d negatives
    lower it more. The d that explains the value is taken for a share of K images, and
    its upper end is that of Clopper and Pearson (Biometrika, 1934).

    >>> found = lowest_precision(np.array([1.0]), 100, 0.025)
    >>> found.round(4)  # d is at most 1 - 0.025 ** 0.01
    array([0.8785])
    """
    from scipy.special import betaincinv, lambertw

    # With u = log(1 + 1 / d), the loss 1 - value is u / (exp(u) - 1).
    loss = 1 - value
    share = 1 / np.expm1(-loss - lambertw(-loss * np.exp(-loss), -1).real)
    largest = betaincinv(count * share + 1, count * (1 - share), 1 - tail)
    return np.where(share < 1, _precision(largest), 0)


def _precision(share: FloatArray) -> FloatArray:
    return 1 - share * np.log1p(1 / share)


def _low_end(
    value: FloatArray,
    units: Sequence[Units],
    possible: Sequence[FloatArray],
    tail: float,
) -> FloatArray:
    """Returns the low ends from deviations in the sample and possible ones."""
    missed = []
    for unit, limits in zip(units, possible, strict=True):
        seen = np.minimum(0, unit.lowest)
        worst = np.minimum(seen, limits.min(axis=-1))
        missed.append(-np.sqrt(seen * worst))
    return logit_step(value, spread_of(units, missed), -1, tail)


def _selective(
    at_rank: FloatArray,
    of_error: FloatArray,
    order: Order,
    correct: NDArray[np.bool_],
) -> Influence:
    """Returns influences from those by rank `[…, n]` and what an error there adds."""
    tied = np.maximum(order.shared, 1)
    right, added = (
        added_at(order.places, order.size, part) / tied for part in (at_rank, of_error)
    )
    wrong = right + added
    sizes = order.inside.shape[-1], order.outside.shape[-1]
    shares = [size / sum(sizes) for size in sizes]
    ends = [0, -1]
    right_ends, wrong_ends = at_rank[..., ends], (at_rank + of_error)[..., ends]
    return Influence(
        shares[0] * np.where(correct, at(right, order.inside), at(wrong, order.inside)),
        shares[1] * at(wrong, order.outside),
        (
            shares[0] * np.concatenate([right_ends, wrong_ends], axis=-1),
            shares[1] * wrong_ends,
        ),
    )


def _from_here_on(values: FloatArray) -> FloatArray:
    """Returns for each place the sum over it and all lower ones."""
    return np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
