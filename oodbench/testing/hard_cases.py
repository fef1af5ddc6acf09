"""Checks on images and networks that reveal wrong signs and numbers."""

from __future__ import annotations

import numpy as np

from oodbench.data.dataset import Split
from oodbench.testing import problem
from oodbench.testing.fault import FaultError, check
from oodbench.testing.trial import (
    Kind,
    RefusalError,
    Scores,
    Trial,
    fresh,
    usual_scores,
)

DIFFERENT = 1 / 4
"""The share of different scores that stay different with extreme logits."""


@check
def scores_known_images_higher(kind: Kind) -> None:
    """Images of the classes score higher than others, with AUROC above 0.5."""
    trial = Trial(fresh(kind))
    inside, outside = trial.scores(problem.inside()), trial.scores(problem.outside())
    auroc = _auroc(inside, outside)
    if auroc < 0.5:
        raise FaultError(
            f"images of the classes score lower than others (AUROC {auroc:.3f}); "
            "return the negative score, for higher means more in-distribution"
        )
    if auroc == 0.5:
        raise FaultError(
            "images of the classes score as others do; look for lost digits"
        )


@check
def scores_constant_images_and_a_single_one(kind: Kind) -> None:
    """Black, grey and white images, and a set of one image, have finite scores.

    All features of the grey image are 0.
    """
    trial = Trial(fresh(kind))
    levels = np.array([0, problem.GREY, 255], np.uint8)
    one = np.asarray(problem.inside().images[:1])
    trial.scores(Split(np.ones_like(one) * levels[:, None, None, None]))
    trial.scores(Split(one))


@check
def scores_without_images_of_a_class(kind: Kind) -> None:
    """Fitted without images of a class, it refuses with a ValueError, or scores.

    Scores are finite then. Another class has one image.
    """
    split = problem.known()
    assert split.labels is not None
    labels = split.labels.copy()
    labels[labels == 0] = 1
    labels[np.flatnonzero(labels == 2)[1:]] = 3
    try:
        Trial(fresh(kind), known=Split(split.images, labels)).scores()
    except RefusalError:
        return


@check
def withstands_extreme_logits(kind: Kind) -> None:
    """With logits × 100 and ÷ 100, scores are finite, and a quarter stay different."""
    usual = len(np.unique(usual_scores(kind)))
    for scale in (100.0, 0.01):
        try:
            found = Trial(fresh(kind), scale).scores()
        except RefusalError:
            continue
        distinct = len(np.unique(found))
        if distinct < DIFFERENT * usual:
            raise FaultError(
                f"{len(found)} images have {distinct} different scores where logits "
                f"are multiplied by {scale:g}, {usual} otherwise; compute from "
                "log_softmax in float64, and return logarithms or log odds"
            )


def _auroc(inside: Scores, outside: Scores) -> float:
    above = inside[:, None] > outside
    return float((above + 0.5 * (inside[:, None] == outside)).mean())
