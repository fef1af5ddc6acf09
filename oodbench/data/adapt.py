"""Brings images of any size and colour to the shape that a network takes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from oodbench.base.errors import InputError
from oodbench.data.dataset import Chunk, Shape

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


def adapt(images: Chunk, shape: Shape) -> Tensor:
    """Returns images as pixels `[N, *shape]`, float32 in [0, 1].

    An image of another size is scaled, its sides in proportion, until it just covers
    the wanted size (bilinear, antialiased), and cropped at the centre. Grey is repeated
    over three channels; RGB becomes its BT.601 luma. An image that fits is not touched.

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
    sizes = {image.shape[:2] for image in images}
    channels = {image.shape[2] for image in images}
    steps = []
    if sizes - {(shape.height, shape.width)}:
        steps.append(f"bilinear antialias, centre crop to {shape.height}x{shape.width}")
    if channels - {shape.channels}:
        steps.append("grey to RGB" if shape.channels == 3 else "RGB to BT.601 grey")
    return "; ".join(steps) or "none"


def rule_for_files(shape: Shape) -> str:
    """Returns what `adapt` does to images that nobody has looked at yet."""
    colours = "grey to RGB" if shape.channels == 3 else "RGB to BT.601 grey"
    return (
        f"bilinear antialias, centre crop to {shape.height}x{shape.width}; "
        f"{colours}; each where needed"
    )


def _adapt_batch(images: NDArray[np.generic], shape: Shape) -> Tensor:
    pixels = _pixels(images)
    if pixels.shape[1] != shape.channels:
        pixels = _recolour(pixels, shape.channels)
    if pixels.shape[2:] != (shape.height, shape.width):
        pixels = _resize(pixels, shape.height, shape.width)
    return pixels


def _pixels(images: NDArray[np.generic]) -> Tensor:
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise InputError(
            f"Images must be [N, H, W, C] with 1 or 3 channels, got {images.shape}."
        )
    if images.dtype not in (np.uint8, np.float32):
        raise InputError(f"Images must be uint8 or float32, got {images.dtype}.")
    # A copy, so that nobody who changes the pixels changes the set.
    pixels = torch.from_numpy(np.array(images.transpose(0, 3, 1, 2), order="C"))
    if pixels.dtype == torch.uint8:
        return pixels.float() / 255
    if not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise InputError(
            "Float images must lie in [0, 1]; these go from "
            f"{float(pixels.min()):g} to {float(pixels.max()):g}."
        )
    return pixels


def _recolour(pixels: Tensor, channels: int) -> Tensor:
    if channels == 3 and pixels.shape[1] == 1:
        return pixels.repeat(1, 3, 1, 1)
    if channels == 1 and pixels.shape[1] == 3:
        weights = torch.tensor(LUMA).view(1, 3, 1, 1)
        return (pixels * weights).sum(1, keepdim=True)
    raise InputError(
        f"The network takes {channels} channels; only 1 and 3 can be made from "
        f"images of {pixels.shape[1]}."
    )


def _resize(pixels: Tensor, height: int, width: int) -> Tensor:
    scale = max(height / pixels.shape[2], width / pixels.shape[3])
    covering = [
        max(height, round(pixels.shape[2] * scale)),
        max(width, round(pixels.shape[3] * scale)),
    ]
    scaled = F.interpolate(
        pixels, covering, mode="bilinear", align_corners=False, antialias=True
    )
    top, left = (covering[0] - height) // 2, (covering[1] - width) // 2
    return scaled[:, :, top : top + height, left : left + width].clamp(0, 1)
