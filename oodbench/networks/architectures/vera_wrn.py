"""The Wide ResNet of VERA: a JEM whose last layer is the body's own `linear`.

Grathwohl, Kelly, Hashemi, Norouzi, Swersky and Duvenaud, "No MCMC for me: Amortized
sampling for fast and stable training of energy-based models", ICLR 2021, arXiv
2010.04230. Only the network without a norm is built.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._wide import sizes
from oodbench.networks.architectures.jem_wrn import WideResNet


class VERAWideResNet(WideResNet):
    """Images `[N, C, 32, 32]` in [-1, 1] to logits whose LogSumExp is log p(x).

    Args:
        classes: The number of logits.
        channels: Of the images.
        depth: 6n + 4 layers.
        width: The factor of 16, 32 and 64 channels.
    """

    def __init__(
        self, *, classes: int, channels: int = 3, depth: int = 28, width: int = 10
    ) -> None:
        super().__init__(
            depth=depth,
            width=width,
            channels=channels,
            stages=3,
            norm="none",
            activation="leaky_relu",
        )
        self.linear = nn.Linear(self.features, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps `[N, C, 32, 32]` in [-1, 1] to logits `[N, K]`."""
        return self.linear(super().forward(pixels))


NETWORK = VERAWideResNet


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns depth and width of a network without a norm."""
    if any(name.startswith("layer1.0.bn1.") for name in tensors):
        return None
    return sizes(
        tensors,
        block="layer1.{}.conv1.bias",
        stem="conv1.weight",
        head="linear.weight",
    )


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns the convention of all JEM code."""
    return Usual(
        title=f"VERA WRN-{settings['depth']}-{settings['width']}",
        normalisation="half",
        reason="that of all JEM code",
        side=32,
        assumed=("LeakyReLU of slope 0.2",),
    )
