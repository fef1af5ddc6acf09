"""The residual block of He et al., and stages of it.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
arXiv 1512.03385.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

PAD = "pad"
"""The shortcut without weights: option A of the paper."""
SHORTCUTS = ("shortcut", "downsample")
"""What codes call a shortcut with weights: option B."""


def shortcut_name(tensors: Mapping[str, Tensor]) -> str:
    """Returns what a state dict calls the shortcut of its second stage, or `PAD`."""
    names = (name for name in SHORTCUTS if f"layer2.0.{name}.0.weight" in tensors)
    return next(names, PAD)


class Residual(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1, around a shortcut; then ReLU.

    Args:
        entering: Channels of the input.
        leaving: Channels of the output.
        stride: Of the first 3x3 convolution.
        shortcut: What the module on the shortcut is called, or `PAD`.
        bottleneck: Whether the block has three convolutions.
    """

    def __init__(
        self,
        entering: int,
        leaving: int,
        *,
        stride: int,
        shortcut: str,
        bottleneck: bool = False,
    ) -> None:
        super().__init__()
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        inner = leaving // 4 if bottleneck else leaving
        widths = pairwise([entering, *[inner] * (len(kernels) - 1), leaving])
        strided = kernels.index(3)
        for number, (kernel, (before, after)) in enumerate(
            zip(kernels, widths, strict=True)
        ):
            step = stride if number == strided else 1
            conv = nn.Conv2d(before, after, kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{number + 1}", conv)
            self.add_module(f"bn{number + 1}", nn.BatchNorm2d(after))
        self.convolutions = len(kernels)
        self.stride, self.padding = stride, (leaving - entering) // 2
        self.projection = ""
        if shortcut != PAD and (stride != 1 or entering != leaving):
            self.projection = shortcut
            projection = nn.Conv2d(entering, leaving, 1, stride, bias=False)
            self.add_module(
                shortcut, nn.Sequential(projection, nn.BatchNorm2d(leaving))
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `[N, entering, H, W]` to `[N, leaving, H / stride, W / stride]`."""
        inner = maps
        for number in range(1, self.convolutions + 1):
            inner = self.get_submodule(f"conv{number}")(inner)
            inner = self.get_submodule(f"bn{number}")(inner)
            if number < self.convolutions:
                inner = F.relu(inner)
        return F.relu(inner + self._shortcut(maps))

    def _shortcut(self, maps: Tensor) -> Tensor:
        if self.projection:
            return self.get_submodule(self.projection)(maps)
        every = maps[:, :, :: self.stride, :: self.stride]
        return F.pad(every, (0, 0, 0, 0, self.padding, self.padding))


def stage(
    entering: int,
    leaving: int,
    blocks: int,
    *,
    stride: int,
    shortcut: str,
    bottleneck: bool = False,
) -> nn.Sequential:
    """Returns blocks of which the first has the stride and changes the channels."""
    return nn.Sequential(
        *(
            Residual(
                leaving if number else entering,
                leaving,
                stride=1 if number else stride,
                shortcut=shortcut,
                bottleneck=bottleneck,
            )
            for number in range(blocks)
        )
    )
