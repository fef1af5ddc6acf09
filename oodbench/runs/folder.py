"""Whether a folder can be written to, checked before anything is computed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from oodbench.base.errors import InputError


def writable_parent(folder: Path) -> Path:
    """Returns the folder itself, or the nearest one above it that is there.

    Nothing is left in it.

    Raises:
        InputError: The one or the other cannot be written to.
    """
    try:
        nearest = folder.absolute()
        while not _is_there(nearest):
            nearest = nearest.parent
        with tempfile.TemporaryFile(dir=nearest):
            return nearest
    except (OSError, ValueError) as error:  # a ValueError for a null character
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{folder} cannot be written to: {why}. Name another folder."
        ) from error


def _is_there(place: Path) -> bool:
    """Returns whether a path is there, be it a file or a loop of links."""
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
