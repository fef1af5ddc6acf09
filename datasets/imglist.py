"""Image lists of OpenOOD."""

from __future__ import annotations

import ast
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from oodbench import Dataset, InputError, Split
from oodbench.data.image_files import ImageFiles
from oodbench.datasets._listed import existing, listed_set

OUTSIDE = -1
"""The label of an image of no class."""


def imglist(argument: str) -> Dataset:
    """Opens a list of image files and labels: `imglist:FILE` or `imglist:FILE@ROOT`.

    Each line is a path, a space and a class number; -1 means no class. In place of the
    number there may be a dictionary with the key `label`, as older lists have it. Paths
    start from the folder ROOT, or else from the folder of the list. If no image has a
    class, the set has no labels.

    The format is that of OpenOOD v1.5, Zhang et al., arXiv 2306.09301.
    """
    file, at, root = argument.rpartition("@")
    if not at or Path(argument).expanduser().exists():
        return listed_set("imglist", argument, partial(_read, root=None))
    start = Path(root).expanduser()
    if not start.is_dir():
        raise InputError(f"There is no folder {root!r}; write imglist:FILE@ROOT.")
    return listed_set("imglist", file, partial(_read, root=start))


def _read(file: Path, root: Path | None) -> Split:
    paths, labels = [], []
    for number, line in enumerate(file.read_text("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        path, label = _entry(line.strip(), f"Line {number} of {file}")
        paths.append((root or file.parent) / path)
        labels.append(label)
    has_classes = any(label != OUTSIDE for label in labels)
    return Split(
        ImageFiles(existing(paths, file)),
        np.array(labels, np.int64) if has_classes else None,
    )


def _entry(line: str, where: str) -> tuple[str, int]:
    """Returns the path and the label of a line."""
    path, brace, text = line.partition(" {")
    if not brace:
        path, _, text = line.rpartition(" ")
    with suppress(ValueError, SyntaxError, LookupError, TypeError, RecursionError):
        label = ast.literal_eval("{" + text)["label"] if brace else text
        if path:
            return path.rstrip(), int(label)
    raise InputError(
        f"{where} is {line!r}; it must be a path, a space and a class number, or -1."
    )
