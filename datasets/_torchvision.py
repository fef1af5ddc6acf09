"""Labelled sets of 32x32 colour images that torchvision downloads and checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, Shape, Split, SplitName
from oodbench.data.dataset import parse_classes, select_classes
from oodbench.data.download import fetched


class Labelled(NamedTuple):
    """All images of a file."""

    images: NDArray[np.uint8]
    """`[N, 32, 32, 3]`."""
    labels: NDArray[np.int64]
    """`[N]`."""


def labelled_set(
    name: str,
    argument: str,
    read: Callable[[bool], Labelled],
    *,
    classes: int,
    family: str,
) -> Dataset:
    """Returns a set with the splits train, val and test, or some of its classes.

    Args:
        name: Of the set.
        argument: Names classes, such as `0-7`; empty for all.
        read: Returns the training images for True, the test images for False.
        classes: The number of all classes.
        family: Of the data set.
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
        shape=Shape(3, 32, 32),
    )


def cifar(name: str, argument: str, kind: str, classes: int) -> Dataset:
    """Returns CIFAR-10 or CIFAR-100, `kind` being the name of torchvision's class."""

    def read(train: bool) -> Labelled:
        from torchvision import datasets

        made = getattr(datasets, kind)

        def fetch(folder: Path) -> Any:
            return made(folder, train=train, download=True)

        found = fetched(name, made.filename, made.tgz_md5, fetch)
        return Labelled(found.data, np.array(found.targets, np.int64))

    return labelled_set(name, argument, read, classes=classes, family="cifar")


def _cut(whole: Labelled, split: SplitName) -> Split:
    """Returns a split's share; the last tenth of the training images is val."""
    count = len(whole.labels)
    border = count - count // 10
    parts = {"train": slice(border), "val": slice(border, count), "test": slice(count)}
    part = parts[split]
    return Split(np.ascontiguousarray(whole.images[part]), whole.labels[part])
