"""Norm of the head's gradient of the distance to uniform probabilities."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs
from oodbench.detectors._checks import check_temperature


@dataclass
class GradNorm(Detector):
    """‖z‖₁ · Σ_k |p_k − 1/K| / T, with p = softmax(f/T).

    It is the L1 norm of ∂ KL(uniform ‖ p) / ∂W for the weights W of the head, in closed
    form: the length of the features z, times the distance of the probabilities from
    uniform ones. The paper's code adds up the K target classes where this takes the
    mean, so that its score is K times this one, with the same order. T = 1 is the
    paper's default.

    Huang, Geng and Li, On the Importance of Gradients for Detecting Distributional
    Shifts in the Wild, NeurIPS 2021, arXiv 2110.00218.
    """

    needs = Need.FEATURES

    temperature: float = 1.0
    """T > 0."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the norm, `[N]`, at least 0; 0 for a single class."""
        p = (batch.logits.double() / self.temperature).softmax(1)
        length = batch.features.double().norm(p=1, dim=1)
        return length * (p - 1 / p.shape[1]).abs().sum(1) / self.temperature
