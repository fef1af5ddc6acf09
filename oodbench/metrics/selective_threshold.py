"""The score from which predictions are accepted, with a certified risk."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oodbench.base.errors import InputError
from oodbench.metrics.ranking import finite
from oodbench.metrics.threshold import delta_of

COVERAGES = 20
"""Shares of the images, evenly spread up to all, that are tried."""


class SelectiveThreshold(NamedTuple):
    """A score from which predictions are wrong at no more than a wanted rate."""

    value: float
    """Images that score no less are accepted."""
    accepted: int
    """Of the images; one more, next below, sets the threshold."""
    wrong: int
    """Of the accepted images' predictions."""
    risk: float
    """The bound: at most this share of accepted predictions is wrong, but for delta."""


def selective_threshold(
    scores: ArrayLike, correct: ArrayLike, risk: float, *, delta: float = 0.05
) -> SelectiveThreshold:
    """Returns the lowest threshold whose accepted predictions have a certified risk.

    This is SGR (Geifman and El-Yaniv, NeurIPS 2017, arXiv 1705.08500): each threshold
    tried has an exact binomial bound (their Lemma 3.1) at delta divided by the number
    of thresholds. Two things differ, so that ties and the search cost no validity. SGR
    searches by bisection, so that each threshold depends on the errors at the one
    before; here they accept 5 %, 10 %, … 100 % of the images, whatever the errors. And
    images must score above the image that sets the threshold, which is not counted:
    given it, those above are independent draws.

    Nothing is assumed but that the images are independent, and new ones like them.

    Args:
        scores: `[N]` of in-distribution images.
        correct: `[N]`, true where the prediction is right.
        risk: The share of accepted predictions that may be wrong, in (0, 1).
        delta: Share of samples whose threshold may have a higher risk, in (0, 1).

    >>> found = selective_threshold(range(400), [False] * 200 + [True] * 200, 0.05)
    >>> found.accepted, found.wrong, round(found.risk, 3)
    (199, 0, 0.03)

    Raises:
        InputError: No threshold can be certified.
    """
    from scipy.special import betaincinv

    values = finite(scores, "scores")
    right = np.asarray(correct, dtype=bool)
    if right.shape != values.shape:
        raise InputError(
            f"There are {values.size} scores, and correct has the shape "
            f"{list(right.shape)}; give one value per image."
        )
    if not 0 < risk < 1:
        raise InputError(f"The risk must be between 0 and 1, got {risk}.")
    descending = np.sort(values)[::-1]
    for step in range(COVERAGES, 0, -1):
        below = descending[-(-values.size * step // COVERAGES) - 1]
        above = values > below
        accepted, wrong = int(above.sum()), int((above & ~right).sum())
        level = 1 - delta_of(delta) / COVERAGES
        if wrong < accepted:
            bound = float(betaincinv(wrong + 1, accepted - wrong, level))
            if bound <= risk:
                value = float(np.nextafter(below, np.inf))
                return SelectiveThreshold(value, accepted, wrong, bound)
    raise InputError(
        f"No threshold on {values.size} images, {np.count_nonzero(~right)} of them "
        f"wrong, certifies a risk of {risk:g} but for {delta:g}; take more images, or "
        "a higher risk."
    )
