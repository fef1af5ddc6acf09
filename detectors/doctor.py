"""Odds of an error, from the softmax probabilities."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs
from oodbench.detectors._checks import check_temperature, check_variant
from oodbench.detectors._softmax import log_p_and_rest
from oodbench.scoring.probabilities import CERTAIN, log_odds


@dataclass
class Doctor(Detector):
    """−log((1 − g) / g) with g = Σ_y p(y|x)², or with g = max_y p(y|x).

    It orders images exactly as −(1 − g) / g, the published score, whose value is
    −exp(−score). That rounds to 0 where a network is confident; its logarithm does not.
    (1 − g) / g estimates the odds that the prediction is wrong.

    The variant alpha has the sum, beta the maximum; beta at temperature 1 is MSP. The
    authors tune a temperature and a perturbation of the pixels on misclassified images;
    here the temperature is 1 and there is no perturbation. detectors (edadaltocg) gives
    g − 1 for alpha, which orders images alike.

    Granese, Romanelli, Gorla, Palamidessi and Piantanida, DOCTOR: A Simple Method for
    Detecting Misclassification Errors, NeurIPS 2021, arXiv 2106.02395.
    """

    variant: str = "alpha"
    """alpha or beta."""
    temperature: float = 1.0
    """T > 0; p is the softmax of the logits / T."""

    def __post_init__(self) -> None:
        check_variant(self.variant, ("alpha", "beta"))
        check_temperature(self.temperature)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log odds of g, `[N]`, at least −log(K − 1)."""
        logits = batch.logits.double() / self.temperature
        if self.variant == "beta":
            return log_odds(logits)
        log_p, log_rest = log_p_and_rest(logits)
        log_error = (log_p + log_rest).logsumexp(1)
        return (2 * log_p).logsumexp(1) - log_error.clamp(min=-CERTAIN)
