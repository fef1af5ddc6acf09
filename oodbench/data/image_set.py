"""One split of a data set as a network will see it, with the key of its images."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from oodbench.base import registry
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
    check_labels,
    chunks,
    digests_of,
    manifest_of,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images of a split, counted and identified by a key."""

    dataset: Dataset
    stage: SplitName
    split: Split
    count: int
    shape: Shape
    """The shape that images are adapted to."""
    adaptation: str
    """In words, how they are adapted."""
    limit: int | None
    """How many images were taken; None for all of them."""
    digests: NDArray[np.uint64] | None
    """`[N]`, a hash of each image before adaptation.

    None for images in files, whose digests come with the pass that scores them: they
    would have to be decoded twice.
    """
    images_key: str
    """A hash of the images in order; of images in files, of their manifest."""

    @cached_property
    def key(self) -> str:
        """A hash of the images in order, their labels and their adaptation."""
        labels = self.split.labels
        return key_of(
            self.images_key,
            None if labels is None else labels.tolist(),
            self.shape,
            self.adaptation,
        )

    def has_images_of(self, other: ImageSet) -> bool:
        """Returns whether both have the same images, in any order.

        Of image files only the same files are recognised before they are read.
        """
        if self.digests is None or other.digests is None:
            return self.images_key == other.images_key
        if self.digests[0] not in other.digests:  # the usual case, without sorting
            return False
        return np.array_equal(np.unique(self.digests), np.unique(other.digests))

    def check_differs_from(self, inside: ImageSet) -> None:
        """Checks that an OOD set has other images than the in-distribution set.

        Raises:
            InputError: Both have the same images.
        """
        if self.has_images_of(inside):
            raise InputError(
                f"{self.dataset.name} holds the same images as the in-distribution set "
                f"{inside.dataset.name}; name another set with --out."
            )

    def numbered_by(self, names: Sequence[str]) -> ImageSet:
        """Returns the set with its classes numbered by their names in a network.

        Args:
            names: The network's classes in the order of its logits; none if unknown.
                Then, or if a class of the set is not among them, nothing changes.

        Raises:
            InputError: Several classes of the network have the name of one of the set.
        """
        own, labels = self.split.class_names, self.split.labels
        if labels is None or own == tuple(names) or not own or not {*own} <= {*names}:
            return self
        if twice := next((name for name in own if names.count(name) > 1), None):
            raise InputError(
                f"{self.dataset.name} has a class {twice!r}, and several classes of "
                "the network have this name; list the images with the network's labels "
                "in a table for csv:FILE, without names of classes."
            )
        number = np.array([names.index(name) for name in own], np.int64)
        split = replace(self.split, labels=number[labels], class_names=tuple(names))
        return replace(self, split=split)

    def has_classes_of(self, inside: ImageSet, classes: int) -> bool:
        """Returns whether labels mean what they mean in the in-distribution set.

        Labels without names do. Names must be the same; where that set has none, there
        must be one for each of the network's `classes`.
        """
        own, names = self.split.class_names, inside.split.class_names
        return not own or (own == names if names else len(own) == classes)

    def check_classes(self, network: str, classes: int) -> None:
        """Checks that the labels, if there are any, are classes of a network.

        Warns if the set has fewer named classes than the network: their numbers may
        then mean other classes.

        Raises:
            InputError: A label is not a class of the network.
        """
        labels, name = self.split.labels, self.dataset.name
        if labels is None:
            return
        check_labels(labels, name, network, classes)
        if 0 < len(self.split.class_names) < classes:
            logger.warning(
                "Warning: %s has %d named classes (%s), and %s has %d classes. If the "
                "network numbers them in another way, accuracy is wrong; list the "
                "images with the network's labels in a table for csv:FILE.",
                name,
                len(self.split.class_names),
                _shortened(self.split.class_names),
                network,
                classes,
            )

    @property
    def folder(self) -> str:
        """The name of its folder among the results."""
        # Of a path only the end: how much of it distinguishes sets depends on the run.
        return folder_name(re.sub(r"[^/:]*/", "", self.dataset.name), self.key)

    def record(self) -> Record:
        """Returns the record of the set that is stored with results."""
        in_files = self.digests is None
        grade, clusters = self.dataset.grade, self.split.clusters
        return {
            "name": self.dataset.name,
            "spec": self.dataset.spec,
            # Separates the files that a relative path means in two working folders.
            "place": key_of(self.dataset.place) if self.dataset.place else "",
            "key": self.key,
            "key_of": "files" if in_files else "pixels",
            "split": self.stage,
            "images": self.count,
            "adaptation": self.adaptation,
            "limit": self.limit,
            "grade": grade._asdict() if grade else None,
            "clusters": None if clusters is None else key_of(clusters.tolist()),
        }


def open_images(
    dataset: Dataset, stage: SplitName, shape: Shape, limit: int | None = None
) -> ImageSet:
    """Opens a split and identifies its images.

    Args:
        dataset: The set.
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
    if limit is not None and limit >= len(split.images):
        limit = None  # the set is whole
    if limit is not None:
        split = split.spread(limit)
    if not len(split.images):
        raise InputError(f"The {stage} split of {dataset.name} holds no images.")
    manifest = manifest_of(split.images)
    if manifest is None:
        digests, adaptation = _look_at(split.images, shape)
        images_key = hashlib.sha256(digests.tobytes()).hexdigest()
    else:
        digests, adaptation = None, rule_for_files(shape)
        images_key = manifest
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
    digests: list[NDArray[np.uint64]] = []
    rules: dict[str, None] = {}
    for chunk in chunks(images):
        digests.append(digests_of(chunk))
        rules[rule(chunk, shape)] = None
    return np.concatenate(digests), " / ".join(rules)


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def native_shape(dataset: Dataset, size: tuple[int, int] | None = None) -> Shape:
    """Returns the shape of a set's first test image; 3x32x32 for sets that are made.

    Only a set that does not know its shape is loaded.

    Args:
        dataset: The set.
        size: Another height and width.
    """
    shape = _known_shape(dataset)
    return shape if size is None else Shape(shape.channels, *size)


def _known_shape(dataset: Dataset) -> Shape:
    if callable(dataset.shape):
        with registry.foreign(f"The data set {dataset.name!r} failed with"):
            return dataset.shape()
    if dataset.shape is not None:
        return dataset.shape
    first = load_split(dataset, "test", Shape(3, 32, 32)).images[0:1]
    if not len(first):
        raise InputError(f"The test split of {dataset.name} holds no images.")
    height, width, channels = first[0].shape
    return Shape(channels, height, width)
