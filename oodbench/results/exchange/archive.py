"""Packs a folder of results into one .zip file, which is read like the folder."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oodbench.base.errors import InputError, reason
from oodbench.base.files import writing
from oodbench.results.exchange import claims
from oodbench.results.store import Store

MOST = 100
"""The most bytes that one byte of an archive may unpack to."""


def pack(folder: Path, to: Path, metrics: bytes) -> None:
    """Writes the stored scores of a folder to a .zip file; equal ones give equal bytes.

    Args:
        folder: The folder of results.
        to: The file.
        metrics: What `claims.to_json` returns of them.

    Raises:
        InputError: There is no such folder, or the file cannot be written.
    """
    paths = sorted(
        path
        for file in Store(folder).sets()
        for record in (file.path, *(cell.path for cell in file.cells()))
        for path in (record, record.with_suffix(".npz"), record.with_suffix(".npy"))
        if path.is_file()
    )
    with writing(to) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, claims.FILE, metrics)
        for path in paths:
            _add(archive, path.relative_to(folder).as_posix(), path.read_bytes())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # Without a date, so that equal results give equal archives.
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


@contextmanager
def unpacked(place: Path) -> Iterator[Path]:
    """Yields the folder that a .zip file holds, for the time of a `with` block.

    Args:
        place: The file; what is no file is yielded as it is.

    Raises:
        InputError: It is no .zip file, or unpacks to far more than it holds.
    """
    if not place.is_file():
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="oodbench-") as folder:
        try:
            with zipfile.ZipFile(place) as archive:
                size = sum(part.file_size for part in archive.infolist())
                if size > MOST * place.stat().st_size:
                    raise InputError(
                        f"{place} unpacks to {size / 1e6:.0f} MB, far more than it "
                        "holds; it was not unpacked."
                    )
                archive.extractall(folder)  # drops .. and leading / of names
        except (zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{place} is no folder of results and no archive of them "
                f"({reason(error)}); name what `oodbench run` or `export` wrote."
            ) from error
        yield Path(folder)
