"""Brings the files of data sets into the data folder: right, or not at all."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from oodbench.base.errors import InputError
from oodbench.data.dataset import Dataset, SplitName
from oodbench.data.sources.archive import ArchiveError, unpack
from oodbench.data.sources.checksum import WrongFileError, check
from oodbench.data.sources.download import Download, DownloadError
from oodbench.data.sources.folder import data_folder
from oodbench.data.sources.presence import unpacked_folder
from oodbench.data.sources.source import Origin, Source
from oodbench.data.spec import open_dataset

logger = logging.getLogger(__name__)

OFFLINE = "OODBENCH_OFFLINE"
"""Environment variable: anything but 0 switches downloads off."""

PATIENCE = 1.0
"""Seconds to wait for another process without a word."""


def fetch(
    sets: Sequence[str | Dataset],
    split: SplitName | None = None,
    *,
    offline: bool = False,
) -> list[Path]:
    """Downloads the files of data sets that are absent; checks and unpacks all.

    Args:
        sets: Data sets or texts that name them.
        split: Take only what this split needs.
        offline: Download nothing.

    Returns:
        The files, and the folders of unpacked archives.

    Raises:
        InputError: A set has no files to fetch, or one cannot be had; the message says
            which file to put where.
    """
    found, faults = [], []
    for each in sets:
        for source in needed(each, split):
            try:
                found.append(fetched(source, offline=offline))
            except InputError as error:  # the others may be there
                faults.append(str(error))
    if faults:
        raise InputError(" ".join(faults))
    return found


def origin_of(dataset: Dataset) -> Origin | None:
    """Returns where the files of a set come from, or those of the set it is made from.

    None for sets that are made without files, and for the user's files.
    """
    while dataset.origin is None and dataset.made_from is not None:
        dataset = dataset.made_from
    return dataset.origin


def needed(each: str | Dataset, split: SplitName | None = None) -> list[Source]:
    """Returns the files that a set, or one split of it, is read from.

    Raises:
        InputError: It has none, or none that can be fetched.
    """
    dataset = open_dataset(each)
    origin = origin_of(dataset)
    if origin is None:
        raise InputError(f"{dataset.name} has no files to fetch.")
    if not origin.sources:
        raise InputError(f"{dataset.name} cannot be downloaded. {origin.trouble}")
    return origin.needed(split)


def fetched(source: Source, *, offline: bool = False) -> Path:
    """Returns the path of a file, or of the folder that it is unpacked into.

    It is downloaded if it is absent. Mirrors are tried in order. Size and checksum are
    checked, and an archive is unpacked, before the file gets its name; other processes
    that want the same file wait.

    Args:
        source: The file.
        offline: Download nothing, as if OODBENCH_OFFLINE were set.

    Raises:
        InputError: The file cannot be had, or is not the one that it should be.
    """
    path = data_folder() / source.file
    try:
        with suppress(FileNotFoundError):
            return _present(path, source)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            with suppress(FileNotFoundError):
                return _present(path, source)
            if path.is_file():
                return _unpacked(path, path, source)
            if not source.urls:
                why = "is not there, and it cannot be downloaded"
                raise InputError(_to_put_there(path, source, why))
            if offline or is_offline():
                why = "is not there, and downloads are switched off"
                raise InputError(_to_put_there(path, source, why))
            part = path.with_name(f"{path.name}.part")
            _download(path, part, source)
            found = _unpacked(part, path, source)
            part.replace(path)
            return found
    except OSError as error:
        raise InputError(
            f"{path} cannot be read or written ({error}); name another data folder in "
            "the environment variable OODBENCH_DATA."
        ) from error


def is_offline() -> bool:
    """Returns whether the environment switches downloads off."""
    return os.environ.get(OFFLINE, "0") not in ("", "0")


def _present(path: Path, source: Source) -> Path:
    """Returns the file or folder if nothing is left to do.

    Raises:
        FileNotFoundError: Something is left to do.
    """
    if source.unpack:
        folder = unpacked_folder(path, source)
        if not folder.is_dir():
            raise FileNotFoundError(path)
        return folder
    try:
        check(path, source, path)
    except WrongFileError as error:
        raise _wrong(path, error) from error
    return path


def _unpacked(file: Path, path: Path, source: Source) -> Path:
    """Checks a file that has or will have a path, and unpacks it where that is due."""
    try:
        checksum = check(file, source, path)
    except WrongFileError as error:
        raise _wrong(path, error) from error
    if not source.unpack:
        return path
    folder = unpacked_folder(path, source, checksum)
    unfinished = path.with_name(f"{path.name}.unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unpack(file, unfinished)
        unfinished.replace(folder)
    except ArchiveError as error:
        if file == path:
            raise InputError(f"{path} {error}; replace it by the right one.") from error
        file.unlink()
        raise InputError(f"{path.name} {error}; it was not kept.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _download(path: Path, part: Path, source: Source) -> None:
    """Downloads a file to `part` from the first mirror that has the right one."""
    alike = bool(source.checksum)
    if not alike:
        part.unlink(missing_ok=True)  # perhaps the beginning of another version
    faults = []
    for url in source.urls:
        continued = part.exists()
        name = f"{path.parent.name}/{path.name}"
        load = Download(url, part, name, size=source.size, alike=alike)
        try:
            load.run()
            try:
                check(part, source, path)
            except WrongFileError:
                part.unlink()
                if not continued:
                    raise
                load.run()  # the beginning may have been another file's
                check(part, source, path)
            return
        except (DownloadError, WrongFileError) as error:
            faults.append(f"{url}: {str(error).removesuffix('.')}")
            if not alike or isinstance(error, WrongFileError):
                part.unlink(missing_ok=True)
    tried = "; ".join(faults)
    raise InputError(_to_put_there(path, source, f"cannot be downloaded ({tried})"))


def _to_put_there(path: Path, source: Source, why: str) -> str:
    """Returns the sentence that says which file to put where."""
    place = source.urls[0] if source.urls else source.page
    where = f" from {place}" if place else ""
    which = f" Its checksum is {source.checksum}." if source.checksum else ""
    return f"{path.name} {why}. Put it{where} into {path.parent} by hand.{which}"


def _wrong(path: Path, error: WrongFileError) -> InputError:
    return InputError(f"{error} Remove {path}, and fetch or copy it again.")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits until no other process works on the file."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        logger.warning("Waiting for another process that fetches %s.", path.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
