"""Checksums of files, and a record beside each file of the one that was found."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from oodbench.base.errors import InputError
from oodbench.base.files import Record, json_bytes, write_atomically
from oodbench.data.sources.source import Source

OWN = "sha256"
"""The algorithm where nobody states a checksum."""


class WrongFileError(InputError):
    """A file is not the one that it should be."""


def check(path: Path, source: Source, home: Path) -> str:
    """Checks a file's size and checksum; returns the checksum.

    The checksum is computed only if the file has changed since it was last found right.
    Without a stated checksum, the first one found is recorded, and counts from then on.

    Args:
        path: The file.
        source: What it should be.
        home: Where it lies, or will lie; the record lies beside that.

    Raises:
        WrongFileError: Size or checksum are others.
    """
    record, found = _record(home), path.stat()
    dates = {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
    right = source.checksum or str(record.get("checksum", ""))
    if source.size not in (None, found.st_size):
        raise WrongFileError(f"{path} has {found.st_size} bytes, not {source.size}.")
    if right and record == {"checksum": right, **dates}:
        return right
    checksum = checksum_of(path, right.partition(":")[0] or OWN)
    if right and checksum != right:
        known = source.stated_by or "the record of its first use"
        raise WrongFileError(
            f"{path} has the checksum {checksum}, and {known} states {right}."
        )
    with suppress(InputError):  # a folder that cannot be written to is checked anew
        record = {"checksum": checksum, **dates}
        write_atomically(record_path(home), json_bytes(record))
    return checksum


def checksum_of(path: Path, algorithm: str) -> str:
    """Returns the algorithm and the hexadecimal digest of a file's content."""
    with path.open("rb") as file:
        hashed = hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        )
    return f"{algorithm}:{hashed.hexdigest()}"


def recorded(path: Path) -> str:
    """Returns the checksum that a file had when it was last found right, or nothing."""
    return str(_record(path).get("checksum", ""))


def record_path(path: Path) -> Path:
    """Returns the path of a file's record."""
    return path.with_name(f"{path.name}.checksum.json")


def _record(path: Path) -> Record:
    with suppress(OSError, ValueError):
        found = json.loads(record_path(path).read_bytes())
        return found if isinstance(found, dict) else {}
    return {}
