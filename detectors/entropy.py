"""Entropy of the predicted classes."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs
from oodbench.scoring.probabilities import neg_log_entropy


@dataclass
class Entropy(Detector):
    """−log H with the entropy H = −Σ_y p(y|x) log p(y|x) in nats.

    It orders images exactly as −H, the published score. H rounds to 0 where a network
    is confident, so that images tie; its logarithm does not. H is exp(−score).

    A baseline of Ren, Liu, Fertig, Snoek, Poplin, DePristo, Dillon and
    Lakshminarayanan, Likelihood Ratios for Out-of-Distribution Detection, NeurIPS 2019,
    arXiv 1906.02845.
    """

    def score(self, batch: Outputs) -> Tensor:
        """Returns −log H, `[N]`, at least −log log K."""
        return neg_log_entropy(batch.logits)
