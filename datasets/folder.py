"""Folders of image files, with or without classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodbench.dataset import Chunk, Dataset, Shape, Split, SplitName
from oodbench.errors import InputError

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

    Files are decoded when they are asked for: grey and bilevel ones as uint8 grey,
    16-bit grey ones as float32 grey, all others as uint8 RGB. Transparency is dropped,
    EXIF orientation ignored, and of an animation the first frame is taken.
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


@dataclass(frozen=True)
class Files:
    """Images in files, decoded as they are read."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        images = [_read(path) for path in self.paths[chunk]]
        kinds = {(image.shape, image.dtype) for image in images}
        return np.stack(images) if len(kinds) == 1 else images


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
        return Split(Files(images))
    members = [_members(place) for place in classes]
    return Split(
        images=Files([path for paths in members for path in paths]),
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


def _read(path: Path) -> NDArray[np.generic]:
    """Returns an image `[H, W, C]`."""
    try:
        with Image.open(path) as image:
            return _pixels(image)
    except Exception as error:  # decoders raise anything on a broken file
        raise InputError(
            f"{path} cannot be read as an image ({error}); repair it or take it away."
        ) from error


def _pixels(image: Image.Image) -> NDArray[np.generic]:
    if image.mode in ("I", "F"):
        raise ValueError("it has 32-bit pixels, of which nobody knows the range")
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.float32)[..., None] / np.float32(65535)
    if image.mode in ("1", "L"):
        return np.array(image.convert("L"))[..., None]
    if image.has_transparency_data:  # else Pillow warns of some palettes
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))
