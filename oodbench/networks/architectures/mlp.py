"""Small networks without a norm: for images of a few pixels such as the digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from oodbench.networks.architectures.activations import activation as new_activation


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
        activation: str = "leaky_relu",
    ) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for entering, leaving in pairwise([math.prod(inputs), *hidden]):
            layers += [nn.Linear(entering, leaving), new_activation(activation)]
        last = hidden[-1] if hidden else math.prod(inputs)
        super().__init__(*layers, nn.Linear(last, classes))


class CNN(nn.Sequential):
    """Images `[N, C, H, W]` to logits `[N, K]` by three convolutions and a mean.

    The second and third halve the sides and double the channels.

    Args:
        inputs: The shape `(C, H, W)` of one image.
        classes: How many logits.
        width: Channels of the first convolution.
        activation: A name of `ACTIVATIONS`.

    Raises:
        InputError: There is no such activation.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        *,
        classes: int,
        width: int = 32,
        activation: str = "leaky_relu",
    ) -> None:
        layers: list[nn.Module] = []
        widths = [inputs[0], width, 2 * width, 4 * width]
        for number, (entering, leaving) in enumerate(pairwise(widths)):
            stride = 1 if number == 0 else 2
            layers.append(nn.Conv2d(entering, leaving, 3, stride=stride, padding=1))
            layers.append(new_activation(activation))
        head = nn.Linear(widths[-1], classes)
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
