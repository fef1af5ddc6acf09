"""Energy of the decisive part of the features, weighted by the rest of them."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Known, Need, Outputs
from oodbench.detectors._bank import BankDetector, check_k, mean_of_largest, taken
from oodbench.detectors._checks import check_at_least
from oodbench.detectors._head import LEAST, logits_of, weights
from oodbench.detectors._kept import ratio
from oodbench.detectors._middle import middle
from oodbench.scoring.fitting.statistics import in_blocks, unit
from oodbench.scoring.shaping import check_percentile

K = 10  # largest cosines


@dataclass
class ActSub(BankDetector):
    """E · (−ln(1 − c))^λ, from two parts of the features z.

    The decisive part of z lies along the first right singular vectors of the head's
    weights, the insignificant part along the others; the mean lengths of both over the
    training images differ least. E is the score of `scale` on the decisive part. c is
    the mean of the 10 largest cosines of the insignificant part with those of training
    images; below 0 it counts as 0.

    λ = 2 and 95 are the authors' values for ResNet-50 (1 and 97.5 for ViT), chosen by
    OOD images. The sums in `scale` are of positive values alone, unlike theirs. Where E
    is negative, a larger c lowers the score. Where the split lies beyond the rank of
    the weights, E depends on singular vectors that are arbitrary.

    Zöngür, Hesse and Roth, Activation Subspaces for Out-of-Distribution Detection,
    ICCV 2025, arXiv 2508.21695.
    """

    needs = Need.FEATURES | Need.HEAD
    chosen_on = dict.fromkeys(("power", "percentile"), "OOD validation images")

    power: float = 2.0
    """λ, at least 0; at 0 the score is E."""
    percentile: float = 95.0
    """From 0 to 100, of `scale`."""
    _basis: Tensor = field(init=False, repr=False)
    _split: int = field(init=False, repr=False)
    _bank: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, power=0)
        check_percentile("percentile", self.percentile)

    def fit(self, known: Known) -> None:
        """Finds the split, and keeps the insignificant parts of the bank."""
        self._basis = torch.linalg.svd(weights(known.head)).Vh
        self._split = middle(known.features, self._basis)
        bank = taken(known.features, self.draw(known))
        check_k(K, bank)
        self._bank = torch.cat([self._rest(z).float() for _, z in in_blocks(bank)])

    def score(self, batch: Outputs) -> Tensor:
        """Returns the score, `[N]`."""
        features = batch.features.double()
        first = self._basis[: self._split]
        decisive = features @ first.T @ first
        scaled = decisive * ratio(decisive, self.percentile).exp()
        ones = features.new_ones(len(self._bank))
        cosine = mean_of_largest(self._rest(features), self._bank, K, ones)
        likeness = -(1 - cosine.clamp(min=0)).clamp(min=LEAST).log()
        return logits_of(batch.head, scaled).logsumexp(1) * likeness**self.power

    def _rest(self, features: Tensor) -> Tensor:
        """Returns the direction of the insignificant part, `[N, D − split]`."""
        return unit(features @ self._basis[self._split :].T)
