"""The images that Outlier Exposure's scripts validate on, made from another set's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Split
from oodbench.base.registry import unknown
from oodbench.data.dataset import Chunk, Images, manifest_of
from oodbench.data.image_files import stacked
from oodbench.datasets._changed import Mapped, changed_set
from oodbench.datasets._joined import Joined
from oodbench.datasets._oe_changes import CHANGES, Image
from oodbench.datasets._paired import (
    Paired,
    Real,
    check_pairable,
    geometric_means,
    means,
)

SEED = 0
UPSIDE_DOWN_ALIKE, MIRRORED_ALIKE = (0, 1, 3, 8), (0, 1, 8)
"""Digits that remain digits."""


def oe_images(argument: str) -> Dataset:
    """Opens changed images of a set: `oe_images:jigsaw:cifar100`.

    The kinds are `arithmetic_mean` and `geometric_mean` of each image and another one
    at random, `jigsaw`, `speckle`, `pixelate`, for colours `rgb_shift` and `inversion`,
    and for digits `mirrored`: those that are no digit upside down, then those that are
    none in a mirror. There are no labels. What is random is the same in every run.

    Hendrycks, Mazeika and Dietterich, Deep Anomaly Detection with Outlier Exposure,
    ICLR 2019, arXiv 1812.04606; read in the repository hendrycks/outlier-exposure. Its
    scripts draw noise and partners anew, and change the test images.
    """
    kind, _, inner = argument.partition(":")
    if kind not in KINDS:
        raise InputError(unknown("validation image of Outlier Exposure", kind, KINDS))
    return changed_set(f"oe_images:{kind}", inner, "probe", KINDS[kind])


@dataclass(frozen=True, eq=False)
class Changed:
    """Images, each changed as it is read: image i depends on the seed and i alone."""

    images: Images
    change: Callable[[Image, Generator], Image]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        numbers = range(len(self.images))[chunk]
        found = zip(numbers, self.images[chunk], strict=True)
        return stacked(
            [self.change(image, np.random.default_rng([SEED, i])) for i, image in found]
        )

    def manifest(self) -> str | None:
        """Returns the manifest of the images and the name of the change."""
        return manifest_of(self.images, "oe_images", self.change.__name__)


def _changed(
    split: Split, name: str, *, change: Callable[[Image, Generator], Image]
) -> Split:
    return Split(Changed(split.images, change), clusters=split.clusters)


def _paired(split: Split, name: str, *, join: Callable[[Real, Real], Real]) -> Split:
    check_pairable(split, name)
    own = np.arange(len(split.images))
    others = np.random.default_rng(SEED).integers(0, len(own) - 1, len(own))
    others += others >= own  # never the image itself
    return Split(Paired(split.images, np.stack([own, others], 1), join, name))


def _mirrored(split: Split, name: str) -> Split:
    if split.labels is None or set(split.labels.tolist()) != set(range(10)):
        raise InputError(f"{name} needs all ten digits, with their values as labels.")
    parts = [
        (np.flatnonzero(~np.isin(split.labels, alike)), change)
        for alike, change in (
            (UPSIDE_DOWN_ALIKE, upside_down),
            (MIRRORED_ALIKE, in_mirror),
        )
    ]
    origins = np.arange(len(split.labels)) if split.clusters is None else split.clusters
    return Split(
        Joined([Mapped(split.pick(at).images, change) for at, change in parts]),
        clusters=np.concatenate([origins[at] for at, _ in parts]),
    )


def upside_down(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns images `[..., H, W, C]` with their rows in the opposite order."""
    return np.flip(images, -3)


def in_mirror(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns images `[..., H, W, C]` with their columns in the opposite order."""
    return np.flip(images, -2)


KINDS: dict[str, Callable[[Split, str], Split]] = {
    "arithmetic_mean": partial(_paired, join=means),
    "geometric_mean": partial(_paired, join=geometric_means),
    **{change.__name__: partial(_changed, change=change) for change in CHANGES},
    "mirrored": _mirrored,
}
