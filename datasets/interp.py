"""Means of pairs of a set's images."""

from __future__ import annotations

import numpy as np

from oodbench import Dataset, Split
from oodbench.datasets._changed import changed_set
from oodbench.datasets._paired import Paired, check_pairable, means

SEED = 0
"""Of the permutation that pairs the images."""


def interp(argument: str) -> Dataset:
    """Opens the means of pairs of images of a set: `interp:digits:0-7`.

    Every image is in one pair only, so that the N // 2 means are independent of each
    other. Images are float32 in [0, 1]; the pairs are the same in every run.

    After the Interp set of Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky,
    Your Classifier is Secretly an Energy Based Model and You Should Treat It Like One,
    ICLR 2020, arXiv 1912.03263, whose code uses every image twice.
    """
    return changed_set("interp", argument, "probe", _paired)


def _paired(split: Split, name: str) -> Split:
    check_pairable(split, name)
    order = np.random.default_rng(SEED).permutation(len(split.images))
    pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
    return Split(Paired(split.images, pairs, means, name))
