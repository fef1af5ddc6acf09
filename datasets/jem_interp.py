"""Means of pairs of a set's images, as the JEM paper's code makes them."""

from __future__ import annotations

import numpy as np

from oodbench import Dataset, InputError, Split
from oodbench.datasets._changed import changed_set
from oodbench.datasets._paired import Paired, check_pairable, means

SEED = 0
"""Of the order of the images."""
BATCH = 100
"""How far apart in that order the two images of a pair are."""


def jem_interp(argument: str) -> Dataset:
    """Opens means of each image with one of the next batch: `jem_interp:cifar10`.

    Images are in random order, in batches of 100; there are N − 100 means, float32 in
    [0, 1]. Nearly every image is used twice, so the means depend on each other, and
    intervals are too narrow; `interp` uses each once. The order is the same in every
    run.

    Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky, Your Classifier is
    Secretly an Energy Based Model and You Should Treat It Like One, ICLR 2020, arXiv
    1912.03263.
    """
    return changed_set("jem_interp", argument, "probe", _paired)


def _paired(split: Split, name: str) -> Split:
    check_pairable(split, name)
    if len(split.images) <= BATCH:
        raise InputError(
            f"{name} needs more than {BATCH} images, and there are {len(split.images)}."
        )
    order = np.random.default_rng(SEED).permutation(len(split.images))
    pairs = np.stack([order[:-BATCH], order[BATCH:]], 1)
    return Split(Paired(split.images, pairs, means, name))
