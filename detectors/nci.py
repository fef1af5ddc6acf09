"""Closeness of the centred features to the predicted class's weights."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._head import LEAST, weights
from oodbench.scoring.fitting.statistics import feature_mean


@dataclass
class NCI(Detector):
    """w_ĉ · (z − μ) / ‖z − μ‖₂ + α ‖z‖₁.

    The first term is how close the features z, centred at the mean training feature μ,
    lie to the weights of the predicted class ĉ; under neural collapse they align. The
    second term adds the size of the features.

    α is the authors' value for ImageNet and OpenOOD's default; OpenOOD goes on to
    choose it on OOD images. pytorch-ood takes 0, which ranks images otherwise.

    Liu and Qin, Detecting Out-of-Distribution Through the Lens of Neural Collapse,
    CVPR 2025, arXiv 2311.01479.
    """

    needs = Need.FEATURES | Need.HEAD
    fitted_on = "train"

    alpha: float = 1e-4
    """The weight of ‖z‖₁, at least 0; 0 leaves it out."""
    _mean: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < float("inf"):
            raise ValueError(f"alpha must be at least 0 and finite, got {self.alpha}")

    def fit(self, known: Known) -> None:
        """Keeps the mean feature."""
        known.head  # noqa: B018 - without a linear head it fails here already
        self._mean = known.shared(feature_mean)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the closeness plus α times the size, `[N]`."""
        features = batch.features.double()
        away = features - self._mean
        nearest = weights(batch.head)[batch.logits.argmax(1)]
        closeness = (nearest * away).sum(1) / away.norm(dim=1).clamp(min=LEAST)
        return closeness + self.alpha * features.abs().sum(1)
