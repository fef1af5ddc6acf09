"""Computed numbers kept beside the scores, found by a hash of all that decides them.

One file in the folder of a model and an in-set, `.numbers`, whose first line is the
hash of the rest. It may be removed at any time. A damaged one counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

from oodbench.base.errors import InputError
from oodbench.base.files import write_atomically

FILE = ".numbers"
MOST = 100_000
"""Entries from which a file is begun anew, since old ones may be of removed scores."""

Numbers = dict[str, float]
"""Finite numbers by name."""


class Kept:
    """The kept numbers of one folder; of no folder, none are taken and none stored."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known = {} if folder is None else _read(folder / FILE)
        self._new: dict[str, Numbers] = {}

    def get(self, key: str) -> Numbers | None:
        """Returns the numbers of a key; None where they have to be computed."""
        return self._known.get(key)

    def add(self, key: str, numbers: Mapping[str, float]) -> None:
        """Adds numbers, which `save` stores if all of them are finite."""
        if all(map(math.isfinite, numbers.values())):
            self._new[key] = {name: float(each) for name, each in numbers.items()}

    def save(self) -> None:
        """Stores what is new, unless the folder is gone or cannot be written to."""
        if not self._new or self._folder is None or not self._folder.is_dir():
            return
        known = self._known if len(self._known) < MOST else {}
        text = json.dumps({**known, **self._new}).encode()
        try:
            write_atomically(self._folder / FILE, _digest(text) + b"\n" + text)
        except InputError:  # numbers of a folder of somebody else are computed again
            return


def _read(path: Path) -> dict[str, Numbers]:
    if not path.is_file():  # a pipe might never end
        return {}
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
        if digest != _digest(text):
            return {}
        known = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return {}
    return known if _is_sound(known) else {}


def _is_sound(known: object) -> bool:
    return isinstance(known, dict) and all(
        isinstance(numbers, dict)
        and all(
            isinstance(number, float) and math.isfinite(number)
            for number in numbers.values()
        )
        for numbers in known.values()
    )


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
