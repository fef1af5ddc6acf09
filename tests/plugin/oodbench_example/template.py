"""A network without training."""

import torch
from torch import Tensor, nn

from oodbench import Network, Shape


class Differences(nn.Module):
    """Tells level stripes from upright ones by the differences of neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images `[N, 1, H, W]` to logits `[N, 2]`."""
        down = images.diff(dim=2).abs().flatten(1).mean(1)
        right = images.diff(dim=3).abs().flatten(1).mean(1)
        return self.head(10 * torch.stack([down, right], 1))


def template() -> Network:
    """Tells level stripes from upright ones."""
    return Network(Differences(), Shape(1, 8, 8), "template")
