"""The multi-layer perceptron, for images of a few pixels such as the digits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from oodbench.networks.architectures._activations import activation as new_activation


class MLP(nn.Sequential):
    """Images `[N, C, H, W]` to logits `[N, K]` by linear layers with activations.

    Args:
        inputs: The shape `(C, H, W)` of one image.
        classes: The number of logits.
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
        activation: str = "leaky_relu",
    ) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for entering, leaving in pairwise([math.prod(inputs), *hidden]):
            layers += [nn.Linear(entering, leaving), new_activation(activation)]
        last = hidden[-1] if hidden else math.prod(inputs)
        super().__init__(*layers, nn.Linear(last, classes))


NETWORK = MLP


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Returns the widths of a perceptron; its activation leaves no trace in a file."""
    widths: list[int] = []
    while (weight := tensors.get(f"{2 * len(widths) + 1}.weight")) is not None:
        if weight.ndim != 2:
            return None
        widths.append(len(weight))
    return {"hidden": widths[:-1], "classes": widths[-1]} if widths else None
