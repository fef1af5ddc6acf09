"""Grey stripes, level and upright."""

import numpy as np

from oodbench import Dataset, InputError, Shape, Split, SplitName

COUNTS = {"train": 64, "val": 16, "test": 32}


def stripes(argument: str) -> Dataset:
    """Opens stripes of a width in pixels, 2 by default: `stripes:3`.

    Images are uint8 in the network's own shape; class 0 is level, class 1 upright.
    """
    width = argument or "2"
    if not width.isdigit() or width == "0":
        raise InputError(f"The width of stripes must be at least 1, got {width!r}.")

    def load(split: SplitName, shape: Shape) -> Split:
        rng = np.random.default_rng([int(width), *split.encode()])
        labels = np.arange(COUNTS[split]) % 2
        images = [_stripes(int(width), bool(up), shape, rng) for up in labels]
        return Split(np.stack(images), labels)

    return Dataset(f"stripes:{width}", load, "far", ("train", "val", "test"))


def _stripes(
    width: int, upright: bool, shape: Shape, rng: np.random.Generator
) -> np.ndarray:
    rows, columns = np.indices((shape.height, shape.width))
    place = (columns if upright else rows) + rng.integers(2 * width)
    image = place // width % 2 * 200 + rng.integers(0, 50, place.shape)
    return np.repeat(image[..., None], shape.channels, axis=2).astype(np.uint8)
