"""Textures: all of DTD."""

from __future__ import annotations

from oodbench import Dataset, Split
from oodbench.data.sources.fetch import fetched
from oodbench.datasets._dtd import ARCHIVE, ORIGIN
from oodbench.datasets._files import class_folders, one_split


def texture(argument: str) -> Dataset:
    """Opens all images of the Describable Textures Dataset, 47 classes.

    Images have various sizes and are all in the test split. It is the set for CIFAR in
    OpenOOD.
    """
    return one_split(
        "texture",
        argument,
        ORIGIN,
        _load,
        family="textures",
    )


def _load() -> Split:
    return class_folders(fetched(ARCHIVE) / "dtd" / "images")
