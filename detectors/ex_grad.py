"""Expected norm of the head's gradient of the cross-entropy."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs
from oodbench.detectors._softmax import log_p_and_rest


@dataclass
class ExGrad(Detector):
    """−2 ‖z‖₁ (1 − Σ_k p_k²), with p = softmax(f).

    It is the negative mean, over classes y drawn from p, of the L1 norm of the gradient
    ∂(−log p_y)/∂W for the weights W of the head, in closed form. An image of which the
    network is uncertain has a large gradient. The sign is ours: the paper's code turns
    an AUROC below 0.5 round, so that its sign cannot be read from it. It plots ‖z‖₁ and
    1 − Σ p²; the gradients that it sums elsewhere have those of the bias with them.

    Igoe, Chung, Char and Schneider, How Useful are Gradients for OOD Detection Really?,
    2022, arXiv 2205.10439.
    """

    needs = Need.FEATURES

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative expected norm, `[N]`, at most 0."""
        log_p, log_rest = log_p_and_rest(batch.logits)
        # 1 − Σ p² as Σ p (1 − p), which does not round to 0 for a confident network.
        spread = (log_p + log_rest).exp().sum(1)
        return -2 * batch.features.double().norm(p=1, dim=1) * spread
