"""The MNIST network of Outlier Exposure.

Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure",
ICLR 2019, arXiv 1812.04606.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._activations import activation as new_activation
from oodbench.networks.architectures._names import shape


class ConvNet(nn.Module):
    """Grey images `[N, C, 28, 28]` to logits `[N, K]`.

    Args:
        classes: The number of logits.
        channels: Of the images.
        activation: A name of `ACTIVATIONS`.

    Raises:
        InputError: There is no such activation.
    """

    def __init__(
        self, *, classes: int, channels: int = 1, activation: str = "quick_gelu"
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, classes)
        self.activate = new_activation(activation)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images `[N, C, 28, 28]` to logits `[N, K]`."""
        maps = self.activate(F.max_pool2d(self.conv1(images), 2))
        maps = self.activate(F.max_pool2d(self.conv2(maps), 2))
        return self.fc2(self.activate(self.fc1(maps.flatten(1))))


NETWORK = ConvNet


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns the sizes; the activation leaves no trace in a file."""
    names = [f"{name}.weight" for name in ("conv1", "conv2", "fc1", "fc2")]
    match [shape(tensors, name) for name in names]:
        case [(10, channels, 5, 5), (20, 10, 5, 5), (50, 320), (classes, 50)]:
            activation = given.get("activation", "quick_gelu")
            return {"classes": classes, "channels": channels, "activation": activation}
    return None


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns Outlier Exposure's convention; PyTorch's example has the same shapes."""
    activation = settings["activation"]
    other = "relu" if activation == "quick_gelu" else "quick_gelu"
    example = "PyTorch's old MNIST example has these shapes with relu and mnist"
    return Usual(
        title="the MNIST ConvNet of Outlier Exposure",
        normalisation="none",
        reason=f"that of Outlier Exposure's code; {example}",
        side=28,
        assumed=(
            f"activation {activation} (another: --arch oe_convnet --arg "
            f"activation={other})",
        ),
    )
