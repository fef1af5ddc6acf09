"""Images that a caller has in memory or names one by one, as pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oodbench.base.errors import InputError
from oodbench.data.adapt import adapt
from oodbench.data.dataset import Shape
from oodbench.data.image_files import read_image

Given: TypeAlias = Tensor | NDArray[Any] | str | Path
"""A tensor `[C, H, W]` or `[N, C, H, W]`, an array `[H, W]`, `[H, W, C]` or `[N, H, W,
C]`, or an image file. Values are uint8, or floats in [0, 1]; C is 1 or 3."""
Several: TypeAlias = Tensor | NDArray[Any] | Sequence[Given]
"""Images that can be counted and cut."""


def several(images: Given | Sequence[Given]) -> Several:
    """Returns images such that one has a length and can be cut, too."""
    if isinstance(images, str | Path):
        return [images]
    if isinstance(images, np.ndarray) and images.ndim == 2:
        return images[None, ..., None]
    if isinstance(images, np.ndarray | Tensor) and images.ndim == 3:
        return images[None]
    return images


def pixels_of(images: Several, shape: Shape) -> Tensor:
    """Returns images as pixels `[N, *shape]`, float32 in [0, 1], as `adapt` does.

    Raises:
        InputError: They are no images, or a file cannot be read.
    """
    if isinstance(images, Tensor):
        fits = images.dtype == torch.float32 and tuple(images.shape[1:]) == shape
        if fits and ((images >= 0) & (images <= 1)).all():
            return images.detach()
        if images.ndim != 4:
            raise InputError(
                f"A tensor of images is [C, H, W] or [N, C, H, W], not "
                f"{list(images.shape)}."
            )
        images = images.detach().cpu().movedim(1, -1).numpy()
    if isinstance(images, np.ndarray):
        floats = images.dtype.kind == "f"
        return adapt(images.astype(np.float32) if floats else images, shape)
    parts = [_one(image, shape) for image in images]
    return torch.cat(parts)


def _one(image: Given, shape: Shape) -> Tensor:
    if isinstance(image, str | Path):
        return adapt([read_image(Path(image))], shape)
    if not isinstance(image, np.ndarray | Tensor):
        raise InputError(
            f"An image is a tensor, an array or a file, not a {type(image).__name__}."
        )
    return pixels_of(several(image), shape)
