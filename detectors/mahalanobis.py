"""Mahalanobis distance to the nearest class mean."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._gaussian import Classes, Gaussians, check_cutoff


@dataclass
class Mahalanobis(Detector):
    """−min_k (z − μ_k)ᵀ Σ⁺ (z − μ_k), with features z.

    Each class is a Gaussian with its own mean μ_k and the common covariance Σ within
    the classes, divided by the number of images. Classes without training images are
    left out. Where Σ is singular, its pseudo-inverse ignores the directions outside its
    span.

    The paper's code and OpenOOD invert in float32, which drops the directions of small
    variance, where out-of-distribution images differ most. Here all is in float64. The
    factor ½ of the paper's code, which changes no order, is left out, as are its
    layers and its input perturbation.

    Lee, Lee, Lee and Shin, A Simple Unified Framework for Detecting Out-of-Distribution
    Samples and Adversarial Attacks, NeurIPS 2018, arXiv 1807.03888.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    cutoff: float = 0.0
    """Eigenvalues of Σ up to this share of the largest are dropped; 0 drops those
    within the rounding of float64. Float32 code drops up to D · 1.2e-7."""
    _classes: Gaussians = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_cutoff(self.cutoff)

    def fit(self, known: Known) -> None:
        """Keeps the class means and the covariance."""
        self._classes = known.shared(Classes(cutoff=self.cutoff))

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the squared distance to the nearest class, `[N]`, ≤ 0."""
        return -self._classes.squared(batch.features).amin(1)
