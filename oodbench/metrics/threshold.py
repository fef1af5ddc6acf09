"""The score from which images are accepted, with its uncertainty."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.metrics.intervals import Interval, tail_of
from oodbench.metrics.ranking import finite, threshold_at_tpr


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
    id_scores: ArrayLike, rate: float = 0.95, *, level: float = 0.95
) -> Threshold:
    """Returns the highest score that at least the share `rate` of `[N]` images reaches.

    Nothing is assumed of the scores but that the images are independent. The K-th
    highest of N accepts a share of all images whose distribution is Beta(K, N + 1 - K)
    (Wilks, Annals of Mathematical Statistics, 1941), or more where scores are tied; the
    upper end is Clopper and Pearson's (Biometrika, 1934) for all that it accepts. The
    interval of the score goes from order statistic to order statistic by the binomial
    distribution (David and Nagaraja, Order Statistics, Wiley, 2003).

    Args:
        id_scores: `[N]`.
        rate: The wanted share, in (0, 1].
        level: Share of samples whose interval contains the truth, in (0, 1).

    >>> found = threshold([4, 3, 2, 1], 0.75)
    >>> found.value, found.share
    (2.0, 0.75)
    """
    from scipy.special import bdtr, betaincinv

    tail = tail_of(level)
    descending = np.sort(finite(id_scores, "id_scores"))[::-1]
    value = threshold_at_tpr(descending, rate)
    count = descending.size
    rank = count - int(threshold_at_tpr(np.arange(count), rate))
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
