"""Disagreement of an ensemble's members."""

import math
from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs


@dataclass
class MutualInfo(Detector):
    """−(H(p̄) − mean_m H(p_m)), with p_m the softmax of member m, and p̄ their mean.

    This is minus the mutual information of class and member: 0 where all members
    agree, at least −log M and −log K. With the confidence of the mean, `msp`, it tells
    doubt of the members from doubt about the class.

    Lakshminarayanan, Pritzel and Blundell, Simple and Scalable Predictive Uncertainty
    Estimation using Deep Ensembles, NeurIPS 2017, arXiv 1612.01474.
    The score is that of torch-uncertainty.
    """

    needs = Need.MEMBERS

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the mutual information, `[N]`, at most 0."""
        logs = batch.members.double().log_softmax(2)
        mean = logs.logsumexp(1, keepdim=True) - math.log(logs.shape[1])
        # KL(p_m ‖ p̄), averaged over members: a difference of entropies loses digits.
        information = (logs.exp() * (logs - mean)).sum(2).mean(1)
        return -information.clamp(min=0)
