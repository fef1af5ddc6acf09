"""What a run leaves on disk, written so that nothing is ever half there.

    runs/MODEL-key/IN-key/SET-key.json, .npz         a set's images: labels, predictions
    runs/MODEL-key/IN-key/SET-key/DETECTOR-key.json, .npy     one float an image

A key is the beginning of a hash of all that decides the numbers. The JSON file is
written last and holds the hash of its array file: where it is, the numbers are whole.
There is no index; `scan` reads what it finds, so several processes can write at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oodbench.base.errors import InputError
from oodbench.base.files import (
    WRITING,
    Record,
    folder_name,
    json_bytes,
    npz_bytes,
    write_atomically,
)

SCHEMA = 1
PARTIAL = ".partial-"
HOUR, WEEK = 3600, 7 * 24 * 3600


@dataclass(frozen=True)
class CellFile:
    """Scores of one detector on one set."""

    path: Path
    """Of the JSON record."""

    def read(self) -> Record | None:
        """Returns the record; None where there is none that can be trusted."""
        return _read_record(self.path)

    def has_scores(self) -> bool:
        """Returns whether the scores are there; sets a damaged file aside."""
        record = _read_or_set_aside(self.path)
        return record is not None and "failure" not in record

    def remove(self) -> None:
        """Removes record and scores."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".npy").unlink(missing_ok=True)

    def write(self, scores: NDArray[np.float64], record: Record) -> None:
        """Stores scores `[N]` and what made them."""
        _write_pair(self.path, _npy_bytes(scores), ".npy", record)

    def write_failure(self, reason: str, record: Record) -> None:
        """Stores why there are no scores."""
        text = {"schema": SCHEMA, **record, "failure": reason}
        write_atomically(self.path, json_bytes(text))

    def scores(self) -> NDArray[np.float64]:
        """Returns the stored scores `[N]`.

        Raises:
            InputError: The file holds something else.
        """
        path = self.path.with_suffix(".npy")
        with _reading(path):
            scores: NDArray[np.float64] = np.load(path, allow_pickle=False)
            if scores.dtype != np.float64 or scores.ndim != 1:
                raise ValueError(f"it holds {scores.dtype} {scores.shape}")
            if not np.isfinite(scores).all():
                raise ValueError("not all of its scores are finite")
        return scores


@dataclass(frozen=True)
class SetFile:
    """The images of one set as one model sees them, beside one in-set."""

    path: Path
    """Of the JSON record."""

    def read(self) -> Record | None:
        """Returns the record; None where there is none that can be trusted."""
        return _read_record(self.path)

    def is_whole(self) -> bool:
        """Returns whether all is there; sets a damaged file aside."""
        return _read_or_set_aside(self.path) is not None

    def write(self, arrays: Mapping[str, NDArray[Any]], record: Record) -> None:
        """Stores arrays of one value an image, and what made them."""
        _write_pair(self.path, npz_bytes(arrays), ".npz", record)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the stored arrays, one value an image.

        Raises:
            InputError: The file holds something else.
        """
        path = self.path.with_suffix(".npz")
        with _reading(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > path.stat().st_size:
                raise ValueError("it unpacks to more than it holds")
            with np.load(path, allow_pickle=False) as stored:
                arrays = dict(stored)
            shapes = {array.shape for array in arrays.values()}
            if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
                raise ValueError(f"its arrays are of shapes {sorted(shapes)}")
            if any(array.dtype.kind not in "biuf" for array in arrays.values()):
                raise ValueError("it holds other things than numbers")
        return arrays

    def cell(self, label: str, key: str) -> CellFile:
        """Returns the place of a detector's scores on this set."""
        return CellFile(self.path.with_suffix("") / f"{folder_name(label, key)}.json")

    def remove_if_empty(self) -> None:
        """Removes what is stored of the images if no cell of them is left."""
        if not any(self.cells()):
            self.path.unlink(missing_ok=True)
            self.path.with_suffix(".npz").unlink(missing_ok=True)

    def cells(self) -> Iterator[CellFile]:
        """Yields all detectors' scores on this set."""
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
        """Removes unfinished writes an hour old, and chunks a week old."""
        for path in self.root.rglob(f"{WRITING}*"):
            if _age(path) > HOUR:
                path.unlink(missing_ok=True)
        for folder in self.root.rglob(f"{PARTIAL}*"):
            if _age(folder) > WEEK:
                shutil.rmtree(folder, ignore_errors=True)

    def sets(self) -> Iterator[SetFile]:
        """Yields all sets, sorted by path.

        Raises:
            InputError: There is no such folder.
        """
        if not self.root.is_dir():
            raise InputError(
                f"There are no results in {self.root}; run `oodbench run` first, or "
                "name the folder that its --results named."
            )
        for path in sorted(self.root.glob("*/*/*.json")):
            yield SetFile(path)


def _write_pair(path: Path, content: bytes, suffix: str, record: Record) -> None:
    arrays = {
        "file": path.with_suffix(suffix).name,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_atomically(path.with_suffix(suffix), content)
    whole = {"schema": SCHEMA, **record, "arrays": arrays}
    write_atomically(path, json_bytes(whole))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # hostile bytes can raise anything
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {reason}); remove it and its "
            ".json file, and run again."
        ) from error


def _age(path: Path) -> float:
    """Returns seconds since a file was changed; 0 where another process removed it."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read_or_set_aside(path: Path) -> Record | None:
    """Returns a record; renames one that is damaged, so that nothing of it is lost."""
    # Looked up first: a file that another process writes meanwhile is not damaged.
    there = path.exists()
    record = _read_record(path)
    if there and record is None:
        # Another process may have renamed it already.
        with contextlib.suppress(FileNotFoundError):
            path.replace(path.with_name(f"{path.name}.damaged"))
    return record


def _read_record(path: Path) -> Record | None:
    try:
        record: Record = json.loads(path.read_bytes())
        if record["schema"] != SCHEMA or not isinstance(record.get("failure", ""), str):
            return None
        if "failure" not in record:
            array = path.parent / record["arrays"]["file"]
            if array.parent != path.parent or array.stem != path.stem:
                return None
            if not array.is_file():  # a pipe might never end
                return None
            content = array.read_bytes()
            if hashlib.sha256(content).hexdigest() != record["arrays"]["sha256"]:
                return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return record


def _npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
