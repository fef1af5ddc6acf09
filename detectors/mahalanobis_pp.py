"""Mahalanobis distance of features of length 1."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._gaussian import Classes, Gaussians
from oodbench.scoring.fitting.statistics import unit


@dataclass
class MahalanobisPP(Detector):
    """−min_k (ẑ − μ_k)ᵀ Σ⁺ (ẑ − μ_k), with features ẑ = z / ‖z‖₂.

    It is `mahalanobis` with every feature vector scaled to length 1, in training and in
    test images. The length of features varies much between images and makes the
    Gaussians fit badly. There are no parameters.

    Müller and Hein, Mahalanobis++: Improving OOD Detection via Feature Normalization,
    ICML 2025, arXiv 2505.18032.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _classes: Gaussians = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the class means and the covariance."""
        self._classes = known.shared(Classes(unit=True))

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the squared distance to the nearest class, `[N]`, ≤ 0."""
        return -self._classes.squared(unit(batch.features.double())).amin(1)
