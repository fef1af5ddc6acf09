"""The images of a set, rotated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, Split
from oodbench.datasets._changed import Mapped, changed_set


def rotated(argument: str) -> Dataset:
    """Opens a set turned by 90 degrees counter-clockwise: `rotated:digits:0-7`.

    It has no labels: a 6 on its side is no 6.
    """

    def change(split: Split, name: str) -> Split:
        return Split(Mapped(split.images, rotate), clusters=split.clusters)

    return changed_set("rotated", argument, "probe", change)


def rotate(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns images `[..., H, W, C]` turned counter-clockwise, `[..., W, H, C]`."""
    return np.ascontiguousarray(np.rot90(images, axes=(-3, -2)))
