"""Activations by the names that cards and options use."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from oodbench.base.errors import InputError
from oodbench.base.registry import unknown

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
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
