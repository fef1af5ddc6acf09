"""Distance to the mean feature of the training images."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs


@dataclass
class FeatureDistance(Detector):
    """Negative distance of the features to their mean over training images."""

    needs = Need.FEATURES
    fitted_on = "train"

    _mean: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the mean."""
        self._mean = known.features.mean(0)

    def score(self, batch: Outputs) -> Tensor:
        """Returns −‖z − mean of z‖₂, `[N]`, at most 0."""
        return -(batch.features - self._mean.to(batch.features.device)).norm(dim=1)
