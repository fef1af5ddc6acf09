"""The Wide ResNet with batch norm, as most codes for CIFAR write it.

Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016, arXiv 1605.07146. Names as
in xternalz/WideResNet-pytorch, Outlier Exposure, Energy OOD, TRADES and RobustBench.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._wide import blocks_of, sizes

UNUSED = ("sub_block1.",)
"""A stage that TRADES builds, saves and never uses."""


class PreActivation(nn.Module):
    """Batch norm and ReLU before each convolution; the first has the stride."""

    def __init__(self, entering: int, leaving: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(entering)
        self.conv1 = nn.Conv2d(entering, leaving, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(leaving)
        self.conv2 = nn.Conv2d(leaving, leaving, 3, 1, 1, bias=False)
        if entering != leaving:
            self.convShortcut = nn.Conv2d(entering, leaving, 1, stride, bias=False)
        self.changes_width = entering != leaving

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, leaving, H / stride, W / stride]`."""
        active = F.relu(self.bn1(maps))
        inner = self.conv2(F.relu(self.bn2(self.conv1(active))))
        return inner + (self.convShortcut(active) if self.changes_width else maps)


class Stage(nn.Module):
    """Blocks under the name `layer`."""

    def __init__(self, entering: int, leaving: int, blocks: int, stride: int) -> None:
        super().__init__()
        first = PreActivation(entering, leaving, stride)
        others = (PreActivation(leaving, leaving, 1) for _ in range(blocks - 1))
        self.layer = nn.Sequential(first, *others)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, leaving, H / stride, W / stride]`."""
        return self.layer(maps)


class WideResNet(nn.Module):
    """Images `[N, C, H, W]` to logits `[N, K]` by three stages and a mean.

    Args:
        classes: The number of logits.
        channels: Of the images.
        depth: 6n + 4 layers: 16, 28, 34, 40, ….
        width: The factor of 16, 32 and 64 channels.
        bias: Whether the last layer has one.

    Raises:
        InputError: Depth or width are none of this family.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        depth: int = 40,
        width: int = 2,
        bias: bool = True,
    ) -> None:
        super().__init__()
        blocks = blocks_of(depth, width)
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.block1 = Stage(16, 16 * width, blocks, stride=1)
        self.block2 = Stage(16 * width, 32 * width, blocks, stride=2)
        self.block3 = Stage(32 * width, 64 * width, blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.relu = nn.ReLU()  # a module, whose map has the features as its mean
        self.fc = nn.Linear(64 * width, classes, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, H, W]` to logits `[N, K]`."""
        maps = self.block3(self.block2(self.block1(self.conv1(images))))
        return self.fc(self.relu(self.bn1(maps)).mean((2, 3)))


NETWORK = WideResNet


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns depth, width and sizes."""
    found = sizes(
        tensors,
        block="block1.layer.{}.conv2.weight",
        stem="conv1.weight",
        head="fc.weight",
    )
    return found and {**found, "bias": "fc.bias" in tensors}


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns Outlier Exposure's convention, or that of robust training."""
    name, reason = "cifar10", "that of Outlier Exposure's code for both CIFAR sets"
    if not settings["bias"]:
        name, reason = "none", "the last layer has no bias, as in robust networks"
    return Usual(
        title=f"WRN-{settings['depth']}-{settings['width']}",
        normalisation=name,
        reason=f"{reason}; TRADES and most of RobustBench take none, others "
        "cifar10-kuangliu",
        side=32,
        assumed=("ReLU",),
    )
