"""Folders of image files, with or without classes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.image_files import SUFFIXES, ImageFiles, read_image

SPLITS: tuple[SplitName, ...] = get_args(SplitName)


def folder(argument: str) -> Dataset:
    """Opens a folder of images, or of one sub-folder per class: `folder:PATH`.

    Images alone have no labels. Images in sub-folders, at any depth, have the class of
    the sub-folder; classes are numbered in the order of their names, as torchvision's
    ImageFolder does ("10" before "2"). Sub-folders that are all called train, val or
    test are the splits, and each is such a folder; else all images are the test split.

    Links to folders are followed. Hidden files, other files, pipes and devices are left
    out. Files are decoded as they are read, as `oodbench.data.image_files` documents.
    """
    path = Path(argument).expanduser()
    if not argument or not path.is_dir():
        raise InputError(f"There is no folder {argument!r}; write folder:PATH.")
    with _readable(path):
        full = path.resolve()
        parts = _splits(path)

    def load(split: SplitName, shape: Shape) -> Split:
        with _readable(path):
            return _scan(parts.get(split, path))

    def shape() -> Shape:
        with _readable(path):
            height, width, channels = read_image(_first(parts.get("test", path))).shape
        return Shape(channels, height, width)

    return Dataset(
        name=full.name or "root",
        load=load,
        role="unstated",
        splits=tuple(parts) or ("test",),
        shape=shape,
        place=full.as_posix(),
    )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"The folder {path} cannot be read ({error}).") from error


def _splits(root: Path) -> dict[SplitName, Path]:
    """Returns the folders of the splits; none unless all sub-folders are splits."""
    names = {path.name for path in _entries(root) if path.is_dir()}
    if not names <= set(SPLITS):
        return {}
    return {split: root / split for split in SPLITS if split in names}


def _scan(root: Path) -> Split:
    images, classes = _images_and_classes(root)
    if images:
        return Split(ImageFiles(images))
    members = [_members(place) for place in classes]
    return Split(
        images=ImageFiles([path for paths in members for path in paths]),
        labels=np.repeat(np.arange(len(members)), [len(paths) for paths in members]),
        class_names=tuple(place.name for place in classes),
    )


def _first(root: Path) -> Path:
    """Returns the first image, without a look at the other classes."""
    images, classes = _images_and_classes(root)
    return (images or _members(classes[0]))[0]


def _images_and_classes(root: Path) -> tuple[list[Path], list[Path]]:
    """Returns a folder's images or its sub-folders, whichever it has."""
    entries = _entries(root)
    images = [entry for entry in entries if _is_image(entry)]
    classes = [entry for entry in entries if entry.is_dir()]
    if images and classes:
        raise InputError(
            f"{root} has images, such as {images[0].name}, and also folders, such as "
            f"{classes[0].name}; move all images into folders, or take these away."
        )
    if not images and not classes:
        raise InputError(f"{root} has no images ({', '.join(SUFFIXES)}).")
    return images, classes


def _members(place: Path) -> list[Path]:
    """Returns the images at any depth of a class's folder, in order."""
    members: list[Path] = []
    pending, seen = [place], set()
    while pending:
        folder = pending.pop()
        # A link may lead to a folder above it, or two links to one folder.
        real = os.path.realpath(folder)
        if real not in seen:
            seen.add(real)
            entries = _entries(folder)
            members += [entry for entry in entries if _is_image(entry)]
            pending += [entry for entry in reversed(entries) if entry.is_dir()]
    if not members:
        raise InputError(f"{place} has no images; fill the folder or take it away.")
    return sorted(members, key=Path.as_posix)


def _entries(folder: Path) -> list[Path]:
    """Returns what lies in a folder, in order, without hidden files and folders."""
    shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
    # Paths themselves sort differently on Windows.
    return sorted(shown, key=Path.as_posix)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
