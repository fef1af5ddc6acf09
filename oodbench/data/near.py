"""The training images that are nearest to other images."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from oodbench.data.dataset import Split
from oodbench.data.image_set import ImageSet


class Near(NamedTuple):
    """The k nearest training images of each of N images, the nearest first."""

    places: NDArray[np.int64]
    """`[N, k]`, their places among the training images, from 0."""
    distances: NDArray[np.float64]
    """`[N, k]`."""


class FindNear(Protocol):
    """Finds them."""

    @property
    def training(self) -> ImageSet:
        """The training images."""

    def __call__(self, images: Split) -> Near:
        """Returns the neighbours of some images; raises InputError if that fails."""
