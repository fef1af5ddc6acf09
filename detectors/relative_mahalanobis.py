"""Mahalanobis distance to the nearest class, less that to all images."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._gaussian import Background, Classes, Gaussians, check_cutoff


@dataclass
class RelativeMahalanobis(Detector):
    """−min_k (M_k − M_0), M_k = (z − μ_k)ᵀ Σ⁺ (z − μ_k), M_0 = (z − μ)ᵀ Σ_T⁺ (z − μ).

    M_k is the squared distance to class k, as in `mahalanobis`; M_0 is that to the mean
    μ of all images, with the covariance Σ_T of all images. The difference discounts
    directions that do not tell classes apart. Both covariances are divided by the
    number of images. Classes without training images are left out.

    Other code subtracts distances that are not squared (the package `detectors`).

    Ren, Fort, Liu, Roy, Padhy and Lakshminarayanan, A Simple Fix to Mahalanobis
    Distance for Improving Near-OOD Detection, 2021, arXiv 2106.09022.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    cutoff: float = 0.0
    """Eigenvalues of Σ and Σ_T up to this share of the largest are dropped; 0 drops
    those within the rounding of float64."""
    _classes: Gaussians = field(init=False, repr=False)
    _all: Gaussians = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_cutoff(self.cutoff)

    def fit(self, known: Known) -> None:
        """Keeps the means and the two covariances."""
        self._classes = known.shared(Classes(cutoff=self.cutoff))
        self._all = known.shared(Background(cutoff=self.cutoff))

    def score(self, batch: Outputs) -> Tensor:
        """Returns M_0 minus the smallest M_k, `[N]`."""
        to_all = self._all.squared(batch.features)[:, 0]
        return to_all - self._classes.squared(batch.features).amin(1)
