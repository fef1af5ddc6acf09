"""Writes files in full or not at all; JSON records, array archives and keys."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from oodbench.base.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Record = dict[str, Any]
"""JSON: numbers as numbers, nothing that needs code to read."""

WRITING = ".writing-"
"""Beginning of the name of a file that is being written."""


def key_of(*parts: object) -> str:
    """Returns a hash of JSON-able parts, 64 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def folder_name(label: str, key: str) -> str:
    """Returns a readable file name made of a label and the start of a key.

    >>> folder_name("folder:../night", "0123456789abcdef")
    'folder_.._night-01234567'
    """
    safe = re.sub(r"[^A-Za-z0-9._=+-]+", "_", label).lstrip(".")[:60]
    return f"{safe}-{key[:8]}"


def json_bytes(content: object) -> bytes:
    """Returns JSON as oodbench stores it: sorted keys, one space of indentation."""
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def npz_bytes(arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False) -> bytes:
    """Returns arrays as an `.npz` file; equal arrays give equal bytes.

    Raises:
        ValueError: An array holds objects.
    """
    buffer = io.BytesIO()
    write_npz(buffer, arrays, compressed=compressed)
    return buffer.getvalue()


def write_npz(
    to: IO[bytes], arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False
) -> None:
    """Writes arrays as an `.npz` file, one after the other.

    `numpy.savez` has the argument `allow_pickle` only in newer versions of numpy; older
    versions store it as one more array.

    Raises:
        ValueError: An array holds objects.
    """
    from numpy.lib.format import write_array

    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(to, "w", method) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                write_array(file, array, allow_pickle=False)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file in full or not at all.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
    """
    with writing(path) as file:
        file.write(content)


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a file that appears at its path when the context ends without an error.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f"{WRITING}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"Cannot write {path}: {error.strerror or error}. "
            "Earlier results are untouched; make room, or name another folder."
        ) from error
