"""Reads images from files with Pillow."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodbench.base.errors import InputError
from oodbench.data.dataset import Chunk

SUFFIXES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
    *(".pbm", ".pgm", ".ppm"),
)
"""Of the files that are taken for images, in lower case."""
PIXELS = 2**28
"""The largest image that is read; the variable below sets another limit."""
LIMIT = "OODBENCH_MAX_PIXELS"
"""Environment variable, a number of pixels. A file of a few kB can hold gigabytes."""
ORIENTATION = 0x0112
"""The EXIF tag."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its orientation."""

READING = "upright by EXIF; transparency over white"
"""What reading does to an image, for the record."""


class UnreadableImageError(InputError):
    """A file that should hold an image cannot be read."""


@dataclass(frozen=True)
class ImageFiles:
    """Images in files, decoded as they are read.

    Grey and bilevel files are uint8 grey, 16-bit grey ones float32 grey, all others
    uint8 RGB. Images are turned upright as their EXIF tag says, transparent ones are
    composited over white, and of an animation the first frame is taken.
    """

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def manifest(self) -> str:
        """Returns a hash of the files' full paths, sizes and dates; none is read."""
        return files_manifest(self.paths)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        return stacked([read_image(path) for path in self.paths[chunk]])


def files_manifest(paths: Iterable[Path]) -> str:
    """Returns a hash of files' full paths, sizes and dates; none is read."""
    folder = cache(os.path.realpath)
    listed = hashlib.sha256()
    for path in paths:
        # Files behind links are what the links lead to.
        full = (
            os.path.realpath(path)
            if path.is_symlink()
            else os.path.join(folder(path.parent), path.name)  # noqa: PTH118 - fast
        )
        found = path.stat()
        listed.update(os.fsencode(full))
        # A tool that copies can set the date of the content, but not of the change.
        dates = f"{found.st_mtime_ns} {found.st_ctime_ns}"
        listed.update(f"\0{found.st_size} {dates}\n".encode())
    return listed.hexdigest()


def images_below(root: Path) -> list[Path]:
    """Returns the images at any depth of a folder, hidden ones left out, in order."""
    found: list[Path] = []
    for folder, inner, files in os.walk(root, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith(".")]
        shown = [name for name in files if not name.startswith(".")]
        found += [Path(folder) / f for f in shown if f.lower().endswith(SUFFIXES)]
    return sorted(found, key=Path.as_posix)


def read_image(path: Path) -> NDArray[np.generic]:
    """Returns the image of a file, `[H, W, C]`.

    Raises:
        UnreadableImageError: The file cannot be read or has too many pixels.
    """
    with _named(path):
        if not path.is_file():
            raise ValueError("it is no regular file")  # opening a pipe would wait
        return _decoded(path)


def decode(content: bytes, name: str) -> NDArray[np.generic]:
    """Returns the image in the content of a file, `[H, W, C]`.

    Args:
        content: Of an image file.
        name: What messages call it.

    Raises:
        UnreadableImageError: The content is no image or has too many pixels.
    """
    with _named(name):
        return _decoded(io.BytesIO(content))


def stacked(images: list[NDArray[np.generic]]) -> Chunk:
    """Returns images as one array if they have one shape and dtype, else the list."""
    kinds = {(image.shape, image.dtype) for image in images}
    return np.stack(images) if len(kinds) == 1 else images


@contextmanager
def _named(name: Path | str) -> Iterator[None]:
    """Makes of every error one sentence about the image."""
    try:
        yield
    except Exception as error:  # decoders raise anything on a broken file
        raise UnreadableImageError(
            f"{name} cannot be read as an image ({error}); repair it or take it away."
        ) from error


def _decoded(source: Path | io.BytesIO) -> NDArray[np.generic]:
    with _without_pillows_limit(), Image.open(source) as image:
        if image.width * image.height > pixel_limit():
            raise ValueError(f"it has {too_large(image.width, image.height)}")
        return _pixels(image)


def pixel_limit() -> int:
    """Returns the number of pixels that an image may have.

    Raises:
        InputError: The environment variable is no number.
    """
    text = os.environ.get(LIMIT, str(PIXELS))
    if not text.isdecimal():
        raise InputError(f"{LIMIT} must be a number of pixels, not {text!r}.")
    return int(text)


def too_large(width: int, height: int) -> str:
    """Returns the end of a sentence about an image above the limit of pixels."""
    return (
        f"{width} x {height} pixels, more than the limit of {pixel_limit():,}, "
        f"which the environment variable {LIMIT} can raise"
    )


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Switches off Pillow's own limit, a warning at 89 and an error at 179 million."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - pixels do not depend on a broken tag
        return 1


def _pixels(image: Image.Image) -> NDArray[np.generic]:
    if image.mode in ("I", "F"):
        raise ValueError("it has 32-bit pixels, whose range is unknown")
    clear = image.info.get("transparency")
    image.load()  # turns TIFF files, and takes their tag away
    turn = TURNS.get(_orientation(image))
    image = image if turn is None else image.transpose(turn)
    if image.mode.startswith("I;16"):
        levels = np.array(image)
        if isinstance(clear, int):
            levels[levels == clear] = 65535
        return levels.astype(np.float32)[..., None] / np.float32(65535)
    if image.mode in ("1", "L"):
        grey = np.array(image.convert("L"))
        if isinstance(clear, int):
            grey[grey == clear] = 255
        return grey[..., None]
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))
