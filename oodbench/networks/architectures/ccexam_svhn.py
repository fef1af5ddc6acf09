"""The network of the ccexam package (1.0.0) for SVHN."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._names import shape

WIDTHS, HIDDEN = (32, 64, 128), 256


class SVHNCNN(nn.Module):
    """Images `[N, C, side, side]` to logits `[N, K]` by three pairs of convolutions.

    Args:
        classes: The number of logits.
        channels: Of the images.
        side: Height and width of the images, divisible by 8.
    """

    def __init__(self, *, classes: int, channels: int = 3, side: int = 32) -> None:
        super().__init__()
        entering = (channels, *WIDTHS[:-1])
        self.features = nn.Sequential(*map(_block, entering, WIDTHS))
        self.classifier = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(WIDTHS[-1] * (side // 8) ** 2, HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(HIDDEN, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, side, side]` to logits `[N, K]`."""
        return self.classifier(self.features(images).flatten(1))


def _block(entering: int, leaving: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(entering, leaving, 3, padding=1),
        nn.BatchNorm2d(leaving),
        nn.ReLU(),
        nn.Conv2d(leaving, leaving, 3, padding=1),
        nn.BatchNorm2d(leaving),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


NETWORK = SVHNCNN


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns the sizes."""
    names = ("features.0.0", "features.2.3", "classifier.1", "classifier.4")
    match [shape(tensors, f"{name}.weight") for name in names]:
        case [(32, channels, 3, 3), (128, 128, 3, 3), (256, columns), (classes, 256)]:
            side = 8 * math.isqrt(columns // WIDTHS[-1])
            if side and columns == WIDTHS[-1] * (side // 8) ** 2:
                return {"classes": classes, "channels": channels, "side": side}
    return None


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns the convention of the package."""
    return Usual(
        title="the SVHN network of ccexam",
        normalisation="svhn",
        reason="that of the ccexam package",
        side=settings["side"],
        assumed=("ReLU",),
    )
