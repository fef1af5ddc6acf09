"""The score from which images are accepted, with its uncertainty."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.metrics.intervals import Interval, tail_of
from oodbench.metrics.ranking import finite, threshold_at_tpr

Certified = Literal["mean", "delta"]
"""For whom a rate holds: for new images on average over all samples that a threshold
could be made from, or for the new images of all but a share delta of these samples."""


class Threshold(NamedTuple):
    """A score that accepts a share of the in-distribution images, at least."""

    value: float
    """Images that score no less are accepted."""
    likely: Interval
    """Interval of the score that accepts exactly the wanted share of all images like
    these; infinite where the sample is too small to bound it."""
    share: float
    """Of this sample's images that it accepts."""
    true_share: Interval
    """Interval of the share that it accepts of all images like these."""


def threshold(
    id_scores: ArrayLike,
    rate: float = 0.95,
    *,
    certified: Certified | None = None,
    delta: float = 0.05,
    level: float = 0.95,
) -> Threshold:
    """Returns the highest score that at least the share `rate` of `[N]` images reaches.

    With `certified` it is the highest score that new images reach at that rate. On
    average: at least rate (N + 1) of the N images must reach it. This is conformal risk
    control (Angelopoulos, Bates, Fisch, Lei and Schuster, ICLR 2024, arXiv 2208.02814)
    with a loss of 1 for a rejected image. But for delta: the share delta of the
    distribution that follows lies below the rate, at most.

    Nothing is assumed of the scores but that the images are independent. The K-th
    highest of N accepts a share of all images whose distribution is Beta(K, N + 1 - K)
    (Wilks, Annals of Mathematical Statistics, 1941), or more where scores are tied; the
    upper end is Clopper and Pearson's (Biometrika, 1934) for all that it accepts. The
    interval of the score goes from order statistic to order statistic by the binomial
    distribution (David and Nagaraja, Order Statistics, Wiley, 2003).

    Args:
        id_scores: `[N]`.
        rate: The wanted share, in (0, 1]; below 1 if it is certified.
        certified: Whether the rate holds for new images: on average or but for delta.
        delta: Share of samples whose threshold may accept fewer new images, in (0, 1).
        level: Share of samples whose interval contains the truth, in (0, 1).

    >>> found = threshold([4, 3, 2, 1], 0.75)
    >>> found.value, found.share
    (2.0, 0.75)
    >>> threshold([4, 3, 2, 1], 0.75, certified="mean").value
    1.0

    Raises:
        InputError: The rate cannot be certified with so few images.
    """
    from scipy.special import bdtr, betaincinv

    tail = tail_of(level)
    descending = np.sort(finite(id_scores, "id_scores"))[::-1]
    count = descending.size
    rank = _rank(count, rate, certified, delta)
    value = float(descending[rank - 1])
    accepted = int(np.count_nonzero(descending >= value))
    low = betaincinv(rank, count + 1 - rank, tail)
    high = (
        1 if accepted == count else betaincinv(accepted + 1, count - accepted, 1 - tail)
    )
    # The chance that no more than 0, 1, … N of N images reach the true score.
    at_most = bdtr(np.arange(count + 1), count, rate)
    above = int(np.count_nonzero(at_most <= tail))
    below = int(np.count_nonzero(1 - at_most > tail)) + 1
    likely = Interval(
        float(descending[below - 1]) if below <= count else -np.inf,
        float(descending[above - 1]) if above >= 1 else np.inf,
    )
    return Threshold(value, likely, accepted / count, Interval(float(low), float(high)))


def _rank(count: int, rate: float, certified: Certified | None, delta: float) -> int:
    """Returns how many of `count` images must reach the threshold."""
    from scipy.special import betaincinv

    images = count + 1 if certified == "mean" else count
    rank = images - int(threshold_at_tpr(np.arange(images), rate))
    if certified == "delta":
        # The share of all images that the K-th highest accepts, but for delta.
        ranks = np.arange(1, count + 1)
        low = betaincinv(ranks, count + 1 - ranks, delta_of(delta))
        rank = int(np.count_nonzero(low < rate)) + 1
    if rank > count:
        raise InputError(
            f"{count} images are too few to certify a rate of {rate:g}; take more "
            "images or a lower rate."
        )
    return rank


def delta_of(delta: float) -> float:
    """Returns a share of samples that may fail.

    Raises:
        InputError: It is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise InputError(f"delta must be between 0 and 1, got {delta}.")
    return delta
