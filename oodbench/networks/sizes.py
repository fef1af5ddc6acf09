"""Finds the size of the images that a module takes."""

from __future__ import annotations

import torch
from torch import nn

from oodbench.data.dataset import Shape

_USUAL_SIDES = (28, 32, 64, 96, 224, 299)


def runs_on(module: nn.Module, shape: Shape) -> bool:
    """Returns whether a module in evaluation mode takes grey images of a shape."""
    weight = next(module.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    try:
        with torch.no_grad():
            module(torch.full((2, *shape), 0.5, device=device))
    except Exception:  # noqa: BLE001 - other people's code
        return False
    return True


def other_size(module: nn.Module, shape: Shape) -> str:
    """Returns a sentence that names a size of images that a module takes, or ""."""
    sizes = dict.fromkeys([shape[1:], *((side, side) for side in _USUAL_SIDES)])
    for channels in dict.fromkeys([shape.channels, 1, 3]):
        for height, width in sizes:
            other = Shape(channels, height, width)
            if other != shape and runs_on(module, other):
                return f" It takes images {other}; name this size (--size, shape=)."
    return ""
