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
from oodbench.metrics.order import Order, added_at, at, order_of
from oodbench.metrics.ranking import FloatArray, finite


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
    return float(mean_risk(expected_errors(id_scores, ood_scores, correct)))


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
    errors = expected_errors(id_scores, ood_scores, correct)
    return float(mean_generalised_risk(errors))


def mean_risk(errors: FloatArray) -> FloatArray:
    """Returns AURC `[…]` from the `expected_errors` `[…, n]`."""
    return np.mean(errors / np.arange(1, errors.shape[-1] + 1), axis=-1)


def mean_generalised_risk(errors: FloatArray) -> FloatArray:
    """Returns AUGRC `[…]` from the `expected_errors` `[…, n]`."""
    return (errors.sum(axis=-1) - errors[..., -1] / 2) / errors.shape[-1] ** 2


def expected_errors(
    id_scores: ArrayLike, ood_scores: ArrayLike, correct: ArrayLike
) -> FloatArray:
    """Returns how many of the first 1 … n images are errors, `[n]`.

    Where images are tied, it is the mean over all their orders.
    """
    inside, outside = finite(id_scores, "id_scores"), finite(ood_scores, "ood_scores")
    return errors_of(order_of(inside, outside), correct)


def errors_of(order: Order, correct: ArrayLike) -> FloatArray:
    """Returns `expected_errors` `[…, n]` from the order of the images."""
    right = np.asarray(correct, dtype=bool)
    count = order.inside.shape[-1]
    if right.shape != (count,):
        raise InputError(
            f"There are {count} scores of ID images, and correct has the shape "
            f"{list(right.shape)}; give one value per ID image."
        )
    wrong = np.append(~right, np.ones(order.size - count, dtype=bool))
    places = np.concatenate([order.inside, order.outside], axis=-1)
    share = added_at(places, order.size, wrong) / np.maximum(order.shared, 1)
    return np.cumsum(at(share, order.places), axis=-1)
