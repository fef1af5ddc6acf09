"""The part of the training images that a detector keeps to compare with."""

import numpy as np
import torch
from torch import Tensor

CHUNK = 64
"""Images that are compared with a bank at once."""
SPARE = 8
"""Further candidates that are compared again in float64."""


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


def mean_of_largest(rows: Tensor, bank: Tensor, k: int, weights: Tensor) -> Tensor:
    """Returns the mean of the k largest weighted cosines with a bank, `[N]`, float64.

    Args:
        rows: `[N, D]`, of length 1.
        bank: `[M, D]`, of length 1, on the same device.
        k: At most M.
        weights: `[M]`, float64, the factor of each cosine.
    """
    found = [_mean_of_largest(one, bank, k, weights) for one in rows.split(CHUNK)]
    return torch.cat(found)


def _mean_of_largest(rows: Tensor, bank: Tensor, k: int, weights: Tensor) -> Tensor:
    weighted = (rows.to(bank.dtype) @ bank.T) * weights.to(bank.dtype)
    places = weighted.topk(min(k + SPARE, len(bank))).indices
    candidates = bank[places].double()
    cosines = torch.einsum("nd,nkd->nk", rows.double(), candidates)
    return (cosines * weights[places]).topk(k).values.mean(1)


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
