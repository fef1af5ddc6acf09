"""Gaussians that each have a covariance of their own."""

import logging

import torch
from torch import Tensor

from oodbench.detectors._gaussian import Gaussians, gaussians
from oodbench.scoring.fitting.statistics import in_blocks, scatter

logger = logging.getLogger(__name__)

LIMIT = 4 * 2**30
"""Bytes of covariances that are kept at most."""


def scatter_about(features: Tensor, mean: Tensor) -> Tensor:
    """Returns the sum of (z − mean)(z − mean)ᵀ over features `[N, D]`, `[D, D]`."""
    return scatter((block - mean for _, block in in_blocks(features)), len(mean))


def regular(means: Tensor, covariance: Tensor, ridge: float) -> Gaussians:
    """Returns Gaussians with means `[C, D]` and covariance + ridge · identity.

    Raises:
        ValueError: That is singular.
    """
    size = len(covariance)
    identity = torch.eye(size, dtype=torch.float64)
    found = gaussians(means, covariance + ridge * identity)
    if (rank := len(found.root)) < size:
        raise ValueError(
            f"a covariance has rank {rank} of {size} with ridge {ridge}; "
            f"the ridge must be larger"
        )
    return found


def check_sizes(counts: Tensor, size: int) -> None:
    """Raises ValueError if a covariance per class takes too much memory.

    Args:
        counts: Images of each class.
        size: The number of features.
    """
    if (held := 8 * len(counts) * size**2) > LIMIT:
        raise ValueError(
            f"the covariances of {len(counts)} classes and {size} features take "
            f"{held / 2**30:.1f} GiB; use covariance=tied"
        )
    if small := int((counts <= size).sum()):
        logger.warning(
            "%d classes have at most as many images as features (%d); the ridge alone "
            "makes their covariances regular.",
            small,
            size,
        )
