"""The negatives of a set's images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, Split
from oodbench.datasets._changed import Mapped, changed_set


def inverted(argument: str) -> Dataset:
    """Opens the negatives of a set's images, labels kept: `inverted:digits:0-7`."""

    def change(split: Split, name: str) -> Split:
        return replace(split, images=Mapped(split.images, invert))

    return changed_set("inverted", argument, "covariate", change)


def invert(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns 255 − x for uint8 images, 1 − x for float32 ones."""
    white = 255 if images.dtype == np.uint8 else 1
    return np.subtract(white, images, dtype=images.dtype)
