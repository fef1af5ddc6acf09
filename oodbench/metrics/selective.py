"""How well a score rejects both OOD images and wrong predictions.

Images are accepted from the highest score down. An accepted image is an error if it is
OOD, or if the network's prediction of it is wrong. Images count as they were drawn, so
the numbers depend on how many OOD images there are: compare them on one pair of sets.
Tied images are accepted in random order, and the numbers are the mean over all orders.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.metrics.ranking import FloatArray, Places, places_of


def aurc(id_scores: ArrayLike, ood_scores: ArrayLike, correct: ArrayLike) -> float:
    """Returns the area under the risk-coverage curve, in [0, 1]; lower is better.

    With n images and e_k errors among the k that are accepted first, the risk at
    coverage k / n is e_k / k, and AURC the mean of it over k = 1 … n (Geifman and
    El-Yaniv, NeurIPS 2017, arXiv 1705.08500; Geifman, Uziel and El-Yaniv, ICLR 2019,
    arXiv 1805.08206). OOD images as errors are as in Jaeger, Lüth, Klein and Bungert
    (ICLR 2023, arXiv 2211.15259).

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.
        correct: `[N]`, true where the prediction of an ID image is right.

    >>> aurc([4, 2], [3, 1], [True, True])  # risks 0, 1/2, 1/3, 1/2
    0.3333333333333333
    """
    return mean_risk(expected_errors(id_scores, ood_scores, correct))


def augrc(id_scores: ArrayLike, ood_scores: ArrayLike, correct: ArrayLike) -> float:
    """Returns the area under the generalised curve, in [0, 1/2]; lower is better.

    The generalised risk at coverage k / n is e_k / n, the share of images that are both
    accepted and wrong; the area is taken under straight lines between the points from
    (0, 0) on. With the share a of images that are no errors it equals
    (1 - AUROC) a (1 - a) + (1 - a)² / 2, where AUROC is of these against errors (Traub
    et al., NeurIPS 2024, arXiv 2407.01032).

    Args:
        id_scores: `[N]`.
        ood_scores: `[M]`.
        correct: `[N]`, true where the prediction of an ID image is right.

    >>> augrc([4, 2], [3, 1], [True, True])  # 1/4 of pairs in wrong order, a = 1/2
    0.1875
    """
    return mean_generalised_risk(expected_errors(id_scores, ood_scores, correct))


def mean_risk(errors: FloatArray) -> float:
    """Returns AURC from the `expected_errors` `[n]`."""
    return float(np.mean(errors / np.arange(1, errors.size + 1)))


def mean_generalised_risk(errors: FloatArray) -> float:
    """Returns AUGRC from the `expected_errors` `[n]`."""
    return float((errors.sum() - errors[-1] / 2) / errors.size**2)


def expected_errors(
    id_scores: ArrayLike, ood_scores: ArrayLike, correct: ArrayLike
) -> FloatArray:
    """Returns how many of the first 1 … n images are errors, `[n]`.

    Where images are tied, it is the mean over all their orders.
    """
    return errors_at(places_of(id_scores, ood_scores), correct)


def errors_at(places: Places, correct: ArrayLike) -> FloatArray:
    """Returns `expected_errors` from the places of the scores."""
    right = np.asarray(correct, dtype=bool)
    if right.shape != places.inside.shape:
        raise InputError(
            f"There are {places.inside.size} scores of ID images, and correct has the "
            f"shape {list(right.shape)}; give one value per ID image."
        )
    wrong = np.append(~right, np.ones(places.outside.size, bool))
    share = np.bincount(np.append(places.inside, places.outside), wrong) / places.images
    return np.cumsum(np.repeat(share, places.images))
