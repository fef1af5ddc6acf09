"""Where chains start: uniform noise, or a Gaussian of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

ANY = -1
"""The label of a chain that belongs to no class."""
RIDGE = 1e-4
"""Added to the variances, so that every covariance has an inverse."""


class Start(Protocol):
    """Draws first states of chains."""

    def __call__(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Returns one state per label, `[N, …]` in [-1, 1].

        Args:
            labels: `[N]`, the classes of the chains, or `ANY`.
            generator: On the device of the labels.
        """


@dataclass(frozen=True)
class Uniform:
    """U(-1, 1) noise, whatever the class."""

    shape: tuple[int, ...]

    def __call__(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Returns one state per label, `[N, *shape]`."""
        states = torch.empty(len(labels), *self.shape, device=labels.device)
        return states.uniform_(-1, 1, generator=generator)


class ClassGaussians:
    """The Gaussian of each class's training images, clamped to [-1, 1].

    The informative initialisation of Yang and Ji, JEM++: Improved Techniques for
    Training JEM, ICCV 2021, arXiv 2109.09032: mean and full covariance of each class,
    plus 1e-4 on the diagonal, as in its code. Memory grows with the square of the
    number of pixels, 38 MB per class for 32x32x3.

    Args:
        images: `[N, …]` in [-1, 1].
        labels: `[N]`; each class from 0 to the largest has images.
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.shape = tuple(images.shape[1:])
        moments = [
            _moments(images[labels == label]) for label in range(int(labels.max()) + 1)
        ]
        self.means, self.factors = (
            torch.stack(each).to(torch.float32) for each in zip(*moments, strict=True)
        )
        counts = labels.bincount().double()
        self.shares = counts / counts.sum()

    def __call__(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Returns one state per label, `[N, *shape]`; `ANY` is a class by its share."""
        drawn = torch.multinomial(self.shares, len(labels), True, generator=generator)
        labels = torch.where(labels == ANY, drawn, labels)
        noise = torch.empty(len(labels), self.means.shape[1], device=labels.device)
        noise.normal_(generator=generator)
        states = self.means[labels]
        for label in labels.unique().tolist():
            own = labels == label
            states[own] += noise[own] @ self.factors[label].T
        return states.clamp(-1, 1).view(-1, *self.shape)


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the mean `[D]` and the lower factor `[D, D]` of the covariance."""
    rows = images.flatten(1).double()
    mean = rows.mean(0)
    centred = rows - mean
    covariance = centred.T @ centred / len(rows)
    covariance.diagonal().add_(RIDGE)
    return mean, torch.linalg.cholesky(covariance)
