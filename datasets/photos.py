"""Patches of scikit-learn's two photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.datasets._scikit_learn import data_file

SIDE = 32
"""Height and width of a patch."""


def photos(argument: str) -> Dataset:
    """Opens 520 grey patches of a Chinese palace and of a flower.

    Images are `[520, 32, 32, 1]`, uint8, BT.601 luma, and do not overlap. The patches
    of one photograph are a cluster. Both photographs come with scikit-learn, CC BY 2.0:

    - china.jpg by danielbuechele, flickr.com/photos/danielbuechele/6061409035
    - flower.jpg by vultilion, flickr.com/photos/vultilion/6056698931
    """
    if argument:
        raise InputError(f"photos takes no argument, got {argument!r}; write photos.")
    return Dataset(name="photos", load=_load, role="far", shape=Shape(1, SIDE, SIDE))


def _load(split: SplitName, shape: Shape) -> Split:
    files = [data_file(f"images/{name}.jpg") for name in ("china", "flower")]
    found = [_patches(np.asarray(Image.open(file))) for file in files]
    clusters = np.repeat(np.arange(len(found)), [len(patches) for patches in found])
    return Split(np.concatenate(found)[..., None], clusters=clusters)


def _patches(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cuts a photograph `[H, W, 3]` into grey patches `[N, 32, 32]`, row by row."""
    grey = np.asarray(Image.fromarray(photo).convert("L"))
    rows, columns = grey.shape[0] // SIDE, grey.shape[1] // SIDE
    whole = grey[: rows * SIDE, : columns * SIDE]
    grid = whole.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
    return grid.reshape(-1, SIDE, SIDE)
