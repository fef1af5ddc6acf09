"""Reconstruction error of kernel PCA on normalised features."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._spectrum import check_ratio, components
from oodbench.scoring.fitting.statistics import in_blocks, scatter, unit


@dataclass
class KPCA(Detector):
    """−‖(φ − μ) − P (φ − μ)‖₂, φ a map of the features z / ‖z‖₂.

    P projects onto the principal components of φ that explain a share `ratio` of its
    variance over the training images; μ is its mean. With γ = 0, φ is z / ‖z‖₂ (CoP).
    With γ > 0 it is √(2/M) cos(Ω z / ‖z‖₂ + u), M random Fourier features of the kernel
    exp(−γ ‖a − b‖₂²) (CoRP).

    The defaults are the authors' for CoP on CIFAR. For ImageNet they take a ratio of
    .99; for CoRP a ratio of .8, γ = 2, M = 2048 on CIFAR, and .5, 3, 4096 on ImageNet.

    Fang et al., Kernel PCA for Out-of-Distribution Detection, NeurIPS 2024,
    arXiv 2402.02949.
    """

    needs = Need.FEATURES
    fitted_on = "train"

    ratio: float = 0.85
    """The share of variance that the components explain, in (0, 1]."""
    gamma: float = 0.0
    """γ of the Gaussian kernel; 0 for no kernel."""
    components_random: int = 2048
    """M, the number of random features if γ > 0."""
    seed: int = 0
    _turns: Tensor = field(init=False, repr=False)
    _shifts: Tensor = field(init=False, repr=False)
    _mean: Tensor = field(init=False, repr=False)
    _rest: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"gamma must be at least 0 and finite, got {self.gamma}")
        check_at_least(self, components_random=1)

    def fit(self, known: Known) -> None:
        """Finds the directions that the principal components leave out."""
        features, rng = known.features, np.random.default_rng(self.seed)
        size = features.shape[1], self.components_random if self.gamma else 0
        turns = rng.normal(0, math.sqrt(2 * self.gamma), size)
        shifts = rng.uniform(0, 2 * math.pi, size[1])
        self._turns, self._shifts = map(torch.from_numpy, (turns, shifts))
        sums = [self._map(block).sum(0) for _, block in in_blocks(features)]
        self._mean = torch.stack(sums).sum(0) / len(features)
        away = (self._map(block) - self._mean for _, block in in_blocks(features))
        total = scatter(away, len(self._mean))
        if not total.trace() > len(features) * 1e-24:
            raise ValueError("all training images have the same normalised features")
        values, vectors = torch.linalg.eigh(total / len(features))
        self._rest = vectors[:, : len(values) - components(values, self.ratio)]

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative reconstruction error, `[N]`, at most 0."""
        phi = self._map(batch.features.double())
        return -((phi - self._mean) @ self._rest).norm(dim=1)

    def _map(self, features: Tensor) -> Tensor:
        units = unit(features)
        if not self.gamma:
            return units
        phases = (units @ self._turns + self._shifts).cos()
        return math.sqrt(2 / self.components_random) * phases
