"""Converts images of any size, colour and scale to the shape that a network takes."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from oodbench.base.errors import InputError
from oodbench.data.dataset import Chunk, Shape
from oodbench.data.image_files import READING

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


WHOLE = 2**26
"""Values up to which an image is scaled as a whole, 256 MiB as float32."""
BAND = 2**22
"""Values that are converted to float32 at a time of a larger image."""


def unit_range(images: NDArray[np.generic]) -> NDArray[np.float32]:
    """Returns images as float32 in [0, 1]; uint8 values are divided by 255."""
    if images.dtype == np.uint8:
        return np.divide(images, np.float32(255), dtype=np.float32)
    return images.astype(np.float32)


def levels_of(images: Chunk, shape: Shape) -> Tensor | None:
    """Returns images as pixels `[N, *shape]`, uint8; None if they must be adapted.

    They may share the memory of the images.
    """
    several = (
        [images] if isinstance(images, np.ndarray) else [one[None] for one in images]
    )
    wanted = (shape.height, shape.width, shape.channels)
    if any(one.dtype != np.uint8 or one.shape[1:] != wanted for one in several):
        return None
    # PyTorch takes no array that must not be written into.
    parts = [torch.from_numpy(np.require(one, None, ["C", "W"])) for one in several]
    return torch.cat(parts).permute(0, 3, 1, 2)


def unit_pixels(pixels: Tensor) -> Tensor:
    """Returns uint8 pixels as float32 in [0, 1], with the bits that `unit_range` gives.

    Float32 pixels are returned as they are.
    """
    if pixels.dtype != torch.uint8:
        return pixels
    # A tensor, since a GPU multiplies by the reciprocal of a plain number.
    return pixels.float() / pixels.new_full((), 255, dtype=torch.float32)


def to_bytes(pixels: Tensor) -> NDArray[np.uint8]:
    """Returns pixels `[N, C, H, W]`, cut to [0, 1], as uint8 images `[N, H, W, C]`."""
    levels = (pixels.detach().cpu().float().clamp(0, 1) * 255).round()
    return levels.byte().permute(0, 2, 3, 1).numpy()


def adapt(images: Chunk, shape: Shape) -> Tensor:
    """Returns images as pixels `[N, *shape]`, float32 in [0, 1].

    An image of another size is scaled, its sides in proportion, until it just covers
    the wanted size (bilinear, antialiased), and cropped at the centre. Only the region
    that the crop shows is computed. Grey is repeated over three channels; RGB becomes
    its BT.601 luma. An image that fits is not changed.

    Raises:
        InputError: No images, wrong rank, dtype or channels, or values that are not
            finite or outside [0, 1].
    """
    if isinstance(images, np.ndarray):
        return _adapt_batch(images, shape)
    if not images:
        raise InputError("There are no images to adapt.")
    return torch.cat([_adapt_batch(image[None], shape) for image in images])


def rule(images: Chunk, shape: Shape) -> str:
    """Returns in words what `adapt` does to such images, for the record."""
    few = images[:1] if isinstance(images, np.ndarray) else images
    sizes = {image.shape[:2] for image in few}
    channels = {image.shape[2] for image in few}
    steps = []
    if sizes - {(shape.height, shape.width)}:
        steps.append(f"bilinear antialias, centre crop to {shape.height}x{shape.width}")
    if channels - {shape.channels}:
        steps.append("grey to RGB" if shape.channels == 3 else "RGB to BT.601 grey")
    return "; ".join(steps) or "none"


def rule_for_files(shape: Shape) -> str:
    """Returns what reading and `adapt` do to images in files, none of them read yet."""
    colours = "grey to RGB" if shape.channels == 3 else "RGB to BT.601 grey"
    return (
        f"{READING}; bilinear antialias, centre crop to {shape.height}x{shape.width}; "
        f"{colours}; each where needed"
    )


def _adapt_batch(images: NDArray[np.generic], shape: Shape) -> Tensor:
    _check(images)
    height, width = images.shape[1:3]
    if (height, width) == (shape.height, shape.width):
        return _recoloured(images, shape.channels)
    scale = max(shape.height / height, shape.width / width)
    covering = (
        max(shape.height, round(height * scale)),
        max(shape.width, round(width * scale)),
    )
    largest = max(height * width, math.prod(covering))
    # PyTorch 2.14 makes all rows equal if there is one column.
    at_once = largest * images.shape[3] <= WHOLE and covering[1] > 1
    scaled = _scaled if at_once else _scaled_in_bands
    pixels = [scaled(image, covering, shape) for image in images]
    return torch.stack(pixels).clamp(0, 1)


def _check(images: NDArray[np.generic]) -> None:
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise InputError(
            f"Images must be [N, H, W, C] with 1 or 3 channels, got {images.shape}."
        )
    if images.dtype not in (np.uint8, np.float32):
        raise InputError(f"Images must be uint8 or float32, got {images.dtype}.")
    if images.dtype == np.uint8:
        return
    least, most = float(images.min()), float(images.max())
    if not (least >= 0 and most <= 1):  # NaN neither
        raise InputError(
            f"Float images must lie in [0, 1]; these go from {least:g} to {most:g}."
        )


def _recoloured(images: NDArray[np.generic], channels: int) -> Tensor:
    """Returns images `[N, H, W, C]` as pixels `[N, channels, H, W]` in [0, 1]."""
    # A new array, so that a change of the pixels does not change the set.
    planes = np.ascontiguousarray(unit_range(images).transpose(0, 3, 1, 2))
    pixels = torch.from_numpy(planes)
    if pixels.shape[1] == channels:
        return pixels
    if channels == 3 and pixels.shape[1] == 1:
        return pixels.repeat(1, 3, 1, 1)
    if channels == 1 and pixels.shape[1] == 3:
        weights = torch.tensor(LUMA).view(1, 3, 1, 1)
        return (pixels * weights).sum(1, keepdim=True)
    raise InputError(
        f"The network takes {channels} channels; only 1 and 3 can be made from "
        f"images of {pixels.shape[1]}."
    )


def _scaled(
    image: NDArray[np.generic], covering: tuple[int, int], shape: Shape
) -> Tensor:
    """Returns the middle of an image that is scaled to a covering size, as pixels."""
    pixels = _recoloured(image[None], shape.channels)
    top = (covering[0] - shape.height) // 2
    return _interpolated(pixels, covering, shape.width)[0, :, top : top + shape.height]


def _interpolated(pixels: Tensor, covering: tuple[int, int], width: int) -> Tensor:
    """Returns pixels scaled to a covering size, the middle columns of them."""
    scaled = functional.interpolate(
        pixels, covering, mode="bilinear", align_corners=False, antialias=True
    )
    left = (covering[1] - width) // 2
    return scaled[..., left : left + width]


class Taps(NamedTuple):
    """What each of the new rows (or columns) is made of."""

    first: int
    """The first old row that any new row needs."""
    stop: int
    """The one after the last."""
    places: Tensor
    """`[new rows, taps]`, counted from `first`."""
    weights: Tensor
    """`[new rows, taps]`; each row sums to 1."""


@lru_cache(maxsize=64)
def _taps(old: int, covering: int, new: int) -> Taps:
    """Returns the taps of the middle `new` of `old` rows that are scaled to `covering`.

    Bilinear with antialiasing, as Pillow and PyTorch define it: a triangle of half
    width max(1, old / covering) about the row's middle, cut at the border.
    """
    scale = old / covering
    support = max(1.0, scale)
    middles = (np.arange(new) + (covering - new) // 2 + 0.5) * scale
    starts = np.floor(middles - support).astype(np.int64)
    places = starts[:, None] + np.arange(math.ceil(2 * support) + 1)
    distances = np.abs(places + 0.5 - middles[:, None]) / support
    inside = (places >= 0) & (places < old)
    weights = np.where(inside, np.clip(1 - distances, 0, None), 0)
    weights /= weights.sum(1, keepdims=True)
    places = places.clip(0, old - 1)
    first, stop = int(places.min()), int(places.max()) + 1
    return Taps(
        first,
        stop,
        torch.from_numpy(places - first),
        torch.from_numpy(weights).float(),
    )


def _scaled_in_bands(
    image: NDArray[np.generic], covering: tuple[int, int], shape: Shape
) -> Tensor:
    """Returns the same as `_scaled`, in memory for the crop and a band of rows."""
    rows = _taps(image.shape[0], covering[0], shape.height)
    region = image[rows.first : rows.stop]
    columns = None
    if covering[1] > image.shape[1]:  # else no row becomes longer
        columns = _taps(image.shape[1], covering[1], shape.width)
        region = region[:, columns.first : columns.stop]
    size = max(1, BAND // region[0].size)
    bands = []
    for first in range(0, len(region), size):
        band = _recoloured(region[None, first : first + size], shape.channels)
        height = band.shape[2]
        bands.append(
            _interpolated(band, (height, covering[1]), shape.width)
            if columns is None
            else _weighted(band, columns)
        )
    return _weighted(torch.cat(bands, 2)[0].mT, rows).mT


def _weighted(pixels: Tensor, taps: Taps) -> Tensor:
    """Returns `[..., old]` as `[..., new]`, tap by tap."""
    total = pixels.new_zeros(*pixels.shape[:-1], len(taps.places))
    for places, weights in zip(taps.places.T, taps.weights.T, strict=True):
        total += pixels[..., places] * weights
    return total
