"""The part of the features outside their principal space, for ViM and Residual."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from oodbench import Detector, Known, Need
from oodbench.scoring.fitting import statistics


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
        away = features.double() - self.origin
        return (away @ self.basis).norm(dim=1)


@dataclass(frozen=True)
class Residuals:
    """A statistic: the space left by the `dim` principal directions about −W⁺b."""

    dim: int

    def __call__(self, known: Known) -> Space:
        """Returns the space.

        Raises:
            ValueError: No dimension is left, or the principal space is not unique.
        """
        images, mean, scatter = known.shared(statistics.moments)
        size = len(mean)
        dim = self.dim or (1000 if size >= 2048 else 512 if size >= 768 else size // 2)
        if dim >= size:
            raise ValueError(f"dim is {dim}, the features have {size} dimensions")
        head = known.head
        origin = torch.zeros(size, dtype=torch.float64)
        if head.bias is not None:
            weight, bias = head.weight.detach().cpu(), head.bias.detach().cpu()
            origin = -torch.linalg.pinv(weight.double()) @ bias.double()
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


@dataclass
class ResidualDetector(Detector):
    """Base of detectors that measure features outside their principal space."""

    needs = Need.FEATURES | Need.HEAD
    fitted_on = "train"

    dim: int = 0
    """Of the principal space; 0 for 1000 of 2048 or more features, 512 of 768 or more,
    else half of them."""
    _space: Space = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.dim < 0:
            raise ValueError(
                f"dim must be at least 1, or 0 for the rule, got {self.dim}"
            )

    def fit(self, known: Known) -> None:
        """Finds the directions outside the principal space."""
        self._space = known.shared(Residuals(self.dim))
