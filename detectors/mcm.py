"""Maximum concept matching: confidence of a zero-shot classifier."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs
from oodbench.detectors._checks import check_temperature
from oodbench.scoring.fitting.statistics import unit
from oodbench.scoring.probabilities import log_odds


@dataclass
class MCM(Detector):
    """Log odds of p = max_k softmax(cos(z, t_k) / T), with image z and class texts t_k.

    It orders images exactly as p itself, the published score; p is
    1 / (1 + exp(−score)). The cosines are taken without the scale of the logits, 100 in
    CLIP: `msp` is this score with T = 0.01. The prompts are the network's.

    A file of OpenOOD's that no option reaches takes the scaled logits instead.

    Ming, Cai, Gu, Sun, Li and Li, Delving into Out-of-Distribution Detection with
    Vision-Language Representations, NeurIPS 2022, arXiv 2211.13445.
    """

    needs = Need.FEATURES | Need.TEXTS

    temperature: float = 1.0
    """T."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log odds, `[N]`, at least −log(K − 1)."""
        cosines = unit(batch.features.double()) @ unit(batch.texts.double()).T
        return log_odds(cosines / self.temperature)
