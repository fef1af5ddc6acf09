"""DenseNet-BC for CIFAR, of which ODIN, DICE and LINe report.

Huang, Liu, van der Maaten and Weinberger, "Densely Connected Convolutional Networks",
CVPR 2017, arXiv 1608.06993. Names as in andreasveit/densenet-pytorch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oodbench.base.errors import InputError
from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._names import count, shape


class Layer(nn.Module):
    """A 1x1 convolution to 4 growths and a 3x3 one to `growth` new channels."""

    def __init__(self, entering: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(entering)
        self.conv1 = nn.Conv2d(entering, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, entering + growth, H, W]`."""
        inner = self.conv1(F.relu(self.bn1(maps)))
        return torch.cat([maps, self.conv2(F.relu(self.bn2(inner)))], 1)


class Dense(nn.Module):
    """Layers under the name `layer`."""

    def __init__(self, entering: int, growth: int, layers: int) -> None:
        super().__init__()
        widths = (entering + number * growth for number in range(layers))
        self.layer = nn.Sequential(*(Layer(width, growth) for width in widths))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, entering + layers * growth, H, W]`."""
        return self.layer(maps)


class Transition(nn.Module):
    """Halves the channels, and both sides by mean."""

    def __init__(self, entering: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(entering)
        self.conv1 = nn.Conv2d(entering, entering // 2, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, entering / 2, H / 2, W / 2]`."""
        return F.avg_pool2d(self.conv1(F.relu(self.bn1(maps))), 2)


class Body(nn.Module):
    """Normalised images `[N, C, H, W]` to `width` features.

    Raises:
        InputError: Depth or growth are none of this family.
    """

    def __init__(self, channels: int, depth: int, growth: int) -> None:
        super().__init__()
        if depth % 6 != 4 or not 10 <= depth < 1000 or growth < 1:
            raise InputError(
                f"There is no DenseNet-BC of depth {depth} and growth {growth}; the "
                "depth is 10, 16, …, 100 and the growth at least 1."
            )
        layers, width = (depth - 4) // 6, 2 * growth
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        for number in (1, 2, 3):
            self.add_module(f"block{number}", Dense(width, growth, layers))
            width += layers * growth
            if number < 3:
                self.add_module(f"trans{number}", Transition(width))
                width //= 2
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()  # a module, whose map has the features as its mean
        self.width = width

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, H, W]` to `[N, width]`."""
        maps = self.conv1(images)
        for name in ("block1", "trans1", "block2", "trans2", "block3"):
            maps = self.get_submodule(name)(maps)
        return self.relu(self.bn1(maps)).mean((2, 3))


class DenseNetBC(Body):
    """Images `[N, C, H, W]` to logits `[N, K]`.

    Args:
        classes: The number of logits.
        channels: Of the images.
        depth: 6n + 4 layers; 100 in most papers.
        growth: New channels per layer; 12 in most papers.

    Raises:
        InputError: Depth or growth are none of this family.
    """

    def __init__(
        self, *, classes: int, channels: int = 3, depth: int = 100, growth: int = 12
    ) -> None:
        super().__init__(channels, depth, growth)
        self.fc = nn.Linear(self.width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, H, W]` to logits `[N, K]`."""
        return self.fc(super().forward(images))


NETWORK = DenseNetBC


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns depth, growth and sizes."""
    layers = count(tensors, "block1.layer.{}.conv2.weight")
    match shape(tensors, "conv1.weight"), shape(tensors, "fc.weight"):
        case (stem, channels, 3, 3), (classes, _) if layers:
            pass
        case _:
            return None
    if "trans1.conv1.weight" not in tensors:
        return None
    return {
        "classes": classes,
        "channels": channels,
        "depth": 6 * layers + 4,
        "growth": stem // 2,
    }


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns the convention of DICE's authors."""
    return Usual(
        title=f"DenseNet-BC of depth {settings['depth']}, growth {settings['growth']}",
        normalisation="cifar10-kuangliu",
        reason="that of DICE's evaluation script for both CIFAR sets",
        side=32,
        assumed=("ReLU",),
    )
