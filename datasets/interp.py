"""Means of pairs of a set's images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Split
from oodbench.data.adapt import unit_range
from oodbench.data.dataset import Images, manifest_of
from oodbench.datasets._changed import changed_set

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
    if split.clusters is not None:
        raise InputError(
            f"{name} would join images of different origins, and its means would "
            "depend on each other; take a set without clusters."
        )
    if len(split.images) < 2:
        raise InputError(f"{name} needs two images, and there is one.")
    order = np.random.default_rng(SEED).permutation(len(split.images))
    pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
    return Split(Means(split.images, pairs, name))


@dataclass(frozen=True, eq=False)
class Means:
    """Means of two images, computed as they are read."""

    images: Images
    pairs: NDArray[np.int64]
    """`[N, 2]`, numbers of the images."""
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
        return np.array([(one + other) / 2 for one, other in pairs], np.float32)

    def manifest(self) -> str | None:
        """Returns the manifest of the images and of the pairs."""
        return manifest_of(self.images, "means", self.pairs.tolist())

    def _read(self, index: int) -> NDArray[np.float32]:
        return unit_range(self.images[index : index + 1][0])
