"""Images made of two images each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodbench import InputError, Split
from oodbench.data.adapt import unit_range
from oodbench.data.dataset import Images, manifest_of

Real = NDArray[np.float32]


def means(one: Real, other: Real) -> Real:
    """Returns the arithmetic mean of two images."""
    return (one + other) / np.float32(2)


def geometric_means(one: Real, other: Real) -> Real:
    """Returns the geometric mean of two images."""
    return np.sqrt(one * other)


def check_pairable(split: Split, name: str) -> None:
    """Checks that images can be joined in pairs.

    Raises:
        InputError: There are fewer than two, or some share an origin.
    """
    if split.clusters is not None:
        raise InputError(
            f"{name} would join images of different origins, and its means would "
            "depend on each other; take a set without clusters."
        )
    if len(split.images) < 2:
        raise InputError(f"{name} needs two images, and there is one.")


@dataclass(frozen=True, eq=False)
class Paired:
    """Images of pairs of images, computed as they are read: float32 in [0, 1]."""

    images: Images
    pairs: NDArray[np.int64]
    """`[N, 2]`, numbers of the images."""
    join: Callable[[Real, Real], Real]
    name: str

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, chunk: slice, /) -> NDArray[np.float32]:
        pairs = [[self._read(int(i)) for i in pair] for pair in self.pairs[chunk]]
        sizes = {image.shape for pair in pairs for image in pair}
        if len(sizes) > 1:
            seen = " and ".join("x".join(map(str, size)) for size in sorted(sizes)[:2])
            raise InputError(
                f"{self.name} needs images of one size, and some are {seen}."
            )
        return np.array([self.join(*pair) for pair in pairs], np.float32)

    def manifest(self) -> str | None:
        """Returns the manifest of the images, the pairs and what joins them."""
        return manifest_of(self.images, self.join.__name__, self.pairs.tolist())

    def _read(self, index: int) -> Real:
        return unit_range(self.images[index : index + 1][0])
