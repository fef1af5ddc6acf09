"""The Wide ResNet with SiLU of DeepMind's robust networks, as RobustBench names it.

Gowal, Qin, Uesato, Mann and Kohli, "Uncovering the Limits of Adversarial Training
against Norm-Bounded Adversarial Examples", arXiv 2010.03593. Names and padding as in
RobustBench/robustbench, `model_zoo/architectures/dm_wide_resnet.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._activations import activation as new_activation
from oodbench.networks.architectures._wide import blocks_of, sizes

EVEN = (0, 1, 0, 1)
"""Padding before a convolution of stride 2: none on the left and above."""


class Block(nn.Module):
    """Batch norm and activation before each convolution; the first has the stride."""

    def __init__(
        self, entering: int, leaving: int, stride: int, activation: str
    ) -> None:
        super().__init__()
        self.batchnorm_0 = nn.BatchNorm2d(entering)
        self.conv_0 = nn.Conv2d(entering, leaving, 3, stride, bias=False)
        self.batchnorm_1 = nn.BatchNorm2d(leaving)
        self.conv_1 = nn.Conv2d(leaving, leaving, 3, padding=1, bias=False)
        if entering != leaving:
            self.shortcut = nn.Conv2d(entering, leaving, 1, stride, bias=False)
        self.changes_width = entering != leaving
        self.padding = EVEN if stride == 2 else (1, 1, 1, 1)
        self.active = new_activation(activation)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, leaving, H / stride, W / stride]`."""
        first = self.active(self.batchnorm_0(maps))
        inner = self.conv_0(F.pad(first, self.padding))
        inner = self.conv_1(self.active(self.batchnorm_1(inner)))
        return inner + (self.shortcut(first) if self.changes_width else maps)


class Stage(nn.Module):
    """Blocks under the name `block`."""

    def __init__(
        self, entering: int, leaving: int, blocks: int, stride: int, activation: str
    ) -> None:
        super().__init__()
        first = Block(entering, leaving, stride, activation)
        others = (Block(leaving, leaving, 1, activation) for _ in range(blocks - 1))
        self.block = nn.Sequential(first, *others)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, leaving, H / stride, W / stride]`."""
        return self.block(maps)


class DMWideResNet(nn.Module):
    """Images `[N, C, H, W]` to logits `[N, K]` by three stages and a mean.

    Args:
        classes: The number of logits.
        channels: Of the images.
        depth: 6n + 4 layers: 28, 34, 70, 106, ….
        width: The factor of 16, 32 and 64 channels.
        activation: silu, relu, quick_gelu or leaky_relu.
        normalises: Whether the network has a mean and a deviation of its own.

    Raises:
        InputError: Depth or width are none of this family.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        depth: int = 28,
        width: int = 10,
        activation: str = "silu",
        normalises: bool = False,
    ) -> None:
        super().__init__()
        if normalises:
            self.register_buffer("mean", torch.zeros(channels, 1, 1))
            self.register_buffer("std", torch.ones(channels, 1, 1))
        self.normalises = normalises
        blocks, leaving = blocks_of(depth, width), 64 * width
        self.init_conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.layer = nn.Sequential(
            Stage(16, leaving // 4, blocks, 1, activation),
            Stage(leaving // 4, leaving // 2, blocks, 2, activation),
            Stage(leaving // 2, leaving, blocks, 2, activation),
        )
        self.batchnorm = nn.BatchNorm2d(leaving)
        self.active = new_activation(activation)
        self.logits = nn.Linear(leaving, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images `[N, C, H, W]`, H and W even, to logits `[N, K]`."""
        if self.normalises:
            images = (images - self.mean) / self.std
        maps = self.batchnorm(self.layer(self.init_conv(images)))
        return self.logits(self.active(maps).mean((2, 3)))


NETWORK = DMWideResNet


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns depth, width and sizes."""
    found = sizes(
        tensors,
        block="layer.0.block.{}.conv_0.weight",
        stem="init_conv.weight",
        head="logits.weight",
    )
    return found and {
        **found,
        "activation": given.get("activation", "silu"),
        "normalises": {"mean", "std"} <= tensors.keys(),
    }


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns RobustBench's convention."""
    if settings["normalises"]:
        name, reason = "none", "mean and deviation are in the file"
    else:
        name = "cifar100" if settings["classes"] == 100 else "cifar10"
        reason = "about RobustBench's, since mean and deviation are not in the file"
    return Usual(
        title=f"WRN-{settings['depth']}-{settings['width']} of DeepMind",
        normalisation=name,
        reason=reason,
        side=32,
        assumed=("SiLU; --arg activation=relu for ReLU",)
        if settings["activation"] == "silu"
        else (settings["activation"],),
    )
