"""Squared norm of the head's gradient of a loss whose target is every class."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs


@dataclass
class GradUncertainty(Detector):
    """−‖K p − 1‖² · (‖z‖² + 1), with p = softmax(f) and K classes.

    It is the negative squared L2 norm of ∂L/∂(W, b) for the weights and the bias of the
    head, with L = −Σ_k log p_k, in closed form. The idea is that a network has to
    change more for an image that it does not know. A head without a bias counts as one
    whose bias is 0.

    It simplifies the paper, which trains a classifier on the norms of all layers. This
    is the part of the last layer, with the loss of pytorch-ood (all classes as target
    for softmax probabilities) and its sign (a large norm is OOD).

    L is K times the divergence of `grad_norm` plus a constant, and `grad_norm` has the
    opposite sign. So the two rank images nearly in reverse: where a network is more
    confident of known images than of others, this score has an AUROC far below 0.5.

    Lee and AlRegib, Gradients as a Measure of Uncertainty in Neural Networks, ICIP
    2020, arXiv 2008.08030.
    """

    needs = Need.FEATURES

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative squared norm, `[N]`, at most 0."""
        p = batch.logits.double().softmax(1)
        by_logits = (p.shape[1] * p - 1).square().sum(1)
        return -by_logits * (batch.features.double().square().sum(1) + 1)
