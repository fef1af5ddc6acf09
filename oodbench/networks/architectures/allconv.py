"""The all-convolutional network of Outlier Exposure.

Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure",
ICLR 2019, arXiv 1812.04606; after Springenberg et al., "Striving for Simplicity: The
All Convolutional Net", ICLR 2015 workshop, arXiv 1412.6806.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._activations import activation as new_activation
from oodbench.networks.architectures._names import shape


class AllConv(nn.Module):
    """Images `[N, C, H, W]` to logits `[N, K]` by nine convolutions and one linear.

    Args:
        classes: The number of logits.
        channels: Of the images.
        activation: A name of `ACTIVATIONS`.

    Raises:
        InputError: There is no such activation.
    """

    def __init__(
        self, *, classes: int, channels: int = 3, activation: str = "quick_gelu"
    ) -> None:
        super().__init__()

        def convolution(
            entering: int, leaving: int, kernel: int, padding: int
        ) -> list[nn.Module]:
            return [
                nn.Conv2d(entering, leaving, kernel, padding=padding),
                nn.BatchNorm2d(leaving),
                new_activation(activation),
            ]

        halving = [nn.MaxPool2d(2), nn.Dropout(0.5)]
        self.features = nn.Sequential(
            *convolution(channels, 96, 3, 1),
            *convolution(96, 96, 3, 1),
            *convolution(96, 96, 3, 1),
            *halving,
            *convolution(96, 192, 3, 1),
            *convolution(192, 192, 3, 1),
            *convolution(192, 192, 3, 1),
            *halving,
            *convolution(192, 192, 3, 0),
            # As its authors have it: the map grows by a border at each 1x1 convolution.
            *convolution(192, 192, 1, 1),
            *convolution(192, 192, 1, 1),
            nn.AvgPool2d(8),
        )
        self.classifier = nn.Linear(192, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, H, W]` to logits `[N, K]`."""
        return self.classifier(self.features(images).flatten(1))


NETWORK = AllConv


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns the sizes; the activation leaves no trace in a file."""
    names = ("features.0.weight", "features.28.weight", "classifier.weight")
    match [shape(tensors, name) for name in names]:
        case [(96, channels, 3, 3), (192, 192, 1, 1), (classes, 192)]:
            activation = given.get("activation", "quick_gelu")
            return {"classes": classes, "channels": channels, "activation": activation}
    return None


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns Outlier Exposure's convention."""
    return Usual(
        title="the AllConv network of Outlier Exposure",
        normalisation="cifar10",
        reason="that of Outlier Exposure's code for both CIFAR sets",
        side=32,
        assumed=(f"activation {settings['activation']}",),
    )
