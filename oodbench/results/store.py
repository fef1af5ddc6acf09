"""Stored scores on disk: whole or absent, each with a record of what decided it.

    runs/MODEL-key/IN-key/SET-key.json, .npz         a set's images: labels, predictions
    runs/MODEL-key/IN-key/SET-key/DETECTOR-key.json, .npy     one float per image

A key is the beginning of a hash of all that decides the numbers. The JSON file is
written last and holds the hash of its array file: where it is, the numbers are whole.
A record names the keys of the folders in which it lies, so that a copy of it in another
folder is found out. There is no index, so several processes can write at once.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from oodbench.base.errors import InputError, reason
from oodbench.base.files import (
    WRITING,
    Record,
    folder_name,
    json_bytes,
    npz_bytes,
    write_atomically,
)
from oodbench.results.pair import SCHEMA, DistrustedError, Pair

PARTIAL = ".partial-"
HOUR, WEEK = 3600, 7 * 24 * 3600


class Cell(NamedTuple):
    """The scores of one detector on one set, with what made them."""

    record: Record
    scores: NDArray[np.float64]
    """`[N]`, finite; empty where the record holds a failure."""


class Images(NamedTuple):
    """What is stored of the images of one set, with what made it."""

    record: Record
    arrays: dict[str, NDArray[Any]]
    """`[N]` each: `digests` and, where known, `labels`, `clusters`, `predictions`,
    `confidences`, `nll` and `brier`."""


@dataclass(frozen=True)
class CellFile:
    """The place of the scores of one detector on one set."""

    path: Path
    """Of the JSON record."""

    @property
    def _pair(self) -> Pair:
        return Pair(self.path, ".npy", ("model", "inside", "set", "detector"))

    def read(self) -> Record | None:
        """Returns the record; None where there is none that can be trusted."""
        return self._pair.record()

    def load(self) -> Cell | None:
        """Returns the stored scores; None where there is no file.

        Raises:
            DistrustedError: There is a file, and its numbers must not be used.
        """
        found = self._pair.read()
        if found is None:
            return None
        record, content = found
        if "failure" in record:
            return Cell(record, np.empty(0))
        with _parsing(self.path.with_suffix(".npy")):
            return Cell(record, _scores(content))

    def has_scores(self) -> bool:
        """Returns whether the scores are there; sets a damaged file aside.

        Raises:
            NewerError: A newer oodbench wrote the file.
        """
        record = self._pair.read_or_set_aside()
        return record is not None and "failure" not in record

    def remove(self) -> None:
        """Removes record and scores."""
        self._pair.remove()

    def write(self, scores: NDArray[np.float64], record: Record) -> None:
        """Stores scores `[N]` and what made them.

        Raises:
            InputError: The folder cannot be written to, or a newer oodbench wrote the
                file that is there.
        """
        buffer = io.BytesIO()
        np.save(buffer, scores, allow_pickle=False)
        self._pair.write(buffer.getvalue(), record)

    def write_failure(self, reason: str, record: Record) -> None:
        """Stores why there are no scores."""
        self._pair.refuse_newer()
        text = {"schema": SCHEMA, **record, "failure": reason}
        write_atomically(self.path, json_bytes(text))


@dataclass(frozen=True)
class SetFile:
    """The place of one set beside one in-distribution set, for one model."""

    path: Path
    """Of the JSON record."""

    @property
    def _pair(self) -> Pair:
        return Pair(self.path, ".npz", ("model", "inside", "set"))

    def read(self) -> Record | None:
        """Returns the record; None where there is none that can be trusted."""
        return self._pair.record()

    def load(self) -> Images | None:
        """Returns the record and the arrays; None where there is no file.

        Raises:
            DistrustedError: There is a file, and its numbers must not be used.
        """
        found = self._pair.read()
        if found is None:
            return None
        with _parsing(self.path.with_suffix(".npz")):
            return Images(found[0], _arrays(found[1]))

    def is_whole(self) -> bool:
        """Returns whether everything is there; sets a damaged file aside.

        Raises:
            NewerError: A newer oodbench wrote the file.
        """
        return self._pair.read_or_set_aside() is not None

    def write(self, arrays: Mapping[str, NDArray[Any]], record: Record) -> None:
        """Stores arrays of one value per image, and what made them.

        Raises:
            InputError: The folder cannot be written to, or a newer oodbench wrote the
                file that is there.
        """
        self._pair.write(npz_bytes(arrays), record)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the stored arrays, one value per image.

        Raises:
            InputError: There are none, or they must not be used.
        """
        if (found := self.load()) is None:
            raise InputError(f"There is no {self.path}; run `oodbench run` again.")
        return found.arrays

    def cell(self, label: str, key: str) -> CellFile:
        """Returns the place of a detector's scores on this set."""
        return CellFile(self.path.with_suffix("") / f"{folder_name(label, key)}.json")

    def remove_if_empty(self) -> None:
        """Removes what is stored of the images if no cell of them is left."""
        if not any(self.cells()) and self.read() is not None:
            self._pair.remove()

    def cells(self) -> Iterator[CellFile]:
        """Yields the places of all detectors' scores on this set, sorted by path."""
        for path in sorted(self.path.with_suffix("").glob("*.json")):
            yield CellFile(path)


@dataclass(frozen=True)
class Store:
    """A folder of results."""

    root: Path

    def set(self, model: str, inside: str, name: str) -> SetFile:
        """Returns the place of a set, given three names made by `folder_name`."""
        return SetFile(self.root / model / inside / f"{name}.json")

    def sweep(self) -> None:
        """Removes unfinished writes that are an hour old, and chunks a week old.

        Raises:
            InputError: There is something else than a folder.
        """
        if not self._is_there():
            return
        for path in self.root.rglob(f"{WRITING}*"):
            if _age(path) > HOUR:
                with contextlib.suppress(OSError):  # a folder of that name, or not ours
                    path.unlink()
        for folder in self.root.rglob(f"{PARTIAL}*"):
            if _age(folder) > WEEK:
                shutil.rmtree(folder, ignore_errors=True)

    def sets(self) -> Iterator[SetFile]:
        """Yields the places of all sets, sorted by path.

        Raises:
            InputError: There is no such folder, or it cannot be read.
        """
        if not self._is_there():
            raise InputError(
                f"There are no results in {self.root}; run `oodbench run` first, or "
                "name the folder that its --results named."
            )
        for path in sorted(self.root.glob("*/*/*.json")):
            yield SetFile(path)

    def _is_there(self) -> bool:
        try:
            next(self.root.iterdir(), None)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise InputError(
                f"{self.root} is no folder of results ({error.strerror}); name another "
                "one with --results."
            ) from error
        return True


def _scores(content: bytes) -> NDArray[np.float64]:
    """Returns the scores `[N]` of an `.npy` file, without a copy."""
    start = npy.MAGIC_LEN + 2
    start += int.from_bytes(content[npy.MAGIC_LEN : start], "little")
    shape = _shape(content[:start])
    scores = np.frombuffer(content, np.float64, offset=start)
    if scores.shape != shape:
        raise ValueError(f"it holds {len(scores)} scores, not {shape[0]}")
    if not np.isfinite(scores).all():
        raise ValueError("not all of its scores are finite")
    return scores


@lru_cache  # all cells of a set have one header
def _shape(header: bytes) -> tuple[int, ...]:
    """Returns the shape in the header of an `.npy` file of scores."""
    file = io.BytesIO(header)
    if npy.read_magic(file) != (1, 0):
        raise ValueError("another version of the format")
    shape, _, dtype = npy.read_array_header_1_0(file)
    if dtype != np.float64 or len(shape) != 1:
        raise ValueError(f"it holds {dtype} {shape}")
    return shape


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Returns the arrays `[N]` of an `.npz` file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > len(content):
        raise ValueError("it unpacks to more than it holds")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = dict(stored)
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise ValueError(f"its arrays are of shapes {sorted(shapes)}")
    if any(array.dtype.kind not in "biuf" for array in arrays.values()):
        raise ValueError("it holds other things than numbers")
    return arrays


@contextlib.contextmanager
def _parsing(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # hostile bytes can raise anything
        raise DistrustedError(
            f"{path} is damaged ({reason(error)}); remove it and its .json file, and "
            "run again."
        ) from error


def _age(path: Path) -> float:
    """Returns the seconds since a file was changed; 0 where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
