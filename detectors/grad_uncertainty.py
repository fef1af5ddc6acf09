"""Squared norm of the head's gradient of a loss whose target is every class."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs


@dataclass
class GradUncertainty(Detector):
    """‖K p − 1‖² · (‖z‖² + 1), with p = softmax(f) and K classes.

    It is the squared L2 norm of ∂L/∂(W, b) for the weights and the bias of the head,
    with L = −Σ_k log p_k, in closed form. A head without a bias counts as one whose
    bias is 0. The norm is 0 where all classes are equally probable, and large for a
    confident prediction, so a large norm means in-distribution.

    It simplifies the paper, which trains a classifier on the norms of all layers. This
    is the part of the last layer, with the loss of pytorch-ood (all classes as target
    for softmax probabilities) and its sign.

    Lee and AlRegib, Gradients as a Measure of Uncertainty in Neural Networks, ICIP
    2020, arXiv 2008.08030.
    """

    needs = Need.FEATURES

    def score(self, batch: Outputs) -> Tensor:
        """Returns the squared norm, `[N]`, at least 0."""
        p = batch.logits.double().softmax(1)
        by_logits = (p.shape[1] * p - 1).square().sum(1)
        return by_logits * (batch.features.double().square().sum(1) + 1)
