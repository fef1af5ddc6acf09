"""Lays tensors out in memory in the order that convolutions are faster in."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def takes_channels_last(module: nn.Module, images: Tensor) -> bool:
    """Lays a module out in the order that convolutions are faster in, if it bears it.

    A `view` behind a convolution does not.
    """
    few = images[:2].contiguous(memory_format=torch.channels_last)
    try:
        module.to(memory_format=torch.channels_last).eval()(few)
    except RuntimeError:
        module.to(memory_format=torch.contiguous_format)
        return False
    return True


def lay_out_alike(optimiser: torch.optim.Optimizer) -> None:
    """Lays moments out as their weights are: the fast path asks for it."""
    for weight, moments in optimiser.state.items():
        for name, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape:
                moments[name] = torch.empty_like(weight).copy_(moment)
