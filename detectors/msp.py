"""Maximum softmax probability."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs
from oodbench.scoring.probabilities import log_odds


@dataclass
class MSP(Detector):
    """Log odds of the most probable class: log p − log(1 − p) with p = max_y p(y|x).

    It orders images exactly as p itself, the published score. p rounds to 1 where a
    network is confident, so that images tie; its log odds do not. p is
    1 / (1 + exp(−score)).

    Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples in Neural Networks, ICLR 2017, arXiv 1610.02136.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log odds, `[N]`, at least −log(K − 1)."""
        return log_odds(batch.logits)
