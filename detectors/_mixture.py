"""Mixtures of Gaussians with one covariance, fitted without labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

from oodbench.detectors._gaussian import Gaussians, gaussians


class Mixture(NamedTuple):
    """A mixture of Gaussians of the principal components of rows."""

    axes: Tensor
    """`[size, D]`, the principal components."""
    centre: Tensor
    """`[D]`, the mean of the rows."""
    parts: Gaussians
    logs: Tensor
    """`[components]`, log π_k."""

    def log_density(self, rows: Tensor) -> Tensor:
        """Returns the log density of rows `[N, D]` up to a constant, `[N]`."""
        inner = (rows.double() - self.centre) @ self.axes.T
        return (self.logs - self.parts.squared(inner) / 2).logsumexp(1)


def mixture(rows: Tensor, components: int, size: int, seed: int) -> Mixture:
    """Returns the mixture that EM finds, its covariance plus 1e-6 times the identity.

    Args:
        rows: `[N, D]`.
        components: Of the mixture.
        size: Principal components to keep at most.
        seed: Of the first components.

    Raises:
        ValueError: There are fewer rows than components.
    """
    if len(rows) < components:
        raise ValueError(f"{len(rows)} images are too few for {components} components")
    kept = min(size, *rows.shape)
    pca = PCA(kept, svd_solver="covariance_eigh")
    inner = pca.fit_transform(rows.double().numpy())
    found = GaussianMixture(
        components, covariance_type="tied", max_iter=1000, random_state=seed
    ).fit(inner)
    means, covariance, shares, axes, centre = map(
        torch.from_numpy,
        (found.means_, found.covariances_, found.weights_, pca.components_, pca.mean_),
    )
    return Mixture(axes, centre, gaussians(means, covariance), shares.log())
