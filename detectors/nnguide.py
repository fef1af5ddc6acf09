"""Energy, guided by the nearest training features."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.detectors._bank import check_k, check_share, mean_of_largest, part
from oodbench.scoring import statistics


@dataclass
class NNGuide(Detector):
    """E(z) · mean of the k largest E(z_i) ⟨ẑ, ẑ_i⟩ over the training images i.

    E is the LogSumExp of the logits, ẑ = z / ‖z‖. Where both energies are negative,
    their product is positive; a constant added to all logits changes the order of
    images, as in the paper. k = 10 is the authors' value. Their bank is a random 1 % of
    the training images (`share=0.01`); here it is all of them. OpenOOD takes the first
    batches of an unshuffled set, and chooses k and the share on OOD images.

    Park, Jung and Teoh, Nearest Neighbor Guidance for Out-of-Distribution Detection,
    ICCV 2023, arXiv 2309.14888.
    """

    needs = Need.FEATURES
    fitted_on = "train"

    k: int = 10
    """The number of training images, at least 1."""
    share: float = 1.0
    """Share of the training images in the bank, drawn at random."""
    seed: int = 0
    """Of the draw."""
    _bank: Tensor = field(init=False, repr=False)
    _energies: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")
        check_share(self.share, self.seed)

    def fit(self, known: Known) -> None:
        """Keeps features and energies of the bank."""
        self._bank = part(known.shared(statistics.unit_bank), self.share, self.seed)
        logits = part(known.logits, self.share, self.seed)
        self._energies = logits.double().logsumexp(1)
        check_k(self.k, self._bank)

    def score(self, batch: Outputs) -> Tensor:
        """Returns the product, `[N]`."""
        features = statistics.unit(batch.features)
        guidance = mean_of_largest(features, self._bank, self.k, self._energies)
        return batch.logits.double().logsumexp(1) * guidance
