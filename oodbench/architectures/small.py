"""A multi-layer perceptron, for images of a few pixels such as the digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

from torch import nn

from oodbench.errors import InputError
from oodbench.registry import unknown

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),  # the slope of the JEM paper's code
}


class MLP(nn.Sequential):
    """Images `[N, C, H, W]` to logits `[N, K]` by linear layers with activations.

    Args:
        inputs: The shape `(C, H, W)` of one image.
        classes: How many logits.
        hidden: The widths of the layers between.
        activation: A name of `ACTIVATIONS`.

    Raises:
        InputError: There is no such activation.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        *,
        classes: int,
        hidden: Sequence[int] = (256, 256),
        activation: str = "silu",
    ) -> None:
        if activation not in ACTIVATIONS:
            raise InputError(unknown("activation", activation, ACTIVATIONS))
        layers: list[nn.Module] = [nn.Flatten()]
        for entering, leaving in pairwise([math.prod(inputs), *hidden]):
            layers += [nn.Linear(entering, leaving), ACTIVATIONS[activation]()]
        last = hidden[-1] if hidden else math.prod(inputs)
        super().__init__(*layers, nn.Linear(last, classes))
