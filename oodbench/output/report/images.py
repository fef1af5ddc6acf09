"""Opens the images of a stored set again, and makes small pictures of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodbench.base.errors import InputError
from oodbench.base.files import Record
from oodbench.output.reopened import dataset_of

LARGEST = 48
"""Pixels of the longer side of a picture."""


def reopen(
    record: Record, digests: NDArray[np.uint64], wanted: Iterable[int]
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Yields places and images `[H, W, C]` of a set, the same as when they were scored.

    Args:
        record: The record of the set.
        digests: `[N]`, the stored digests of its images.
        wanted: Places of images, from 0.

    Raises:
        InputError: The set cannot be opened any more, or has other images.
    """
    # These bring torch with them.
    from oodbench.data.checked_split import load_split
    from oodbench.data.dataset import Shape, digests_of

    stored = record["set"]
    split = load_split(
        dataset_of(record), stored["split"], Shape(*record["model"]["shape"])
    )
    if stored["limit"] is not None:
        split = split.spread(stored["limit"])
    if len(split.images) != len(digests):
        raise InputError(
            f"it holds {len(split.images)} images, and {len(digests)} were scored"
        )
    for place in wanted:
        image = split.images[place : place + 1][0]
        if digests_of(image[None])[0] != digests[place]:
            raise InputError(f"image {place} is not the one that was scored")
        yield place, image


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
