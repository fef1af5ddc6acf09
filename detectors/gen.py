"""Generalised entropy of the predicted classes."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._softmax import log_gen_terms


@dataclass
class GEN(Detector):
    """−Σ_j p_j^γ (1 − p_j)^γ over the M most probable classes.

    A small γ weighs small probabilities more than the entropy does. The defaults are
    those of the authors' code for ImageNet; OpenOOD chooses both by OOD images.
    pytorch-ood takes all classes and clips p at 1e-7, which changes the order of
    images.

    Liu, Lochman and Zach, GEN: Pushing the Limits of Softmax-Based Out-of-Distribution
    Detection, CVPR 2023.
    """

    gamma: float = 0.1
    """γ, above 0 and at most 1; at 1 and with all classes the score is Σ p² − 1."""
    top: int = 100
    """M, at least 1; all classes where there are no more."""

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma must be above 0 and at most 1, got {self.gamma}")
        check_at_least(self, top=1)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative generalised entropy, `[N]`, at most 0."""
        return -log_gen_terms(batch.logits, self.gamma, self.top).exp().sum(1)
