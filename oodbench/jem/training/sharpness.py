"""Sharpness-aware minimisation (SAM): gradients at the worst weights nearby.

Foret, Kleiner, Mobahi and Neyshabur, Sharpness-Aware Minimization for Efficiently
Improving Generalization, ICLR 2021, arXiv 2010.01412. The adaptive form is that of
Kwon, Kim, Park and Choi, ASAM, ICML 2021, arXiv 2102.11600. JEMs are trained so by
Yang, Su and Ji, Towards Bridging the Performance Gaps of Joint Energy-Based Models,
CVPR 2023, arXiv 2209.07959.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

TINY = 1e-12


@contextmanager
def at_worst(module: nn.Module, radius: float, *, adaptive: bool) -> Iterator[None]:
    """Moves the weights w to where the loss rises fastest, and back at the end.

    The move is ρ g / ‖g‖, or ρ w² g / ‖w g‖ if it is adaptive, for the gradients g that
    the weights have. Buffers, such as running means, are put back, too.

    Args:
        module: After a backward pass.
        radius: ρ.
        adaptive: Whether large weights move further.
    """
    moved = [one for one in module.parameters() if one.grad is not None]
    kept = [one.detach().clone() for one in (*moved, *module.buffers())]
    _climb(moved, radius, adaptive)
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, old in zip((*moved, *module.buffers()), kept, strict=True):
                tensor.copy_(old)


@torch.no_grad()
def _climb(weights: list[nn.Parameter], radius: float, adaptive: bool) -> None:
    scales: list[Tensor | float] = [one.abs() if adaptive else 1.0 for one in weights]
    scaled = [
        scale * one.grad
        for scale, one in zip(scales, weights, strict=True)
        if one.grad is not None
    ]
    norm = torch.stack([one.norm() for one in scaled]).norm() + TINY
    for weight, scale, slope in zip(weights, scales, scaled, strict=True):
        weight.add_(radius * scale * slope / norm)
