"""ResNets of 64 channels with a 3x3 stem, for small images.

Three codes name and pool them differently: OpenOOD's ResNet18_32x32 (`shortcut`, `fc`),
kuangliu/pytorch-cifar (`shortcut`, `linear`) and huyvnphan/PyTorch_CIFAR10
(`downsample`, `fc`, and the max-pooling of the ImageNet network). The blocks are those
of He et al., CVPR 2016, arXiv 1512.03385.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._names import among, count, shape
from oodbench.networks.architectures._residual import PAD, shortcut_name, stage

_HEADS = ("linear", "fc")
_DEPTHS = {
    (False, (2, 2, 2, 2)): "18",
    (False, (3, 4, 6, 3)): "34",
    (True, (3, 4, 6, 3)): "50",
    (True, (3, 4, 23, 3)): "101",
    (True, (3, 8, 36, 3)): "152",
}


class SmallResNet(nn.Module):
    """Images `[N, C, H, W]` to logits `[N, K]` by four stages and a mean.

    Args:
        classes: The number of logits.
        channels: Of the images.
        blocks: How many each stage has; 2, 2, 2, 2 is ResNet-18.
        bottleneck: Whether a block has three convolutions, as in ResNet-50.
        shortcut: The name of the layer on the shortcut.
        head: The name of the last layer.
        maxpool: Whether 3x3 max-pooling with stride 2 follows the stem.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        blocks: Sequence[int] = (2, 2, 2, 2),
        bottleneck: bool = False,
        shortcut: str = "shortcut",
        head: str = "fc",
        maxpool: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if maxpool else nn.Identity()
        entering, self.stages = 64, len(blocks)
        for number, several in enumerate(blocks):
            leaving = 64 * 2**number * (4 if bottleneck else 1)
            made = stage(
                entering,
                leaving,
                several,
                stride=2 if number else 1,
                shortcut=shortcut,
                bottleneck=bottleneck,
            )
            self.add_module(f"layer{number + 1}", made)
            entering = leaving
        self.add_module(head, nn.Linear(entering, classes))
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, H, W]` to logits `[N, K]`."""
        maps = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        for number in range(1, self.stages + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
        return self.get_submodule(self.head)(maps.mean((2, 3)))


NETWORK = SmallResNet


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns the kind of blocks, the names that differ, and the max-pooling."""
    head = among(tensors, _HEADS)
    blocks = [count(tensors, f"layer{n}.{{}}.bn2.weight") for n in range(1, 5)]
    shortcut = shortcut_name(tensors)
    match shape(tensors, "conv1.weight"), shape(tensors, f"{head}.weight"):
        case (64, channels, 3, 3), (classes, _) if all(blocks) and shortcut != PAD:
            pass
        case _:
            return None
    return {
        "classes": classes,
        "channels": channels,
        "blocks": blocks,
        "bottleneck": "layer1.0.conv3.weight" in tensors,
        "shortcut": shortcut,
        "head": head,
        "maxpool": given.get("maxpool", shortcut == "downsample"),
    }


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns the convention of the code whose names the weights have."""
    kind = settings["bottleneck"], tuple(settings["blocks"])
    own = "cifar100" if settings["classes"] == 100 else "cifar10"
    if settings["shortcut"] == "downsample":
        code, name, reason = "huyvnphan's", own, "that of huyvnphan's code"
    elif settings["head"] == "linear":
        code, name = "kuangliu's", "cifar10-kuangliu"
        reason = "that of kuangliu's script; OpenOOD calls the head fc"
    else:
        code, name, reason = "OpenOOD's", own, "OpenOOD's for this number of classes"
    is_pooled = settings["maxpool"]
    return Usual(
        title=f"{code} ResNet-{_DEPTHS.get(kind, '?')} with a 3x3 stem",
        normalisation=name,
        reason=reason,
        side=32,
        assumed=(
            "ReLU",
            f"{'' if is_pooled else 'no '}max-pooling after the stem (otherwise: "
            f"--arch small_resnet --arg maxpool={not is_pooled})",
        ),
    )
