"""The part of the features outside their principal space, for ViM and Residual."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench import Known
from oodbench.scoring import statistics


class Space(NamedTuple):
    """What is left of the feature space outside the principal space."""

    origin: Tensor
    """`[D]`, u = −W⁺b."""
    basis: Tensor
    """`[D, D − dim]`, orthonormal."""
    rank: int
    """The dimensions that the training features span, about the origin."""
    dim: int
    """Of the principal space."""

    def residuals(self, features: Tensor) -> Tensor:
        """Returns the length of each feature's part in this space, `[N]`, float64."""
        away = features.double() - self.origin.to(features.device)
        return (away @ self.basis.to(features.device)).norm(dim=1)


def check_dim(dim: int) -> None:
    """Raises ValueError for a negative number of dimensions."""
    if dim < 0:
        raise ValueError(f"dim must be at least 1, or 0 for the rule, got {dim}")


@dataclass(frozen=True)
class Residuals:
    """A statistic: the space left by the `dim` principal directions about −W⁺b."""

    dim: int

    def __call__(self, known: Known) -> Space:
        """Returns the space.

        Raises:
            ValueError: No dimension is left, or the principal space is not unique.
        """
        size = known.features.shape[1]
        dim = self.dim or (1000 if size >= 2048 else 512 if size >= 768 else size // 2)
        if dim >= size:
            raise ValueError(f"dim is {dim}, the features have {size} dimensions")
        head = known.head
        origin = torch.zeros(size, dtype=torch.float64)
        if head.bias is not None:
            weight, bias = head.weight.detach().cpu(), head.bias.detach().cpu()
            origin = -torch.linalg.pinv(weight.double()) @ bias.double()
        images, mean, scatter = known.shared(statistics.moments)
        away = mean - origin
        second = scatter / images + torch.outer(away, away)
        values, vectors = torch.linalg.eigh((second + second.T) / 2)
        least = size * torch.finfo(torch.float64).eps * values[-1]
        rank = int((values > least).sum())
        if rank < dim:
            raise ValueError(
                f"dim is {dim}, the training features span {rank} dimensions"
            )
        return Space(origin, vectors[:, : size - dim], rank, dim)
