"""Which pictures are up to date: their hashes, by a hash of all that decides them.

One file in the folder of the pictures, `.drawn`. It may be removed at any time. A
damaged one counts as missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from oodbench.base.files import json_bytes, key_of, write_atomically
from oodbench.base.sources import package_key
from oodbench.results.groups import every_record
from oodbench.results.rows import Measured

FILE = ".drawn"
CODE = ("base", "metrics", "output", "results"), ("matplotlib", "numpy", "scipy")
"""The folders of the code that computes and draws, and the libraries it runs on."""

Pictures = dict[str, str]
"""The hashes of some pictures, by the names of their files."""


class Drawn:
    """The pictures that were drawn into one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = _read(folder / FILE)
        self._new: dict[str, Pictures] = {}

    def kept(self, key: str) -> list[Path] | None:
        """Returns the pictures of a key; None unless all are there unchanged."""
        known = self._known.get(key)
        if known is None or not all(map(self._is_unchanged, known, known.values())):
            return None
        return [self._folder / name for name in known]

    def pictures(self, key: str, draw: Callable[[], list[Path]]) -> list[Path]:
        """Returns the pictures of a key; draws them unless all are there unchanged."""
        if (kept := self.kept(key)) is not None:
            return kept
        pictures = draw()
        self._new[key] = {each.name: _digest(each) for each in pictures}
        return pictures

    def save(self) -> None:
        """Notes what was drawn, and forgets what that has replaced."""
        if any(self._new.values()):
            names = {name for pictures in self._new.values() for name in pictures}
            others = {
                key: pictures
                for key, pictures in self._known.items()
                if names.isdisjoint(pictures)
            }
            write_atomically(self._folder / FILE, json_bytes({**others, **self._new}))

    def _is_unchanged(self, name: str, digest: str) -> bool:
        path = self._folder / name
        return path.is_file() and _digest(path) == digest


def drawing_key(kind: str, measured: Sequence[Measured], linear: bool = False) -> str:
    """Returns a hash of everything that decides some pictures of some results.

    The order of sets is not among it.
    """
    cells = [
        cell.record
        for one in measured
        for part in (one.group.inside, *one.group.outside)
        for cell in part.cells.values()
    ]
    return key_of(
        package_key(*CODE),
        kind,
        linear,
        sorted(repr(row) for one in measured for row in one.rows),
        sorted(map(key_of, every_record(one.group for one in measured))),
        sorted(map(key_of, cells)),
    )


def _read(path: Path) -> dict[str, Pictures]:
    if not path.is_file():  # a pipe might never end
        return {}
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    is_sound = isinstance(known, dict) and all(
        isinstance(pictures, dict) for pictures in known.values()
    )
    return known if is_sound else {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
