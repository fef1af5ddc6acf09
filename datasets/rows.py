"""Some images of a set, by their numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Split
from oodbench.datasets._changed import selected_set

RANGES = re.compile(r"\d+(-\d+)?(\+\d+(-\d+)?)*")


def rows(argument: str) -> Dataset:
    """Opens some images of a set: `rows:0-999+2000:SET`, `rows:FILE:SET`.

    FILE has the numbers of the images, counted from 0: a text file, where white space
    separates them, a `.npy` file, or one array of an archive, `rows:FILE.npz@NAME:SET`.
    They number the test split, which is the only split of the new set. Images keep the
    order of the set, whatever the order of the numbers.
    """
    text, _, inner = argument.partition(":")
    if RANGES.fullmatch(text):
        title, numbers = text, _in_ranges(text)
    else:
        file, _, array = text.partition("@")
        title, numbers = array or Path(file).stem, _in_file(file, array)

    def select(split: Split, name: str) -> Split:
        if len(numbers) and int(numbers[-1]) >= len(split.images):
            raise InputError(
                f"{name} takes image {numbers[-1]}, and there are {len(split.images)}, "
                "counted from 0."
            )
        return split.pick(numbers)

    whole = selected_set(f"rows:{title}", inner, select)
    if "test" not in whole.splits:
        raise InputError(f"{inner} has no test split, from which rows are taken.")
    return replace(whole, splits=("test",))


def _in_ranges(text: str) -> NDArray[np.int64]:
    ends = [[int(end) for end in part.split("-")] for part in text.split("+")]
    found = [np.arange(each[0], each[-1] + 1) for each in ends]
    return _checked(np.concatenate(found), text)


def _in_file(file: str, array: str) -> NDArray[np.int64]:
    """Returns the numbers in a file, in rising order."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(
            f"There is no file {file!r}; write rows:FILE:SET or rows:0-999:SET."
        )
    try:
        found = _read(path, array)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{path} cannot be read as numbers ({error}).") from error
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise InputError(
            f"{path} has {found.dtype} of shape {found.shape}; it must have whole "
            "numbers in one row."
        )
    return _checked(found.astype(np.int64), file)


def _read(path: Path, array: str) -> NDArray[np.generic]:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return archive[array]
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    words = path.read_text("utf-8-sig").split()
    return np.array([int(word) for word in words], np.int64)


def _checked(numbers: NDArray[np.int64], source: str) -> NDArray[np.int64]:
    """Returns numbers in rising order, in which sets in files are read fastest."""
    rising = np.unique(numbers)
    if not len(rising) or rising[0] < 0 or len(rising) < len(numbers):
        raise InputError(
            f"{source} must have numbers of images, counted from 0, each once, in "
            "rising ranges."
        )
    return rising
