"""Relative Mahalanobis distance of features of length 1."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._gaussian import Background, Classes, Gaussians
from oodbench.scoring.fitting.statistics import unit


@dataclass
class RelativeMahalanobisPP(Detector):
    """−min_k (M_k − M_0), squared Mahalanobis distances of ẑ = z / ‖z‖₂.

    It is `relative_mahalanobis` with every feature vector scaled to length 1, in
    training and in test images: the squared distance M_k to the nearest class, less the
    squared distance M_0 to all images. There are no parameters.

    Müller and Hein, Mahalanobis++: Improving OOD Detection via Feature Normalization,
    ICML 2025, arXiv 2505.18032.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _classes: Gaussians = field(init=False, repr=False)
    _all: Gaussians = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the means and the two covariances."""
        self._classes = known.shared(Classes(unit=True))
        self._all = known.shared(Background(unit=True))

    def score(self, batch: Outputs) -> Tensor:
        """Returns M_0 minus the smallest M_k, `[N]`."""
        features = unit(batch.features.double())
        to_all = self._all.squared(features)[:, 0]
        return to_all - self._classes.squared(features).amin(1)
