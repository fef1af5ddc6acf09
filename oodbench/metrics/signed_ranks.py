"""Wilcoxon's signed-rank test, exact also where differences are equally large."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import ArrayLike

from oodbench.metrics.ranking import FloatArray, finite

EXACT = 50
"""Differences up to which the p-value is exact; beyond, the sum of ranks is normal."""


def signed_rank_p(differences: ArrayLike) -> float:
    """Returns the two-sided p-value of differences that are symmetric about 0, (0, 1].

    Differences of 0 are left out; without others it is 1. Equal sizes share their mean
    rank. `scipy.stats.wilcoxon` gives the same number where all sizes differ.

    Wilcoxon, Individual Comparisons by Ranking Methods, Biometrics Bulletin, 1945.

    Args:
        differences: `[N]`.

    >>> signed_rank_p([1, 2, 3, 4])  # one of 2^4 choices of signs, and its mirror
    0.125
    """
    values = finite(differences, "differences")
    unequal = values[values != 0]
    ranks = mean_ranks(np.abs(unequal))
    positive = float(ranks[unequal > 0].sum())
    if unequal.size > EXACT:
        return _normal_p(positive, ranks)
    # Ranks are multiples of a half.
    chances = _chances(tuple(sorted((2 * ranks).astype(int).tolist())))
    place = round(2 * positive)
    tail = chances[: min(place, len(chances) - 1 - place) + 1]
    return min(1.0, 2 * float(tail.sum()))


def mean_ranks(values: FloatArray) -> FloatArray:
    """Returns the ranks `[N]` of values, from 1 for the lowest; ties share their mean.

    >>> mean_ranks(np.array([5.0, 3.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


@functools.lru_cache(maxsize=64)
def _chances(doubled: tuple[int, ...]) -> FloatArray:
    """Returns the chance of each sum of ranks, given twice, under random signs."""
    choices = np.zeros(sum(doubled) + 1)
    choices[0] = 1
    for rank in doubled:
        choices[rank:] += choices[:-rank]
    return choices / 2 ** len(doubled)


def _normal_p(positive: float, ranks: FloatArray) -> float:
    distance = abs(positive - ranks.sum() / 2) / math.sqrt(np.sum(ranks**2) / 4)
    return math.erfc(distance / math.sqrt(2))
