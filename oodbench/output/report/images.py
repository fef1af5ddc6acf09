"""Opens the images of a stored set again, and makes small pictures of them."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodbench.base.errors import InputError
from oodbench.results.groups import StoredSet

if TYPE_CHECKING:
    from oodbench.data.dataset import Chunk, Images, Split

LARGEST = 48
"""Pixels of the longer side of a picture."""


@dataclass(frozen=True, eq=False)
class Unchanged:
    """Images that are compared with stored digests as they are read.

    Reading raises InputError where one has changed.
    """

    images: Images
    digests: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.digests)

    def __getitem__(self, chunk: slice, /) -> Chunk:
        from oodbench.data.dataset import digests_of

        found = self.images[chunk]
        for place, digest in enumerate(digests_of(found), chunk.start or 0):
            if digest != self.digests[place]:
                raise InputError(f"image {place} is not the one that was scored")
        return found


def reopen(one: StoredSet) -> Split:
    """Returns the images of a set, which are checked as they are read.

    Raises:
        InputError: The set cannot be opened any more, or has other images.
    """
    if "digests" not in one.arrays:
        raise InputError("what its images were is not stored")
    # These bring torch with them.
    from oodbench.data.checked_split import load_split
    from oodbench.data.dataset import Shape
    from oodbench.data.recorded import dataset_of

    stored, digests = one.record["set"], one.arrays["digests"]
    shape = Shape(*one.record["model"]["shape"])
    split = load_split(dataset_of(stored), stored["split"], shape)
    if stored["limit"] is not None:
        split = split.spread(stored["limit"])
    if len(split.images) != len(digests):
        raise InputError(
            f"it holds {len(split.images)} images, and {len(digests)} were scored"
        )
    return replace(split, images=Unchanged(split.images, digests))


def picture_of(split: Split, place: int) -> Image.Image:
    """Returns a small picture of one image."""
    return small(split.images[place : place + 1][0])


def small(image: NDArray[np.generic]) -> Image.Image:
    """Returns a small picture of an image `[H, W, C]`, uint8 or float32 in [0, 1]."""
    if image.dtype != np.uint8:
        image = np.rint(255 * image.astype(np.float64)).astype(np.uint8)
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    picture.thumbnail((LARGEST, LARGEST))
    return picture


def png(picture: Image.Image) -> bytes:
    """Returns a picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """Returns a PNG file as the address of a picture."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
