"""Downloads data sets, checks them, and keeps them in one folder."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

import platformdirs

from oodbench.base.errors import InputError

T = TypeVar("T")


def data_folder() -> Path:
    """Returns $OODBENCH_DATA, or a folder of the user's cache."""
    named = os.environ.get("OODBENCH_DATA")
    if named:
        return Path(named).expanduser()
    return Path(platformdirs.user_cache_dir("oodbench")) / "data"


def fetched(name: str, file: str, md5: str, fetch: Callable[[Path], T]) -> T:
    """Returns what `fetch` makes of the data folder, into which it may download.

    Args:
        name: Of the data set, for messages.
        file: The file that is downloaded into the folder.
        md5: Its checksum.
        fetch: A function of the folder, such as torchvision's data sets; it downloads
            only what is absent or has a wrong checksum.

    Raises:
        InputError: The set cannot be read or downloaded. A file with a wrong checksum
            is renamed, so that the next use downloads it again.
    """
    folder = data_folder()
    try:
        return fetch(folder)
    except (OSError, RuntimeError, HTTPException, tarfile.TarError) as error:
        raise InputError(
            f"{name} cannot be read or downloaded ({type(error).__name__}: {error})."
            f"{_set_aside(folder / file, md5)} Put {file} into {folder} by hand, or "
            "name the folder that has it in the environment variable OODBENCH_DATA."
        ) from error


def _set_aside(path: Path, md5: str) -> str:
    """Renames a broken file, which torchvision leaves in place; returns a sentence."""
    from torchvision.datasets.utils import check_integrity

    if not path.is_file() or check_integrity(path, md5):
        return ""
    aside = path.with_name(f"{path.name}.broken")
    try:
        path.replace(aside)
    except OSError:
        return f" The {path.name} there has a wrong checksum."
    return f" The {path.name} there had a wrong checksum and is now {aside.name}."
