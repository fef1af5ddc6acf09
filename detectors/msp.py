"""Maximum softmax probability."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs


@dataclass
class MSP(Detector):
    """max_y p(y|x), in (0, 1].

    Computed in float64: in float32 a confident network's probabilities round to
    exactly 1 and tie.

    Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples in Neural Networks, ICLR 2017, arXiv 1610.02136.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns max_y softmax(f(x))[y], `[N]`."""
        return batch.logits.double().softmax(1).amax(1)
