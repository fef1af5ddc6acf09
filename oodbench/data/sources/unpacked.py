"""Image files of unpacked archives."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from oodbench.data.image_files import ImageFiles
from oodbench.data.sources.archive import UNPACKED
from oodbench.data.sources.folder import data_folder


@dataclass(frozen=True)
class UnpackedFiles(ImageFiles):
    """Image files that lie where they were unpacked, below the data folder."""

    def manifest(self) -> str:
        """Returns a hash of the files' places in the data folder; none is read.

        The name of an archive's folder ends with its checksum, so equal archives give
        equal manifests on every machine. If a file has changed, or is another, the
        manifest is that of any image files.
        """
        home = data_folder()
        if not all(_is_as_unpacked(path, home) for path in self.paths):
            return super().manifest()
        places = [path.relative_to(home).as_posix() for path in self.paths]
        return hashlib.sha256(os.fsencode("\n".join(places))).hexdigest()


def _is_as_unpacked(path: Path, home: Path) -> bool:
    return path.is_relative_to(home) and path.stat().st_mtime_ns == UNPACKED
