"""Checks of data sets."""

from __future__ import annotations

import numpy as np

from oodbench.base.errors import InputError
from oodbench.data.adapt import adapt
from oodbench.data.dataset import ROLES, Dataset, Shape, SplitName, chunks
from oodbench.data.image_set import ImageSet, open_images
from oodbench.data.spec import open_dataset
from oodbench.scoring.containment import RandomNumbers
from oodbench.testing.declarations import seed_everywhere
from oodbench.testing.fault import FaultError, check

LIMIT = 200
"""Images of a data set that are checked, evenly spread."""


@check
def has_readable_splits(spec: str) -> None:
    """Every named split has images, and labels and clusters of the right form."""
    dataset = _open(spec)
    if dataset.role not in ROLES:
        raise FaultError(f"its role is {dataset.role!r}; use one of {', '.join(ROLES)}")
    for stage in dataset.splits:
        sample = _draw(dataset, Shape(3, 32, 32), stage)
        try:
            for _ in chunks(sample.split.images):
                pass
        except InputError as error:
            raise FaultError(f"its {stage} split cannot be read: {error}") from error


@check
def reads_the_same_twice(spec: str) -> None:
    """Opened again under other global random numbers, it has the same images."""
    found = set()
    before = RandomNumbers()
    try:
        for seed in (0, 1):
            seed_everywhere(seed)
            found.add(_draw(_open(spec), Shape(3, 32, 32)).images_key)
    finally:
        before.restore()
    if len(found) > 1:
        raise FaultError(
            "opened again, it has other images; draw random numbers from a generator "
            "with a fixed seed"
        )


@check
def gives_the_same_in_slices_of_any_size(spec: str) -> None:
    """An image does not depend on the other images that are read with it."""
    images = _draw(_open(spec), Shape(3, 32, 32)).split.images
    count = min(len(images), 20)
    whole = images[len(images) - count : len(images) + 5]
    for place, image in enumerate(whole):
        start = len(images) - count + place
        if not np.array_equal(images[start : start + 1][0], image):
            raise FaultError(
                f"image {start} is another one when it is read alone; let an image "
                "depend on its number only"
            )


@check
def can_be_adapted(spec: str) -> None:
    """Its images can be adapted to networks of any shape."""
    dataset = _open(spec)
    for shape in (Shape(1, 8, 8), Shape(3, 32, 48)):
        images = _draw(dataset, shape).split.images
        try:
            adapt(images[:8], shape)
        except InputError as error:
            raise FaultError(
                f"its images cannot be adapted to {shape}: {error}"
            ) from error


def _open(spec: str) -> Dataset:
    try:
        return open_dataset(spec)
    except InputError as error:
        raise FaultError(str(error)) from error


def _draw(dataset: Dataset, shape: Shape, stage: SplitName = "test") -> ImageSet:
    try:
        return open_images(dataset, stage, shape, LIMIT)
    except InputError as error:
        raise FaultError(f"its {stage} split cannot be opened: {error}") from error
