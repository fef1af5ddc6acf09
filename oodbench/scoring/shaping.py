"""The base class of detectors that change the features and then take the energy."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from oodbench.scoring.batch import Need
from oodbench.scoring.detector import Detector
from oodbench.scoring.outputs import Outputs


class Shaping(Detector):
    """Scores images by the LogSumExp of the logits that shaped features give."""

    needs = Need.FEATURES | Need.HEAD

    @abstractmethod
    def shape(self, batch: Outputs) -> Outputs:
        """Returns the outputs with shaped features or logits: `batch.shaped(…)`."""

    def score(self, batch: Outputs) -> Tensor:
        """Returns the LogSumExp of the shaped logits, `[N]`."""
        return self.shape(batch).log_px


def check_percentile(name: str, value: float) -> None:
    """Raises ValueError for a percentile outside [0, 100]."""
    if not 0 <= value <= 100:
        raise ValueError(f"{name} must be from 0 to 100, got {value}")
