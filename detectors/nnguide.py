"""Energy, guided by the nearest training features."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Known, Outputs
from oodbench.detectors._bank import (
    BankDetector,
    UnitFeatures,
    check_k,
    mean_of_largest,
    taken,
)
from oodbench.scoring.fitting import statistics


@dataclass
class NNGuide(BankDetector):
    """E(z) · mean of the k largest E(z_i) ⟨ẑ, ẑ_i⟩ over the training images i.

    E is the LogSumExp of the logits, ẑ = z / ‖z‖. Where both energies are negative,
    their product is positive; a constant added to all logits changes the order of
    images, as in the paper. k = 10 is the authors' value. Their bank is a random 1 % of
    the training images (`share=0.01`). OpenOOD takes the first
    batches of an unshuffled set, and chooses k and the share on OOD images.

    Park, Jung and Teoh, Nearest Neighbor Guidance for Out-of-Distribution Detection,
    ICCV 2023, arXiv 2309.14888.
    """

    k: int = 10
    """The number of training images, at least 1."""
    _bank: Tensor = field(init=False, repr=False)
    _energies: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")

    def fit(self, known: Known) -> None:
        """Keeps features and energies of the bank."""
        logits = taken(known.logits, self.draw(known))
        self._bank = known.shared(UnitFeatures(self.share, self.seed))
        self._energies = statistics.over_blocks(logits, _energy)
        check_k(self.k, self._bank)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the product, `[N]`."""
        features = statistics.unit(batch.features)
        guidance = mean_of_largest(features, self._bank, self.k, self._energies)
        return _energy(batch.logits.double()) * guidance


def _energy(logits: Tensor) -> Tensor:
    return logits.logsumexp(1)
