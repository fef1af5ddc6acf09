"""Tables of image files in CSV and TSV."""

from __future__ import annotations

from csv import DictReader
from csv import Error as TableError
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oodbench import Dataset, InputError, Split
from oodbench.data.image_files import ImageFiles
from oodbench.datasets._listed import existing, listed_set

PATH, LABEL, CLASS = "path", "label", "class"
"""The columns that are read."""


def csv(argument: str) -> Dataset:
    """Opens a table of image files: `csv:FILE`, separated by tabs if it ends in .tsv.

    The first line names the columns. `path` is needed and starts from the folder of the
    table. `label` has class numbers, `class` names of classes. With both, the names are
    those of the numbers; with names alone, classes are numbered in the order of their
    names ("10" before "2"). Other columns are ignored.
    """
    return listed_set("csv", argument, _read)


def _read(file: Path) -> Split:
    columns = _columns(file)
    paths = [file.parent / path for path in columns[PATH]]
    labels, names = _classes(file, columns)
    return Split(ImageFiles(existing(paths, file)), labels, class_names=names)


def _columns(file: Path) -> dict[str, list[str]]:
    """Returns the columns that the table has of those that are read."""
    separator = "\t" if file.suffix.lower() == ".tsv" else ","
    with file.open(encoding="utf-8-sig", newline="") as opened:
        table = DictReader(opened, delimiter=separator, strict=True)
        try:
            head = table.fieldnames or []
            rows = list(table)
        except TableError as error:
            raise InputError(
                f"{file} cannot be read after line {table.line_num} ({error})."
            ) from error
    if PATH not in head:
        raise InputError(
            f"{file} has no column {PATH!r} but {', '.join(head) or 'nothing'}; name "
            "the columns in its first line, separated by "
            f"{'commas' if separator == ',' else 'tabs'}."
        )
    found = [name for name in (PATH, LABEL, CLASS) if name in head]
    for number, row in enumerate(rows, 1):
        for name in found:
            if not row[name]:
                raise InputError(f"Row {number} of {file} has no {name}.")
    return {name: [row[name] for row in rows] for name in found}


def _classes(
    file: Path, columns: dict[str, list[str]]
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Returns the labels of a table and the names of its classes, as far as known."""
    names = columns.get(CLASS)
    if LABEL not in columns:
        if names is None:
            return None, ()
        known = sorted(set(names))
        number = {name: label for label, name in enumerate(known)}
        return np.array([number[name] for name in names], np.int64), tuple(known)
    try:
        labels = np.array([int(text) for text in columns[LABEL]], np.int64)
    except ValueError as error:
        raise InputError(
            f"The labels of {file} must be whole numbers ({error}); put names into a "
            f"column {CLASS!r}."
        ) from error
    return labels, () if names is None else _names(file, labels.tolist(), names)


def _names(file: Path, labels: list[int], names: list[str]) -> tuple[str, ...]:
    """Returns the names of classes 0, 1, …; empty if a number has no image."""
    name_of = dict(zip(labels, names, strict=True))
    for label, name in zip(labels, names, strict=True):
        if name_of[label] != name:
            raise InputError(
                f"{file} calls class {label} {name!r} and {name_of[label]!r}; each "
                "number must have one name."
            )
    numbers = sorted(name_of)
    whole = numbers == list(range(len(numbers)))
    return tuple(name_of[number] for number in numbers) if whole else ()
