"""Labelled sets whose images are in one array per file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, Shape, Split, SplitName
from oodbench.data.dataset import parse_classes, select_classes
from oodbench.data.sources.source import Origin


class Labelled(NamedTuple):
    """All images of a file."""

    images: NDArray[np.uint8]
    """`[N, H, W, C]`."""
    labels: NDArray[np.int64]
    """`[N]`."""


def labelled_set(
    name: str,
    argument: str,
    read: Callable[[bool], Labelled],
    origin: Origin,
    *,
    classes: int,
    family: str,
    shape: Shape,
    label_space: str = "",
) -> Dataset:
    """Returns a set with the splits train, val and test, or some of its classes.

    The last tenth of the training images is val.

    Args:
        name: Of the set.
        argument: Names classes, such as `0-7`; empty for all.
        read: Returns the training images for True, the test images for False.
        origin: Where they come from.
        classes: The number of all classes.
        family: Of the data set.
        shape: Of one image.
        label_space: Of the whole set; some of its classes share it with no set.
    """
    chosen = parse_classes(argument, classes, dataset=name)

    def load(split: SplitName, shape: Shape) -> Split:
        part = _cut(read(split != "test"), split)
        return select_classes(part, chosen) if argument else part

    return Dataset(
        name=f"{name}:{argument}" if argument else name,
        load=load,
        role="far",
        splits=("train", "val", "test"),
        family=family,
        label_space="" if argument else label_space,
        shape=shape,
        origin=origin,
    )


def _cut(whole: Labelled, split: SplitName) -> Split:
    """Returns a split's share; the last tenth of the training images is val."""
    count = len(whole.labels)
    border = count - count // 10
    parts = {"train": slice(border), "val": slice(border, count), "test": slice(count)}
    part = parts[split]
    return Split(np.ascontiguousarray(whole.images[part]), whole.labels[part])
