"""The networks of the ccexam package (1.0.0) for grey digits: MNIST and USPS."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._names import shape

CHANNELS, HIDDEN = 64, 128


class DigitCNN(nn.Module):
    """Images `[N, C, side, side]` to logits `[N, K]`.

    Args:
        classes: The number of logits.
        channels: Of the images.
        side: Height and width of the images, divisible by 4.
        regularised: Whether it has batch norm, and dropout in training: as for USPS.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 1,
        side: int = 28,
        regularised: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for entering, leaving in ((channels, 32), (32, CHANNELS)):
            norm = [nn.BatchNorm2d(leaving)] if regularised else []
            convolution = nn.Conv2d(entering, leaving, 3, padding=1)
            layers += [convolution, *norm, nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        head: list[nn.Module] = []
        for entering, leaving in (
            (CHANNELS * (side // 4) ** 2, HIDDEN),
            (HIDDEN, classes),
        ):
            dropout = [nn.Dropout(0.3)] if regularised else []
            head += [*dropout, nn.Linear(entering, leaving), nn.ReLU()]
        self.classifier = nn.Sequential(*head[:-1])

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, side, side]` to logits `[N, K]`."""
        return self.classifier(self.features(images).flatten(1))


NETWORK = DigitCNN


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns size and kind."""
    for regularised, names in (
        (False, ("features.0", "features.3", "classifier.0", "classifier.2")),
        (True, ("features.0", "features.4", "classifier.1", "classifier.4")),
    ):
        match [shape(tensors, f"{name}.weight") for name in names]:
            case [(32, channels, 3, 3), (64, 32, 3, 3), (128, columns), (classes, 128)]:
                side = 4 * math.isqrt(columns // CHANNELS)
                if side and columns == CHANNELS * (side // 4) ** 2:
                    return {
                        "classes": classes,
                        "channels": channels,
                        "side": side,
                        "regularised": regularised,
                    }
    return None


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns the convention of the package."""
    name = "usps" if settings["regularised"] else "mnist"
    return Usual(
        title=f"the {name.upper()} network of ccexam",
        normalisation=name,
        reason="that of the ccexam package",
        side=settings["side"],
        assumed=("ReLU",),
    )
