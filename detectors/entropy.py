"""Negative entropy of the predicted classes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench import Detector, Outputs


@dataclass
class Entropy(Detector):
    """Σ_y p(y|x) log p(y|x) in nats, from −log K to 0.

    A baseline of Ren, Liu, Fertig, Snoek, Poplin, DePristo, Dillon and
    Lakshminarayanan, Likelihood Ratios for Out-of-Distribution Detection, NeurIPS 2019,
    arXiv 1906.02845.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns the negative entropy, `[N]`."""
        # float64 and log p from log_softmax, so that saturated images do not tie.
        log_p = batch.logits.double().log_softmax(1)
        return torch.sum(log_p.exp() * log_p, 1)
