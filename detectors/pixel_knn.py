"""Control: distance to the nearest training image."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, Known, Need, Outputs
from oodbench.scoring.fitting.nearest import Bank


@dataclass
class PixelKNN(Detector):
    """Negative Euclidean distance, in pixels, to the k-th nearest training image.

    A control: it does not use the network. Where it separates two sets, the sets differ
    in plain pixels, and the success of other detectors says little about the network.

    The score is the one of Sun, Ming, Zhu and Li, Out-of-Distribution Detection with
    Deep Nearest Neighbors, ICML 2022, arXiv 2204.06507, on pixels instead of features.
    """

    needs = Need.INPUTS
    fitted_on = "train"
    control = True

    k: int = 1
    """Which neighbour, at least 1; 1 is the nearest."""
    _bank: Bank = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")

    def fit(self, known: Known) -> None:
        """Keeps the training images."""
        if len(known.inputs) < self.k:
            raise ValueError(f"k is {self.k}, the training images {len(known.inputs)}")
        self._bank = Bank.of(known.inputs.flatten(1))

    def score(self, batch: Outputs) -> Tensor:
        """Returns −‖x − its k-th nearest training image‖₂, `[N]`, at most 0."""
        return -self._bank.nearest(batch.inputs.flatten(1), self.k).distances
