"""Where directions divide features into two parts of equal length."""

import torch
from torch import Tensor

from oodbench.scoring.fitting.statistics import in_blocks


def middle(features: Tensor, basis: Tensor) -> int:
    """Returns the c for which the mean lengths of both parts differ least.

    One part lies along the first c directions, the other one along the rest.

    Args:
        features: `[N, D]`.
        basis: `[D, D]`, orthonormal rows.
    """
    gaps = torch.zeros(len(basis), dtype=torch.float64)
    for _, block in in_blocks(features):
        squares = (block @ basis.T).square()
        first = (squares.cumsum(1) - squares).clamp(min=0).sqrt()
        rest = squares.flip(1).cumsum(1).flip(1).sqrt()
        gaps += (first - rest).sum(0)
    return int(gaps.abs().argmin())
