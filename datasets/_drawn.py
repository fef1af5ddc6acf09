"""Sets of images that are drawn at random as they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from oodbench import Dataset, Role, Shape, Split, SplitName

SEED = 0

Draw = Callable[[Generator, tuple[int, int, int]], NDArray[np.generic]]
"""Draws one image `[H, W, C]`: integers in 0…255, or real numbers in [0, 1]."""


def drawn_set(
    name: str, draw: Draw, role: Role, *, count: int, dtype: type[np.generic]
) -> Dataset:
    """Returns a set of `count` images in the shape of the network, all in test."""

    def load(split: SplitName, shape: Shape) -> Split:
        size = shape.height, shape.width, shape.channels
        return Split(Drawn(draw, size, count, dtype))

    return Dataset(name, load, role)


@dataclass(frozen=True)
class Drawn:
    """Images drawn one by one: image i depends on the seed and i alone."""

    draw: Draw
    size: tuple[int, int, int]
    """`(H, W, C)`."""
    count: int
    dtype: type[np.generic]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, chunk: slice, /) -> NDArray[np.generic]:
        wanted = range(self.count)[chunk]
        images = np.empty((len(wanted), *self.size), self.dtype)
        for image, index in zip(images, wanted, strict=True):
            image[...] = self.draw(np.random.default_rng([SEED, index]), self.size)
        return images
