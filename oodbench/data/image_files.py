"""Reads images from files with Pillow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodbench.base.errors import InputError
from oodbench.data.dataset import Chunk


@dataclass(frozen=True)
class ImageFiles:
    """Images in files, decoded as they are read.

    Grey and bilevel files are uint8 grey, 16-bit grey ones float32 grey, all others
    uint8 RGB. Transparency is dropped, EXIF orientation ignored, and of an animation
    the first frame is taken.
    """

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def manifest(self) -> str:
        """Returns a hash of the files' names, sizes and dates; none of them is read."""
        listed = hashlib.sha256()
        for path in self.paths:
            found = path.stat()
            name = "/".join(path.parts[-2:])
            listed.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
        return listed.hexdigest()

    def __getitem__(self, chunk: slice, /) -> Chunk:
        images = [_read(path) for path in self.paths[chunk]]
        kinds = {(image.shape, image.dtype) for image in images}
        return np.stack(images) if len(kinds) == 1 else images


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
