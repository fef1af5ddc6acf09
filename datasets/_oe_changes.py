"""Changes of one image in Outlier Exposure's validation.

Every function takes an image `[H, W, C]`, uint8 or float32 in [0, 1], and a generator.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image as Picture

from oodbench import InputError
from oodbench.data.adapt import unit_range
from oodbench.datasets.inverted import invert

Image = NDArray[np.generic]

SHARE = 0.2
"""Of the length of a side that `pixelate` leaves."""


def jigsaw(image: Image, rng: Generator) -> Image:
    """Moves the quarters to other places, two of them cut in two parts.

    The upper left quarter stays, its upper part below its lower part. Beside it is the
    lower left one, below it the lower right one, and the upper right one takes the last
    place, its right part first. On 32 pixels a part has 8, on 28 pixels 6 or 8.
    """
    height, width = image.shape[0], image.shape[1]
    if height % 2 or width % 2:
        raise InputError(f"jigsaw needs even sides, and an image is {height}x{width}.")
    upper, lower = np.split(image, 2)
    (one, two), (three, four) = (np.split(half, 2, axis=1) for half in (upper, lower))
    one = np.roll(one, -2 * (height // 8), axis=0)
    two = np.roll(two, 2 * (width // 8), axis=1)
    return np.vstack([np.hstack([one, three]), np.hstack([four, two])])


def speckle(image: Image, rng: Generator) -> Image:
    """Adds normal noise of deviation 1 times the value: float32, cut to [0, 1]."""
    pixels = unit_range(image)
    noise = rng.standard_normal(pixels.shape, np.float32)
    return (pixels + pixels * noise).clip(0, 1)


def pixelate(image: Image, rng: Generator) -> Image:
    """Shrinks the sides to a fifth and enlarges them again, by boxes."""
    size = image.shape[1::-1]
    small = [max(1, int(SHARE * length)) for length in size]
    box = Picture.Resampling.BOX
    planes = [
        Picture.fromarray(plane).resize(small, box).resize(size, box)
        for plane in np.moveaxis(image, 2, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], 2)


def rgb_shift(image: Image, rng: Generator) -> Image:
    """Shows green, mirrored, as red, blue as green, and red as blue."""
    red, green, blue = _colours(image, "rgb_shift")
    return np.stack([green[:, ::-1], blue, red], 2)


def inversion(image: Image, rng: Generator) -> Image:
    """Inverts green and blue."""
    red, green, blue = _colours(image, "inversion")
    return np.stack([red, invert(green), invert(blue)], 2)


def _colours(image: Image, name: str) -> NDArray[np.generic]:
    """Returns the channels `[3, H, W]`."""
    if image.shape[2] != 3:
        raise InputError(f"{name} changes colours, and the images are grey.")
    return np.moveaxis(image, 2, 0)


CHANGES = (jigsaw, speckle, pixelate, rgb_shift, inversion)
