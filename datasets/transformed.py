"""Sets made from another set: mixed in pairs, rotated, inverted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Role, Shape, Split, SplitName
from oodbench.data.dataset import Chunk, Images
from oodbench.data.spec import open_dataset

SEED = 0
"""Of the permutation that pairs the images of `interp`."""


def interp(argument: str) -> Dataset:
    """Opens the means of pairs of images of a set: `interp:digits:0-7`.

    Every image is in one pair only, so that the N // 2 means are independent of each
    other. Images are float32 in [0, 1]; the pairs are the same in every run.

    After the Interp set of Grathwohl, Wang, Jacobsen, Duvenaud, Norouzi and Swersky,
    Your Classifier is Secretly an Energy Based Model and You Should Treat It Like One,
    ICLR 2020, arXiv 1912.03263, whose code uses every image twice.
    """

    def change(split: Split, name: str) -> Split:
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

    return _derived("interp", argument, "probe", change)


def rotated(argument: str) -> Dataset:
    """Opens a set turned by 90 degrees counter-clockwise: `rotated:digits:0-7`.

    It has no labels: a 6 on its side is no 6.
    """

    def change(split: Split, name: str) -> Split:
        return Split(Mapped(split.images, rotate), clusters=split.clusters)

    return _derived("rotated", argument, "probe", change)


def inverted(argument: str) -> Dataset:
    """Opens the negatives of a set's images, labels kept: `inverted:digits:0-7`."""

    def change(split: Split, name: str) -> Split:
        return Split(Mapped(split.images, invert), split.labels, split.clusters)

    return _derived("inverted", argument, "covariate", change)


def _derived(
    kind: str, argument: str, role: Role, change: Callable[[Split, str], Split]
) -> Dataset:
    if not argument:
        raise InputError(f"{kind} needs a set to work on, as in {kind}:digits:0-7.")
    inner = open_dataset(argument)
    name = f"{kind}:{inner.name}"

    def load(split: SplitName, shape: Shape) -> Split:
        return change(inner.load(split, shape), name)

    return Dataset(name, load, role, inner.splits, made_from=inner)


@dataclass(frozen=True)
class Mapped:
    """Images, each changed as it is read."""

    images: Images
    change: Callable[[NDArray[np.generic]], NDArray[np.generic]]
    """Maps `[..., H, W, C]`, one image or many."""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        found = self.images[chunk]
        if isinstance(found, np.ndarray):
            return self.change(found)
        return [self.change(image) for image in found]


def rotate(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns images `[..., H, W, C]` turned counter-clockwise, `[..., W, H, C]`."""
    return np.ascontiguousarray(np.rot90(images, axes=(-3, -2)))


def invert(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns 255 − x where x is uint8, 1 − x where it is float32."""
    white = 255 if images.dtype == np.uint8 else 1
    return np.subtract(white, images, dtype=images.dtype)


@dataclass(frozen=True, eq=False)
class Means:
    """Means of two images, read as they are needed."""

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

    def _read(self, index: int) -> NDArray[np.float32]:
        image = self.images[index : index + 1][0]
        scale = 255 if image.dtype == np.uint8 else 1
        return image.astype(np.float32) / np.float32(scale)
