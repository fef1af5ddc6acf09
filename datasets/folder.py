"""Folders of image files, with or without classes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.image_files import ImageFiles

SUFFIXES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
    *(".pbm", ".pgm", ".ppm"),
)
"""Of the files that are taken for images, in lower case."""


def folder(argument: str) -> Dataset:
    """Opens a folder of images, all of it as the test split: `folder:PATH`.

    It holds either images alone, without labels, or one folder a class with images in
    it, however deep. Classes are numbered in the order of their names, as torchvision's
    ImageFolder does ("10" before "2"). Hidden files and other files are left out.

    Files are decoded when they are asked for, as `oodbench.data.image_files` says.
    """
    path = Path(argument).expanduser()
    if not argument or not path.is_dir():
        raise InputError(f"There is no folder {argument!r}; write folder:PATH.")

    def load(split: SplitName, shape: Shape) -> Split:
        try:
            return _scan(path)
        except OSError as error:
            raise InputError(f"The folder {path} cannot be read ({error}).") from error

    return Dataset(name=path.resolve().name, load=load, role="unstated")


def _scan(root: Path) -> Split:
    entries = _visible(root, root.iterdir())
    images = [entry for entry in entries if _is_image(entry)]
    classes = [entry for entry in entries if entry.is_dir()]
    if images and classes:
        raise InputError(
            f"{root} holds images, such as {images[0].name}, beside folders, such as "
            f"{classes[0].name}; move all images into folders, or take these away."
        )
    if not images and not classes:
        raise InputError(f"{root} holds no images ({', '.join(SUFFIXES)}).")
    if images:
        return Split(ImageFiles(images))
    members = [_members(place) for place in classes]
    return Split(
        images=ImageFiles([path for paths in members for path in paths]),
        labels=np.repeat(np.arange(len(members)), [len(paths) for paths in members]),
    )


def _members(place: Path) -> list[Path]:
    """Returns the images at any depth of a class's folder, in order."""
    members = [path for path in _visible(place, place.rglob("*")) if _is_image(path)]
    if not members:
        raise InputError(f"{place} holds no images; fill the folder or take it away.")
    return members


def _visible(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Sorts paths below a folder, those with a leading dot in any name left out."""
    shown = [
        path
        for path in paths
        if not any(name.startswith(".") for name in path.relative_to(root).parts)
    ]
    # Paths themselves sort differently on Windows.
    return sorted(shown, key=Path.as_posix)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
