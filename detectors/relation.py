"""Sum of relations to the training images."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from oodbench import Known, Outputs
from oodbench.detectors._bank import BankDetector, UnitFeatures, taken
from oodbench.scoring.fitting import statistics


@dataclass
class Relation(BankDetector):
    """Σ_i r_i^power over r_i > threshold; r_i = max(0, cos(z, z_i)) · ⟨p, p_i⟩.

    i goes over the training images, p are softmax probabilities. Images without any
    relation above the threshold tie at 0. Power 1 and threshold 0.03 are the authors'
    values for OOD detection; OpenOOD chooses the power on OOD images. The authors' code
    takes √(‖z‖² + 1e-10) for the length of z, which differs for z near 0 alone.

    Kim, Yun and Song, Neural Relation Graph: A Unified Framework for Identifying Label
    Noise and Outlier Data, NeurIPS 2023, arXiv 2301.12321.
    """

    power: float = 1.0
    """Above 0; larger ones favour strong relations."""
    threshold: float = 0.03
    """At least 0; relations up to it do not count."""
    _bank: Tensor = field(init=False, repr=False)
    _logits: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.power > 0:
            raise ValueError(f"power must be above 0, got {self.power}")
        if not self.threshold >= 0:
            raise ValueError(f"threshold must be at least 0, got {self.threshold}")

    def fit(self, known: Known) -> None:
        """Keeps features and logits of the bank."""
        self._logits = taken(known.logits, self.draw(known))
        self._bank = known.shared(UnitFeatures(self.share, self.seed))

    def score(self, batch: Outputs) -> Tensor:
        """Returns the sum, `[N]`, at least 0."""
        features = statistics.unit(batch.features).double()
        probabilities = batch.logits.double().softmax(1)
        found = features.new_zeros(len(features))
        for start, block in statistics.in_blocks(self._bank):
            logits = self._logits[start : start + len(block)].double()
            relations = (features @ block.T).clamp(min=0)
            relations *= probabilities @ logits.softmax(1).T
            counted = relations > self.threshold
            found += torch.where(counted, relations**self.power, 0.0).sum(1)
        return found
