"""Textures: all of DTD."""

from __future__ import annotations

from oodbench import Dataset
from oodbench.datasets._dtd import ORIGIN
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
        lambda root: class_folders(root / "dtd" / "images"),
        family="textures",
    )
