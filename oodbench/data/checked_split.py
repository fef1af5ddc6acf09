"""Loads splits and checks that they are what `Split` documents."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from oodbench.base import registry
from oodbench.data.dataset import (
    Chunk,
    Dataset,
    Images,
    Shape,
    Split,
    SplitName,
    manifest_of,
)
from oodbench.data.image_files import UnreadableImageError

logger = logging.getLogger(__name__)


def load_split(dataset: Dataset, stage: SplitName, shape: Shape) -> Split:
    """Returns a split whose images are checked as they are read.

    Raises:
        PluginError: The set fails, or returns something else than it should. Images
            that are not in memory are checked later, when they are read.
    """
    with registry.foreign(f"The data set {dataset.name!r} failed with"):
        split = dataset.load(stage, shape)
    if not isinstance(split, Split):
        _blame(dataset.name, f"loads a {type(split).__name__}, not a Split")
    with registry.foreign(f"The images of data set {dataset.name!r} failed with"):
        count = len(split.images)
    images = split.images
    if isinstance(images, np.ndarray):
        _check(dataset.name, images)
    else:
        images = Checked(images, dataset.name, count)
    split = replace(
        split,
        images=images,
        labels=_numbers(dataset.name, "labels", split.labels, count),
        clusters=_numbers(dataset.name, "clusters", split.clusters, count),
    )
    return (
        _without_unreadable(dataset.name, split) if dataset.skip_unreadable else split
    )


def _without_unreadable(name: str, split: Split) -> Split:
    """Returns the images that can be read, each of which is read once for that."""
    places, faults = [], []
    for place in range(len(split.images)):
        try:
            split.images[place : place + 1]
            places.append(place)
        except UnreadableImageError as error:
            faults.append(str(error))
    if not faults:
        return split
    logger.warning(
        "Warning: %d of %d images of %s are left out, since they cannot be read. "
        "The first: %s",
        len(faults),
        len(split.images),
        name,
        faults[0],
    )
    return split.pick(np.array(places, np.int64))


@dataclass(frozen=True, eq=False)
class Checked:
    """Images that are checked as they are read; errors name the data set."""

    images: Images
    name: str
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, chunk: slice, /) -> Chunk:
        wanted = len(range(*chunk.indices(self.count)))
        with registry.foreign(f"The images of data set {self.name!r} failed with"):
            found = self.images[chunk]
            given = len(found)
        if given != wanted:
            _blame(
                self.name,
                f"says that it has {self.count} images, and gives {given} for {wanted} "
                f"from {chunk.start} on",
            )
        for images in [found] if isinstance(found, np.ndarray) else found:
            _check(self.name, images, one=images is not found)
        return found

    def manifest(self) -> str | None:
        """Returns the manifest of the images."""
        return manifest_of(self.images)


def _check(name: str, images: object, *, one: bool = False) -> None:
    form = "[H, W, C]" if one else "[N, H, W, C]"
    if not isinstance(images, np.ndarray):
        _blame(name, f"gives a {type(images).__name__} where an array belongs")
    if images.ndim != len(form.split()) or images.shape[-1] not in (1, 3):
        _blame(name, f"gives images {images.shape}, not {form} with 1 or 3 channels")
    if images.dtype not in (np.uint8, np.float32):
        _blame(name, f"gives images of {images.dtype}, not uint8 or float32")
    if images.dtype == np.float32 and not ((images >= 0) & (images <= 1)).all():
        _blame(
            name,
            f"gives images from {images.min():g} to {images.max():g}, not in [0, 1]",
        )


def _numbers(
    name: str, what: str, values: object, count: int
) -> NDArray[np.int64] | None:
    if values is None:
        return None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu":
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        _blame(name, f"has {what} of {kind}, not an array of integers")
    if values.shape != (count,):
        _blame(name, f"has {what} {values.shape} for {count} images")
    return values.astype(np.int64, copy=False)


def _blame(name: str, fault: str) -> NoReturn:
    raise registry.PluginError(
        f"The data set {name!r} {fault}; its plug-in must be repaired."
    )
