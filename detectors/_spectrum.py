"""How many principal components explain a share of the variance."""

import torch
from torch import Tensor


def check_ratio(ratio: float) -> None:
    """Raises ValueError for a share outside (0, 1]."""
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio must be above 0 and at most 1, got {ratio}")


def components(variances: Tensor, ratio: float) -> int:
    """Returns the smallest number of components with this share of the variance.

    Variances within the rounding of float64 count as 0.

    Args:
        variances: `[D]`, in ascending order; the last is positive.
        ratio: In (0, 1].
    """
    least = len(variances) * torch.finfo(torch.float64).eps * variances[-1]
    falling = variances[variances > least].flip(0)
    if ratio == 1:
        return len(falling)
    shares = falling.cumsum(0) / falling.sum()
    # The margin is for a share that is met exactly but for rounding.
    return min(int((shares < ratio - 1e-12).sum()) + 1, len(falling))
