"""The part of the training images that a detector keeps to compare with."""

import numpy as np
import torch
from torch import Tensor


def check_share(share: float, seed: int) -> None:
    """Raises ValueError if the share or its seed is impossible."""
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")


def check_k(k: int, bank: Tensor) -> None:
    """Raises ValueError if the bank has fewer images than k."""
    if k > len(bank):
        raise ValueError(f"k is {k}, the training images in the bank {len(bank)}")


def part(rows: Tensor, share: float, seed: int, most: int | None = None) -> Tensor:
    """Returns a random share of the rows, in their order, at least one.

    The draw depends on the seed and on the number of rows alone, so that tensors of
    equal length keep the same rows. If all are kept, they are not copied.

    Args:
        rows: `[N, …]`, at least one.
        share: Of the rows, above 0 and at most 1.
        seed: Of the draw; the global random numbers stay as they are.
        most: The largest number of rows to keep.

    Raises:
        ValueError: There are no rows.
    """
    if not len(rows):
        raise ValueError("there are no training images")
    count = max(1, round(share * len(rows)))
    if most is not None:
        count = min(count, most)
    if count == len(rows):
        return rows
    rng = np.random.default_rng(seed)
    places = rng.choice(len(rows), count, replace=False)
    return rows[torch.from_numpy(np.sort(places)).to(rows.device)]
