"""Keeps the finished chunks of a set until all of it is scored."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oodbench.base.errors import InputError
from oodbench.base.files import write_atomically
from oodbench.data.feed import Span
from oodbench.scoring.scored import Scored, from_bytes, to_bytes

CHUNK = 4096
"""Images per chunk, about: an interrupted run loses no more than one chunk."""


def spans_of(images: int, batch_size: int) -> list[Span]:
    """Returns the chunks of a set.

    Their borders depend on the number of images and the batch size alone, so that an
    interrupted run, or one on several processes, gives the same batches and bytes.
    """
    size = max(1, CHUNK // batch_size) * batch_size
    return [(start, min(start + size, images)) for start in range(0, images, size)]


@dataclass(frozen=True)
class Partial:
    """A hidden folder of chunks next to the cells that they will become."""

    folder: Path

    def missing(self, spans: Sequence[Span]) -> list[Span]:
        """Returns the chunks that are not there yet."""
        return [span for span in spans if self.read(span) is None]

    def read(self, span: Span) -> Scored | None:
        """Returns a chunk; None where it is absent or damaged."""
        try:
            return from_bytes(self._path(span).read_bytes())
        except OSError:
            return None

    def write(self, span: Span, scored: Scored) -> None:
        """Stores a chunk."""
        try:
            write_atomically(self._path(span), to_bytes(scored))
        except InputError as error:
            # Another run of the same plan may remove the folder at this moment. Then
            # the chunk is computed again.
            if not isinstance(error.__cause__, FileNotFoundError):
                raise

    def clear(self) -> None:
        """Removes all chunks."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, span: Span) -> Path:
        return self.folder / f"{span[0]:09}-{span[1]:09}.npz"
