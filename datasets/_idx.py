"""Sets in the format of MNIST's files."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Shape
from oodbench.data.sources.fetch import fetched
from oodbench.data.sources.source import Origin, Source
from oodbench.datasets._labelled import Labelled, labelled_set

NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
SHAPE = Shape(1, 28, 28)


def idx_sources(
    folder: str, mirrors: tuple[str, ...], checksums: tuple[str, str, str, str]
) -> tuple[Source, ...]:
    """Returns the four files of a set, with the MD5 sums that torchvision states."""
    return tuple(
        Source(
            f"{folder}/{name}",
            tuple(f"{mirror}{name}" for mirror in mirrors),
            checksum=f"md5:{checksum}",
            stated_by="torchvision 0.29.1",
            splits=("train", "val") if name.startswith("train") else ("test",),
        )
        for name, checksum in zip(NAMES, checksums, strict=True)
    )


def idx_set(
    name: str, argument: str, origin: Origin, *, family: str, label_space: str = ""
) -> Dataset:
    """Returns a set of ten classes whose origin has the files of `idx_sources`."""

    def read(train: bool) -> Labelled:
        images, labels = origin.sources[:2] if train else origin.sources[2:]
        return Labelled(_read(images)[..., None], _read(labels).astype(np.int64))

    return labelled_set(
        name,
        argument,
        read,
        origin,
        classes=10,
        family=family,
        shape=SHAPE,
        label_space=label_space,
    )


def _read(source: Source) -> NDArray[np.uint8]:
    path = fetched(source)
    return read_idx(path, lambda: path.open("rb"))


def read_idx(
    path: Path, opened: Callable[[], AbstractContextManager[IO[bytes]]]
) -> NDArray[np.uint8]:
    """Returns the array of a gzipped file.

    Args:
        path: Named in errors.
        opened: Opens the file.

    Raises:
        InputError: It has another format.
    """
    try:
        with opened() as packed, gzip.open(packed) as file:
            zero, kind, rank = int.from_bytes(file.read(2)), *file.read(2)
            shape = np.frombuffer(file.read(4 * rank), ">u4").tolist()
            content = file.read()
        if zero or kind != 8 or len(content) != math.prod(shape):
            raise ValueError("its size and its header differ")
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it.") from error
    return np.frombuffer(content, np.uint8).reshape(shape)
