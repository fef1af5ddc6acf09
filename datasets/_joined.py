"""The images of several sets or files as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oodbench.base.files import key_of
from oodbench.data.dataset import Chunk, Images, manifest_of
from oodbench.data.image_files import stacked


@dataclass(frozen=True, eq=False)
class Joined:
    """Some images, and after them others; nothing is read before it is needed."""

    parts: Sequence[Images]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, chunk: slice, /) -> Chunk:
        start, stop, _ = chunk.indices(len(self))
        found: list[NDArray[np.generic]] = []
        for part in self.parts:
            found.extend(part[max(start, 0) : max(stop, 0)])
            start, stop = start - len(part), stop - len(part)
        return stacked(found)

    def manifest(self) -> str | None:
        """Returns a hash of the parts' manifests; None if one part has none."""
        found = [manifest_of(part) for part in self.parts]
        return None if None in found else key_of("joined", *found)
