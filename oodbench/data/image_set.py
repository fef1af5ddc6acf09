"""One split of a data set as a network will see it, with its fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.base.files import Record, folder_name, key_of
from oodbench.data.adapt import rule, rule_for_files
from oodbench.data.checked_split import load_split
from oodbench.data.dataset import (
    Dataset,
    Images,
    Shape,
    Split,
    SplitName,
    chunks,
    digest,
)
from oodbench.data.image_files import ImageFiles


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images that are there, counted and told apart from others."""

    dataset: Dataset
    stage: SplitName
    split: Split
    count: int
    shape: Shape
    """That the images are adapted to."""
    adaptation: str
    """What that does to them, in words."""
    limit: int | None
    digests: NDArray[np.uint64] | None
    """`[N]`, a hash of each image as it was before adaptation.

    None for images in files, whose digests come with the pass that scores them: they
    would have to be decoded twice.
    """
    images_key: str
    """A hash of the images in order; of images in files, of their names and dates."""

    @property
    def key(self) -> str:
        """A hash of the images in order, their labels and what is done to them."""
        labels = self.split.labels
        return key_of(
            self.images_key,
            None if labels is None else labels.tolist(),
            self.shape,
            self.adaptation,
        )

    def has_images_of(self, other: ImageSet) -> bool:
        """Returns whether both hold the same images, in whatever order."""
        if self.digests is None or other.digests is None:
            return self.images_key == other.images_key
        return set(self.digests.tolist()) == set(other.digests.tolist())

    def check_classes(self, network: str, classes: int) -> None:
        """Holds the labels, if there are any, to the classes of a network.

        Raises:
            InputError: A label is none of them.
        """
        labels = self.split.labels
        if labels is not None and int(labels.max()) >= classes:
            raise InputError(
                f"{self.dataset.name} has labels up to {labels.max()}, but {network} "
                f"has {classes} classes (0-{classes - 1}). Name a network or a set "
                "with the other's classes."
            )

    @property
    def folder(self) -> str:
        """Its name among the results."""
        return folder_name(self.dataset.name, self.key)

    def record(self) -> Record:
        """Returns what the results say of it."""
        return {
            "name": self.dataset.name,
            "spec": self.dataset.spec,
            "key": self.key,
            "split": self.stage,
            "images": self.count,
            "adaptation": self.adaptation,
            "limit": self.limit,
        }


def open_images(
    dataset: Dataset, stage: SplitName, shape: Shape, limit: int | None = None
) -> ImageSet:
    """Opens a split and finds out which images it holds.

    Args:
        dataset: What to open.
        stage: Which of its splits.
        shape: Of the images that the network takes.
        limit: Take only this many of the images, evenly spread.

    Raises:
        InputError: The set has no such split or no images.
    """
    if stage not in dataset.splits:
        raise InputError(
            f"{dataset.name} has no {stage} split; it has {', '.join(dataset.splits)}."
        )
    split = load_split(dataset, stage, shape)
    files = _files_behind(split.images)
    if limit is not None:
        split = split.spread(limit)
    if not len(split.images):
        raise InputError(f"The {stage} split of {dataset.name} holds no images.")
    if files is None:
        digests, adaptation = _look_at(split.images, shape)
        images_key = hashlib.sha256(digests.tobytes()).hexdigest()
    else:
        digests, adaptation = None, rule_for_files(shape)
        images_key = key_of(files.manifest(), dataset.name, limit)
    return ImageSet(
        dataset=dataset,
        stage=stage,
        split=split,
        count=len(split.images),
        shape=shape,
        adaptation=adaptation,
        limit=limit,
        digests=digests,
        images_key=images_key,
    )


def _look_at(images: Images, shape: Shape) -> tuple[NDArray[np.uint64], str]:
    """Returns the images' digests, and what adapts them to a shape."""
    digests: list[int] = []
    rules: dict[str, None] = {}
    for chunk in chunks(images):
        digests.extend(digest(image) for image in chunk)
        rules[rule(chunk, shape)] = None
    return np.array(digests, np.uint64), " / ".join(rules)


def _files_behind(images: object) -> ImageFiles | None:
    """Returns the files that images are read from, through all that changes them."""
    while not isinstance(images, ImageFiles):
        if not hasattr(images, "images"):
            return None
        images = images.images
    return images


def native_shape(dataset: Dataset) -> Shape:
    """Returns the shape of a set's first test image; 3x32x32 for sets that are made."""
    first = load_split(dataset, "test", Shape(3, 32, 32)).images[0:1]
    if not len(first):
        raise InputError(f"The test split of {dataset.name} holds no images.")
    height, width, channels = first[0].shape
    return Shape(channels, height, width)
