"""Distance to the k-th nearest training feature."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Known, Outputs
from oodbench.detectors._bank import BankDetector, UnitFeatures, check_k, taken
from oodbench.scoring.fitting import statistics
from oodbench.scoring.fitting.nearest import Bank


@dataclass
class KNN(BankDetector):
    """−‖ẑ − its k-th nearest training feature‖₂, with ẑ = z / ‖z‖.

    The lengths of features do not count, unless `normalize` is off. An image of the
    bank finds itself at distance 0. k = 50 on the whole bank is what the authors' code
    uses for CIFAR-10; for ImageNet it uses 1000. OpenOOD chooses k on OOD images and
    returns squared distances, which order images alike.

    Sun, Ming, Zhu and Li, Out-of-Distribution Detection with Deep Nearest Neighbors,
    ICML 2022, arXiv 2204.06507.
    """

    k: int = 0
    """Which neighbour; 1 is the nearest. 0: 50, or the farthest in a smaller bank."""
    normalize: bool = True
    """Whether features are scaled to length 1."""
    _bank: Bank = field(init=False, repr=False)
    _k: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 0:
            raise ValueError(f"k must be at least 0, got {self.k}")

    def fit(self, known: Known) -> None:
        """Keeps the features of the bank."""
        places = self.draw(known)
        if self.normalize:
            bank = known.shared(UnitFeatures(self.share, self.seed))
        else:
            bank = taken(known.features, places)
        self._k = self.k or min(_USUAL_K, len(bank))
        check_k(self._k, bank)
        self._bank = Bank.of(bank)

    def score(self, batch: Outputs) -> Tensor:
        """Returns minus the distance, `[N]`, at most 0."""
        features = batch.features
        if self.normalize:
            features = statistics.unit(features)
        return -self._bank.nearest(features, self._k).distances


_USUAL_K = 50
