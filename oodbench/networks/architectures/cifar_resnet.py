"""The CIFAR ResNets of He et al.: 20, 32, 44, 56, 110 layers, widths 16, 32, 64.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
arXiv 1512.03385, section 4.2. Names as in akamaster/pytorch_resnet_cifar10 (`linear`)
and chenyaofo/pytorch-cifar-models (`downsample`, `fc`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from oodbench.base.errors import InputError
from oodbench.networks.architectures import Settings, Usual
from oodbench.networks.architectures._names import among, count, shape
from oodbench.networks.architectures._residual import PAD, shortcut_name, stage

_HEADS = ("linear", "fc")


class CifarResNet(nn.Module):
    """Images `[N, C, H, W]` to logits `[N, K]` by three stages and a mean.

    Args:
        classes: The number of logits.
        channels: Of the images.
        depth: 6n + 2 layers: 20, 32, 44, 56, 110, ….
        shortcut: `pad` without weights, or the name of the layer that has them.
        head: The name of the last layer.

    Raises:
        InputError: The depth is none of this family.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        depth: int = 20,
        shortcut: str = PAD,
        head: str = "linear",
    ) -> None:
        super().__init__()
        if depth % 6 != 2 or not 8 <= depth < 2000:
            raise InputError(
                f"There is no CIFAR ResNet-{depth}; the depth is 8, 14, 20, 26, …."
            )
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(16, 16, blocks, stride=1, shortcut=shortcut)
        self.layer2 = stage(16, 32, blocks, stride=2, shortcut=shortcut)
        self.layer3 = stage(32, 64, blocks, stride=2, shortcut=shortcut)
        self.add_module(head, nn.Linear(64, classes))
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images `[N, C, H, W]` to logits `[N, K]`."""
        maps = F.relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.get_submodule(self.head)(maps.mean((2, 3)))


NETWORK = CifarResNet


def recognise(
    tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> Settings | None:
    """Returns depth, kind of shortcut and sizes."""
    head = among(tensors, _HEADS)
    blocks = count(tensors, "layer1.{}.bn2.weight")
    match shape(tensors, "conv1.weight"), shape(tensors, f"{head}.weight"):
        case (16, channels, 3, 3), (classes, 64) if blocks:
            pass
        case _:
            return None
    return {
        "classes": classes,
        "channels": channels,
        "depth": 6 * blocks + 2,
        "shortcut": shortcut_name(tensors),
        "head": head,
    }


def usual(settings: Settings, keys: Collection[str]) -> Usual:
    """Returns the convention of the script that wrote the keys beside the weights."""
    other = "others of this shape are trained with imagenet"
    if settings["head"] == "fc":
        name = "cifar100" if settings["classes"] == 100 else "cifar10-kuangliu"
        reason = "the files of this kind do not say it"
    elif "best_prec1" in keys:
        name = "imagenet"
        reason = (
            "the file has the key best_prec1, as those of akamaster's script; others "
            "of this shape are trained with cifar10-kuangliu"
        )
    elif "acc" in keys:
        name = "cifar10-kuangliu"
        reason = f"the file has the key acc, as those of kuangliu's script; {other}"
    else:
        name = "cifar10-kuangliu"
        reason = f"the most frequent one; {other}"
    shortcuts = ("shortcuts that pad channels with zeros (option A)",)
    return Usual(
        title=f"ResNet-{settings['depth']} for CIFAR",
        normalisation=name,
        reason=reason,
        side=32,
        assumed=("ReLU", *(shortcuts if settings["shortcut"] == PAD else ())),
    )
