"""Relative distance of the features to the mean of the predicted class."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._caref import reference_means
from oodbench.detectors._head import LEAST


@dataclass
class CARef(Detector):
    """−‖z − μ_ĉ‖₁ / ‖z‖₁.

    μ_ĉ is the mean feature of the training images predicted as the class ĉ. A class
    that is never predicted has the mean of its true images, and one without any has the
    mean of all images. There are no parameters.

    Ling, Chang, Zhao, Zhao, Chow and Deng, CADRef: Robust Out-of-Distribution Detection
    via Class-Aware Decoupled Relative Feature Leveraging, CVPR 2025, arXiv 2503.00325.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _means: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the class means."""
        self._means = known.shared(reference_means)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative relative distance, `[N]`, at most 0."""
        features = batch.features.double()
        away = features - self._means[batch.logits.argmax(1)]
        return -away.abs().sum(1) / features.abs().sum(1).clamp(min=LEAST)
