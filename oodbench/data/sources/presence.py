"""Which files of data sets are in the data folder, and whether they are right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from oodbench.base import registry
from oodbench.base.errors import InputError
from oodbench.data.sources.checksum import check, recorded
from oodbench.data.sources.folder import data_folder
from oodbench.data.sources.source import Origin, Source
from oodbench.data.spec import open_dataset


def origins() -> Iterator[tuple[str, Origin]]:
    """Yields the names of the installed sets that come from files, with their origin.

    Sets that need an argument, and those that do not work, are left out.
    """
    for name in registry.names("datasets"):
        try:
            origin = open_dataset(name).origin
        except InputError:
            continue
        if origin is not None:
            yield name, origin


def presence(origin: Origin) -> str:
    """Returns "present", "absent", which files are there, or that there are none."""
    if not origin.sources:
        return "in a folder of yours"
    there = [source.name for source in origin.sources if is_present(source)]
    if len(there) == len(origin.sources):
        return "present"
    return f"only {', '.join(there)} present" if there else "absent"


def is_present(source: Source) -> bool:
    """Returns whether a file, or what was unpacked from it, is in the data folder."""
    path = data_folder() / source.file
    return path.is_file() or unpacked_folder(path, source).is_dir()


def size(source: Source) -> int | None:
    """Returns the bytes of a file that is there, or as stated; None if unknown."""
    with suppress(FileNotFoundError):
        return (data_folder() / source.file).stat().st_size
    return source.size


def check_present(source: Source) -> None:
    """Checks a file if it is in the data folder.

    Raises:
        WrongFileError: Size or checksum are others.
    """
    path = data_folder() / source.file
    if path.is_file():
        check(path, source, path)


def unpacked_folder(path: Path, source: Source, checksum: str = "") -> Path:
    """Returns the folder for what an archive holds; its name ends with the checksum's.

    It is found without the archive, which may therefore be removed.
    """
    known = checksum or source.checksum or recorded(path) or "unknown"
    return path.with_name(f"{path.name}-{known[-8:]}")
