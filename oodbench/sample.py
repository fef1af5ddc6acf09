"""One split of a data set as a network will see it, with its fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodbench.adapt import rule
from oodbench.dataset import Dataset, Shape, Split, SplitName, chunks
from oodbench.errors import InputError
from oodbench.results import Record, folder_name, key_of


@dataclass(frozen=True, eq=False)
class Sample:
    """Images that are there, counted and hashed."""

    dataset: Dataset
    stage: SplitName
    split: Split
    digests: NDArray[np.uint64]
    """`[N]`, a hash of each image as it was before adaptation."""
    shape: Shape
    """That the images are adapted to."""
    adaptation: str
    """What that does to them, in words."""
    limit: int | None

    @property
    def key(self) -> str:
        """A hash of the images in order, their labels and what is done to them."""
        labels = self.split.labels
        return key_of(
            hashlib.sha256(self.digests.tobytes()).hexdigest(),
            None if labels is None else labels.tolist(),
            self.shape,
            self.adaptation,
        )

    @property
    def folder(self) -> str:
        """Its name among the results."""
        return folder_name(self.dataset.name, self.key)

    def record(self) -> Record:
        """Returns what the results say of it."""
        return {
            "name": self.dataset.name,
            "key": self.key,
            "split": self.stage,
            "images": len(self.digests),
            "adaptation": self.adaptation,
            "limit": self.limit,
        }


def draw(
    dataset: Dataset, stage: SplitName, shape: Shape, limit: int | None = None
) -> Sample:
    """Opens a split and hashes its images.

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
    split = dataset.load(stage, shape)
    if limit is not None:
        split = split.spread(limit)
    if not len(split.images):
        raise InputError(f"The {stage} split of {dataset.name} holds no images.")
    digests: list[int] = []
    rules: dict[str, None] = {}
    for images in chunks(split.images):
        digests.extend(_digest(image) for image in images)
        rules[rule(images, shape)] = None
    return Sample(
        dataset=dataset,
        stage=stage,
        split=split,
        digests=np.array(digests, np.uint64),
        shape=shape,
        adaptation=" / ".join(rules),
        limit=limit,
    )


def shared_images(inside: Sample, out: Sample) -> int:
    """Returns how many images of `out` are in `inside` too, byte for byte."""
    return int(np.isin(out.digests, inside.digests).sum())


def native_shape(dataset: Dataset) -> Shape:
    """Returns the shape of a set's first test image; 3x32x32 for sets that are made."""
    first = dataset.load("test", Shape(3, 32, 32)).images[0:1]
    if not len(first):
        raise InputError(f"The test split of {dataset.name} holds no images.")
    height, width, channels = first[0].shape
    return Shape(channels, height, width)


def _digest(image: NDArray[np.generic]) -> int:
    content = np.ascontiguousarray(image)
    digest = hashlib.blake2b(content.tobytes(), digest_size=8)
    digest.update(f"{content.shape} {content.dtype}".encode())
    return int.from_bytes(digest.digest(), "little")
