"""Intervals of AUPR, AURC and AUGRC from the influence of each image.

The influence of an image is how the metric moves if the image counts slightly more, per
share of its class (Hampel, Journal of the American Statistical Association, 1974). To
first order, the metric of a sample deviates from the true one by the mean influence, so
that influences take the place that placements have for the AUROC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench.metrics.intervals import Interval, logit_step, tail_of
from oodbench.metrics.ranking import Counts, FloatArray, Places
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
    """`[N]`."""
    outside: FloatArray
    """`[M]`."""
    possible: tuple[FloatArray, FloatArray]
    """What an image of either class could have above or below all others: `[2]`, or
    `[4]` for ID images, whose prediction is right or wrong."""


def on_average_precision(counts: Counts, places: Places) -> Influence:
    """Returns the influences on `ranking.average_precision`, ID images as positives."""
    true, false = (part[1:] / part[-1] for part in counts)
    # An image counts at its own threshold and at all lower ones.
    slope = np.diff(true, prepend=0) / (true + false) ** 2
    positive = true / (true + false) + _from_here_on(slope * false)
    negative = -_from_here_on(slope * true)
    return Influence(
        positive[places.inside],
        negative[places.outside],
        # Above all images the precision is 1, below all it is 1 / 2.
        (np.array([1 + (slope * false).sum(), 0.5]), np.array([negative[0], 0.0])),
    )


def on_mean_risk(
    errors: FloatArray, places: Places, correct: NDArray[np.bool_]
) -> Influence:
    """Returns the influences on `selective.mean_risk`, from its expected errors `[n]`.

    Each accepted image makes coverage larger from its place on, an error the risk too.
    """
    accepted = np.arange(1, errors.size + 1)
    risk = errors / accepted
    return _selective(
        risk - _from_here_on(risk / accepted),
        _from_here_on(1 / accepted),
        places,
        correct,
    )


def on_mean_generalised_risk(
    errors: FloatArray, places: Places, correct: NDArray[np.bool_]
) -> Influence:
    """Returns the influences on `selective.mean_generalised_risk`."""
    total = errors.size
    later = total - np.arange(total) - 0.5
    return _selective(errors / total, later / total, places, correct)


def influence_interval(
    value: float,
    influence: Influence,
    clusters: Clusters = INDEPENDENT,
    *,
    level: float = 0.95,
    lowest: Callable[[float, int, float], float] = lambda value, count, tail: 0.0,
) -> Interval:
    """Returns a confidence interval of a metric within [0, 1].

    It is built as `intervals.delong_interval`, with influences for placements: a step
    along the logit by Student's quantile, with one more image in each class that the
    sample may have missed. That image moves the metric by the geometric mean of the
    largest influence in the sample and the largest possible.

    Where no image moves the metric more than one image of the class can, because right
    and wrong are separated, the interval reaches as far as a share of `1 - ((1 - level)
    / 2) ** (1 / K)` of each class can move it, K being the images of the smaller one.

    Args:
        value: The metric of the sample.
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
        return Interval(0.0, 1.0)
    possible = [
        limits - values.mean()
        for limits, values in zip(influence.possible, influence[:2], strict=True)
    ]
    if all(unit.largest[0] * unit.count <= 1 for unit in units):
        missed = 1 - tail ** (1 / count)
        low = value + missed * sum(float(limits.min()) for limits in possible)
        high = value + missed * sum(float(limits.max()) for limits in possible)
    else:
        low = _low_end(value, units, possible, tail)
        mirrored = [u.mirrored() for u in units], [-limits for limits in possible]
        high = 1 - _low_end(1 - value, *mirrored, tail)
    low = max(low, lowest(value, count, tail))
    return Interval(min(value, max(0.0, low)), max(value, min(1.0, high)))


def lowest_precision(value: float, count: int, tail: float) -> float:
    """Returns a low end of the average precision from a binomial share of K images.

    If a share d of the negatives scores above all positives, and the rest below, the
    average precision is 1 - d log(1 + 1 / d) at 50 % prevalence, and no d negatives
    lower it more. The d that explains the value is taken for a share of K images, and
    its upper end is that of Clopper and Pearson (Biometrika, 1934).

    >>> round(lowest_precision(1.0, 100, 0.025), 4)  # d is at most 1 - 0.025 ** 0.01
    0.8785
    """
    from scipy.special import betaincinv

    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        low, high = (share, high) if _precision(share) > value else (low, share)
    if high == 1:
        return 0.0
    return _precision(float(betaincinv(count * high + 1, count * (1 - high), 1 - tail)))


def _precision(share: float) -> float:
    return 1 - share * math.log1p(1 / share)


def _low_end(
    value: float,
    units: Sequence[Units],
    possible: Sequence[FloatArray],
    tail: float,
) -> float:
    """Returns the low end from deviations in the sample and possible ones."""
    missed = []
    for unit, limits in zip(units, possible, strict=True):
        seen = min(0.0, float(unit.lowest[0]))
        missed.append(-math.sqrt(seen * min(seen, float(limits.min()))))
    return logit_step(value, spread_of(units, missed), -1, tail)


def _selective(
    at_place: FloatArray,
    of_error: FloatArray,
    places: Places,
    correct: NDArray[np.bool_],
) -> Influence:
    """Returns influences from those by place `[n]` and what an error there adds."""
    counts = places.images
    tied = np.repeat(np.arange(counts.size), counts)
    right, added = (np.bincount(tied, part) / counts for part in (at_place, of_error))
    wrong = right + added
    sizes = places.inside.size, places.outside.size
    shares = [size / sum(sizes) for size in sizes]
    ends = [0, -1]
    top_and_bottom = at_place[ends], at_place[ends] + of_error[ends]
    return Influence(
        shares[0] * np.where(correct, right[places.inside], wrong[places.inside]),
        shares[1] * wrong[places.outside],
        (shares[0] * np.append(*top_and_bottom), shares[1] * top_and_bottom[1]),
    )


def _from_here_on(values: FloatArray) -> FloatArray:
    """Returns for each place the sum over it and all lower ones."""
    return np.cumsum(values[::-1])[::-1]
