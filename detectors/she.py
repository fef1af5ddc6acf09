"""Inner product of the features with the stored pattern of the predicted class."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.scoring.fitting import statistics


@dataclass
class SHE(Detector):
    """z · S_ĉ, with features z and the pattern S_ĉ of the predicted class.

    S_k is the mean of the features of the training images of class k that the network
    classifies correctly: the pattern that a Hopfield network would store. A class
    without such images has the mean of all training images. There are no parameters.

    Known codes differ. OpenOOD gives NaN, and pytorch-ood fails, for a class without
    correct images; oodeel takes the largest product over all classes, divided by the
    number of features.

    Zhang et al., Out-of-Distribution Detection based on In-Distribution Data Patterns
    Memorization with Modern Hopfield Energy, ICLR 2023.
    """

    needs = Need.FEATURES | Need.LABELS
    fitted_on = "train"

    _patterns: Tensor = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Keeps the pattern of each class."""
        found = known.shared(statistics.correct_means)
        if not found.counts.any():
            raise ValueError("the network classifies no training image correctly")
        self._patterns = found.filled(known.shared(statistics.feature_mean))

    def score(self, batch: Outputs) -> Tensor:
        """Returns z · S_ĉ, `[N]`."""
        patterns = self._patterns[batch.logits.argmax(1)]
        return (batch.features.double() * patterns).sum(1)
