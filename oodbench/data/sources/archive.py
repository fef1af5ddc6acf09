"""Unpacks archives that may be hostile."""

from __future__ import annotations

import gzip
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from oodbench.base import progress

GROWTH = 20
"""The most bytes that one byte of an archive may become; images shrink hardly."""
SLACK = 2**24
"""Bytes beyond that, for small archives."""
BYTES_PER_FILE = 64
"""The fewest bytes of an archive for each file in it, beyond the first thousand."""
CHUNK = 2**20
UNPACKED = 2**30 * 10**9
"""The date of every file that was unpacked; one with another date has changed."""
BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, LZMAError),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)
"""What the readers of archives raise."""


class ArchiveError(Exception):
    """An archive cannot be unpacked, or must not be; the text begins with the verb."""


class _Member(NamedTuple):
    name: str
    kind: str
    """file, folder, or what must not be there."""
    content: IO[bytes] | None
    place: int
    """Bytes of the archive up to here."""


def unpack(archive: Path, folder: Path) -> None:
    """Writes the files of a tar or zip archive, or one gzipped file, into a new folder.

    Raises:
        ArchiveError: The archive is broken, or holds what no set of images needs: a
            path that leaves the folder, a link or a device, or far more bytes or files
            than an archive of its size should.
    """
    size = archive.stat().st_size
    bytes_left, files_left = GROWTH * size + SLACK, 1000 + size // BYTES_PER_FILE
    folder.mkdir()
    try:
        with progress.current() as watch:
            name = archive.name.removesuffix(".part")
            tell, told = watch(f"unpack {name}, MB", size // 10**6), 0
            for member in _members(archive, name):
                target = folder / _inside(member)
                if member.content is None:
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                files_left -= 1
                target.parent.mkdir(parents=True, exist_ok=True)
                bytes_left = _copy(member.content, target, bytes_left)
                if bytes_left < 0 or files_left < 0:
                    what = "bytes" if bytes_left < 0 else "files"
                    raise ArchiveError(
                        f"holds far more {what} than an archive of {size:,} bytes "
                        "should"
                    )
                tell(member.place // 10**6 - told)
                told = member.place // 10**6
    except BROKEN as error:
        raise ArchiveError(f"cannot be unpacked ({error})") from error


def _members(archive: Path, name: str) -> Iterator[_Member]:
    with archive.open("rb") as raw:
        if name.endswith(".gz") and not name.endswith(".tar.gz"):
            with gzip.open(raw) as file:
                yield _Member(
                    name.removesuffix(".gz"), "file", cast(IO[bytes], file), 0
                )
            return
        if zipfile.is_zipfile(raw):
            yield from _of_zip(raw)
            return
        raw.seek(0)
        with tarfile.open(fileobj=raw) as tape:
            for info in tape:
                kind = "folder" if info.isdir() else "link or device"
                kind = "file" if info.isreg() else kind
                content = tape.extractfile(info) if info.isreg() else None
                yield _Member(info.name, kind, content, raw.tell())
            if tape.fileobj is not None:
                tape.fileobj.read(SLACK)  # at its end gzip checks the sum


def _of_zip(raw: IO[bytes]) -> Iterator[_Member]:
    place = 0
    with zipfile.ZipFile(raw) as packed:
        for entry in packed.infolist():
            place += entry.compress_size
            mode = stat.S_IFMT(entry.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                yield _Member(entry.filename, "link or device", None, place)
            elif entry.is_dir():
                yield _Member(entry.filename, "folder", None, place)
            else:
                with packed.open(entry) as file:
                    yield _Member(entry.filename, "file", file, place)


def _inside(member: _Member) -> PurePosixPath:
    """Returns the member's path below the folder."""
    path = PurePosixPath(member.name)
    if member.kind not in ("file", "folder"):
        raise ArchiveError(f"holds the {member.kind} {member.name!r}")
    foreign = re.match(r"[A-Za-z]:|.*\\", member.name)
    nameless = member.kind == "file" and not path.parts
    if path.is_absolute() or ".." in path.parts or foreign or nameless:
        raise ArchiveError(
            f"holds the path {member.name!r}, which may lead out of its folder"
        )
    return path


def _copy(content: IO[bytes], target: Path, limit: int) -> int:
    """Writes a file; returns how many bytes are left of the limit, or -1."""
    with target.open("wb") as file:
        while chunk := content.read(CHUNK):
            limit -= len(chunk)
            if limit < 0:
                return -1
            file.write(chunk)
    os.utime(target, ns=(UNPACKED, UNPACKED))
    return limit
