"""Length of the features."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Need, Outputs


@dataclass
class FeatureNorm(Detector):
    """‖z‖_p, the length of the features z.

    A plain baseline without a single source: images of known classes often excite the
    features more. The package `detectors` returns −‖z‖₁, the opposite sign. The usual
    length, p = 2, is the default.
    """

    needs = Need.FEATURES

    order: int = 2
    """p, 1 or 2."""

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ValueError(f"order must be 1 or 2, got {self.order}")

    def score(self, batch: Outputs) -> Tensor:
        """Returns ‖z‖_p, `[N]`, at least 0."""
        return batch.features.double().norm(p=self.order, dim=1)
