"""Ranks of detectors over many pairs of sets, and which do not differ significantly."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.metrics.ranking import FloatArray, finite
from oodbench.metrics.signed_ranks import mean_ranks, signed_rank_p
from oodbench.metrics.significance import SIGNIFICANCE, holm


class Ranks(NamedTuple):
    """The mean ranks of detectors, the best first."""

    means: dict[str, float]
    """From 1, the best, to the number of detectors; equal values share their rank."""
    pairs: int
    """Over how many pairs of sets."""
    p: float
    """Of Friedman's test that all detectors are equal."""
    apart: dict[frozenset[str], float]
    """Of every two detectors the p-value of Wilcoxon's signed-rank test, corrected by
    Holm over all pairs of detectors."""

    @property
    def cliques(self) -> list[tuple[str, ...]]:
        """Largest groups of neighbours of which no two differ significantly, at 5 %.

        A group has at least two detectors. All are one group where Friedman's test
        finds no difference.
        """
        labels = list(self.means)
        groups: list[tuple[int, int]] = []
        for start in range(len(labels)):
            end = start + 1
            while end < len(labels) and all(
                self._is_alike(labels[end], other) for other in labels[start:end]
            ):
                end += 1
            if end > start + 1 and (not groups or end > groups[-1][1]):
                groups.append((start, end))
        return [tuple(labels[start:end]) for start, end in groups]

    def _is_alike(self, one: str, other: str) -> bool:
        found = self.p < SIGNIFICANCE
        return not found or self.apart[frozenset((one, other))] >= SIGNIFICANCE


def rank(values: Mapping[str, ArrayLike]) -> Ranks:
    """Ranks detectors by a metric of which higher values are better.

    Friedman's test decides whether there is any difference, and Wilcoxon's signed-rank
    test between every two detectors which of them differ, corrected by Holm. Whether
    two detectors differ does then not depend on the others, as it does where their mean
    ranks are compared (Benavoli, Corani and Mangili, Journal of Machine Learning
    Research, 2016). Demšar (same journal, 2006) introduced the picture of cliques.

    Args:
        values: `[P]` of each detector, of the same pairs of sets in the same order.

    Raises:
        InputError: There are fewer than two detectors or pairs, or their numbers of
            pairs differ.

    >>> rank({"a": [0.9, 0.8, 0.7], "b": [0.8, 0.7, 0.7]}).means
    {'a': 1.1666666666666667, 'b': 1.8333333333333333}
    """
    labels = list(values)
    table = [finite(each, "values") for each in values.values()]
    if len({row.size for row in table}) != 1 or len(table) < 2 or table[0].size < 2:
        raise InputError(
            "Ranks take at least two detectors with values of the same two or more "
            "pairs of sets."
        )
    ranks = np.array([mean_ranks(-column) for column in np.transpose(table)])
    means = ranks.mean(axis=0)
    order = np.argsort(means, kind="stable")
    return Ranks(
        {labels[index]: float(means[index]) for index in order},
        table[0].size,
        _friedman(ranks) if len(table) > 2 else _sign_test(*table),
        _apart(dict(zip(labels, table, strict=True))),
    )


def _friedman(ranks: FloatArray) -> float:
    """Returns the p-value of ranks `[P, D]`, by the chi-squared distribution."""
    from scipy.special import chdtrc

    pairs, detectors = ranks.shape
    between = pairs * np.sum((ranks.mean(axis=0) - (detectors + 1) / 2) ** 2)
    within = np.sum((ranks - (detectors + 1) / 2) ** 2) / (pairs * (detectors - 1))
    return float(chdtrc(detectors - 1, between / within)) if within else 1.0


def _sign_test(one: FloatArray, other: FloatArray) -> float:
    """Returns the p-value of two detectors; Friedman's test is then the sign test."""
    from scipy.special import bdtr

    above, below = int(np.sum(one > other)), int(np.sum(one < other))
    return min(1.0, 2 * float(bdtr(min(above, below), above + below, 0.5)))


def _apart(values: Mapping[str, FloatArray]) -> dict[frozenset[str], float]:
    pairs = list(combinations(values, 2))
    found = [signed_rank_p(values[one] - values[other]) for one, other in pairs]
    return dict(zip(map(frozenset, pairs), holm(found), strict=True))
