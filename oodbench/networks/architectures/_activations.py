"""Activations by the names that cards and options use."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown


class QuickGELU(nn.Module):
    """x times the sigmoid of 1.702 x: Outlier Exposure's approximation of GELU."""

    def forward(self, values: Tensor) -> Tensor:
        """Returns values of the same shape."""
        return values * torch.sigmoid(1.702 * values)


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "quick_gelu": QuickGELU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),  # the slope of the JEM paper's code
}


def activation(name: str) -> nn.Module:
    """Returns a new layer of an activation.

    Raises:
        InputError: There is none of this name.
    """
    if name not in ACTIVATIONS:
        raise InputError(unknown("activation", name, ACTIVATIONS))
    return ACTIVATIONS[name]()
