"""Lead of the first class over the second."""

from dataclasses import dataclass

import torch
from torch import Tensor

from oodbench import Detector, Outputs
from oodbench.detectors._checks import check_variant
from oodbench.detectors._softmax import log_p_and_rest
from oodbench.scoring.probabilities import CERTAIN


@dataclass
class LogitMargin(Detector):
    """f₁ − f₂ of the two largest logits, or −log(1 − (p₁ − p₂)).

    The variant prob orders images exactly as the lead in probability p₁ − p₂, which
    rounds to 1 where a network is confident, so that images tie; this logarithm does
    not. The lead is 1 − exp(−score). There is nothing to tune.

    A common baseline without a paper of its own.
    """

    variant: str = "logit"
    """logit or prob."""

    def __post_init__(self) -> None:
        check_variant(self.variant, ("logit", "prob"))

    def score(self, batch: Outputs) -> Tensor:
        """Returns the margin, `[N]`, at least 0.

        Raises:
            ValueError: The network has one class.
        """
        logits = batch.logits.double()
        if logits.shape[1] < 2:
            raise ValueError("a margin needs two classes, and the network has one")
        if self.variant == "logit":
            first, second = logits.topk(2).values.T
            return (first - second).clamp(max=CERTAIN)
        log_p, log_rest = log_p_and_rest(logits)
        second, places = log_p.topk(2)
        lost = torch.logaddexp(log_rest.gather(1, places[:, :1]), second[:, 1:])
        return -lost[:, 0].clamp(min=-CERTAIN, max=0)
