"""Images and labels in one NumPy archive."""

from __future__ import annotations

import math
import os
import weakref
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Shape, Split, SplitName
from oodbench.data.image_files import pixel_limit, too_large

PACKED = 1100
"""More bytes than one byte of a ZIP archive can stand for (deflate: 1,032)."""
SKIPPED = 2**24
"""Bytes that are read at once on the way to an image."""


def npz(argument: str) -> Dataset:
    """Opens a file, all of it as the test split: `npz:PATH`.

    The archive has the array `images`, uint8, `[N, H, W, C]` with 1 or 3 channels or,
    if grey, `[N, H, W]`. It may have `labels`, integers, `[N]`, and for each of their
    classes, in order, its name in `class_names` and its WordNet id in `wnids`. Other
    arrays are ignored and pickled objects never read. Images are read a few at a time.
    """
    path = Path(argument).expanduser()
    if not argument or not path.exists():
        raise InputError(f"There is no file {argument!r}; write npz:PATH.")
    if not path.is_file():
        raise InputError(f"{argument!r} is no regular file; write npz:PATH.")

    def load(split: SplitName, shape: Shape) -> Split:
        images = _images(path)
        labels = _labels(path, len(images))
        classes = 0 if labels is None else int(labels.max()) + 1
        return Split(
            images,
            labels,
            class_names=_texts(path, "class_names", classes),
            wnids=_texts(path, "wnids", classes),
        )

    def shape() -> Shape:
        height, width, channels = _images(path).sides
        return Shape(channels, height, width)

    return Dataset(
        name=path.stem,
        load=load,
        role="unstated",
        shape=shape,
        place=path.resolve().with_suffix("").as_posix(),
    )


class Header(NamedTuple):
    """What precedes the values of an array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]
    size: int
    """Bytes of the header."""


@dataclass(eq=False)
class Rows:
    """Images of an archive, read from the file as they are needed."""

    path: Path
    header: Header
    count: int
    sides: tuple[int, int, int]
    """Height, width and channels of each image."""
    _open: tuple[int, IO[bytes]] | None = field(init=False, default=None, repr=False)
    """The process that opened the array in the archive, and the array as a file."""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, chunk: slice, /) -> NDArray[np.uint8]:
        start, stop, _ = chunk.indices(self.count)
        shape = (max(0, stop - start), *self.sides)
        with _readable(self.path):
            if self.header.fortran:
                with np.load(self.path, allow_pickle=False) as archive:
                    rows = archive["images"][start:stop]
                return np.ascontiguousarray(rows).reshape(shape)
            file = self._file()
            _go_to(file, self.header.size + start * math.prod(self.sides))
            content = bytearray(file.read(math.prod(shape)))
            return np.frombuffer(content, np.uint8).reshape(shape)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_open": None}

    def _file(self) -> IO[bytes]:
        # Each process needs its own, since forked ones share the place in a file.
        if self._open is None or self._open[0] != os.getpid():
            archive = zipfile.ZipFile(self.path)
            self._open = os.getpid(), archive.open("images.npy")
            for each in (archive, self._open[1]):
                weakref.finalize(self, each.close)
        return self._open[1]


def _go_to(file: IO[bytes], place: int) -> None:
    """Moves to a place in an array, so that zipfile still checks the array's sum."""
    if place < file.tell():
        file.seek(0)
    # A seek forwards ends the check of uncompressed arrays since Python 3.12.
    while (gap := place - file.tell()) > 0:
        if not file.read(min(gap, SKIPPED)):
            raise EOFError("the file is too short")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise InputError(
            f"{path} cannot be read as a NumPy archive ({error}); "
            "save it again with numpy.savez, without objects."
        ) from error


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with _readable(path):
        with path.open("rb") as file:
            if file.read(6) == npy.MAGIC_PREFIX:
                raise ValueError("it is a single array")
        with zipfile.ZipFile(path) as archive:
            yield archive


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    """Returns the header of an array, which must fit the size of the data."""
    stored = archive.getinfo(f"{name}.npy")
    with archive.open(stored) as file:
        major, _ = npy.read_magic(file)
        read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        size = file.tell()
    if dtype.hasobject:
        raise ValueError(f"its array {name} has objects")
    bytes_ = size + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or bytes_ != stored.file_size:
        raise ValueError(f"its array {name} does not have the size that it states")
    if bytes_ > PACKED * (stored.compress_size + 1):
        raise ValueError(f"its array {name} states more than the file can hold")
    return Header(shape, fortran, dtype, size)


def _images(path: Path) -> Rows:
    """Returns the images of an archive; only their header is read."""
    with _archive(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if "images" not in names:
            raise InputError(
                f"{path} has no array `images` but {', '.join(names) or 'nothing'}; "
                "save it again with numpy.savez(PATH, images=…, labels=…)."
            )
        header = _header(archive, "images")
    shape = header.shape
    if header.dtype != np.uint8:
        raise InputError(
            f"The images of {path} are {header.dtype}; save them as uint8, 0…255."
        )
    if len(shape) == 3:
        shape = (*shape, 1)
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise InputError(
            f"The images of {path} have shape {shape}; save them as "
            "[N, H, W, C] with 1 or 3 channels, or as [N, H, W]."
        )
    count, height, width, channels = shape
    if 0 in shape:
        raise InputError(f"The images of {path} are empty, of shape {shape}.")
    if height * width > pixel_limit():
        raise InputError(f"The images of {path} have {too_large(width, height)}.")
    return Rows(path, header, count, (height, width, channels))


def _labels(path: Path, count: int) -> NDArray[np.int64] | None:
    with _archive(path) as archive:
        if "labels.npy" not in archive.namelist():
            return None
        shape, _, dtype, _ = _header(archive, "labels")
        if shape != (count,):
            raise InputError(
                f"The labels of {path} have shape {shape}, and there are {count} "
                "images; save one label per image."
            )
        if not np.issubdtype(dtype, np.integer):
            raise InputError(
                f"The labels of {path} are {dtype}; save them as integers from 0."
            )
        with archive.open("labels.npy") as file:
            return npy.read_array(file, allow_pickle=False).astype(np.int64)


def _texts(path: Path, name: str, classes: int) -> tuple[str, ...]:
    """Returns a text for each class, none if the archive has none."""
    with _archive(path) as archive:
        if not classes or f"{name}.npy" not in archive.namelist():
            return ()
        shape, _, dtype, _ = _header(archive, name)
        if dtype.kind != "U" or len(shape) != 1 or shape[0] < classes:
            raise InputError(
                f"The array {name} of {path} is {dtype} of shape {shape}; save a text "
                f"for each of the {classes} classes."
            )
        with archive.open(f"{name}.npy") as file:
            return tuple(npy.read_array(file, allow_pickle=False).tolist())
