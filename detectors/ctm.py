"""Cosine between the features and the mean of the predicted class."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.scoring.fitting import statistics


@dataclass
class CTM(Detector):
    """cos(z, μ_ĉ), with features z and the mean μ_ĉ of the predicted class.

    It is 1 where the features point as the mean of the class that the logits choose;
    `max_cosine` takes the nearest class instead. Class means are of the true classes of
    the training images. A class without any has the mean of all images.

    There are no parameters. Neither paper nor code was read, so that it is not known
    whether they take the predicted or the nearest class.

    Ngoc-Hieu et al., A Cosine Similarity-based Method for Out-of-Distribution
    Detection, workshop at ICML 2023, arXiv 2306.14920.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _directions: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the directions of the class means."""
        found = known.shared(statistics.class_means)
        if not found.counts.any():
            raise ValueError("there are no training images to take class means of")
        means = found.filled(known.shared(statistics.feature_mean))
        self._directions = statistics.unit(means)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the cosine, `[N]`, from −1 to 1."""
        chosen = self._directions[batch.logits.argmax(1)]
        features = statistics.unit(batch.features.double())
        return (features * chosen).sum(1).clamp(-1, 1)
