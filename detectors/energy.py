"""Negative free energy of the logits."""

from dataclasses import dataclass

from torch import Tensor

from oodbench import Detector, Outputs
from oodbench.detectors._checks import check_temperature
from oodbench.jem import energy


@dataclass
class Energy(Detector):
    """−E(x; T) = T · LogSumExp_y(f(x)[y] / T).

    At T = 1 and for a conditional JEM it is the unnormalised log p(x).

    Liu, Wang, Owens and Li, Energy-based Out-of-distribution Detection, NeurIPS 2020,
    arXiv 2010.03759.
    """

    temperature: float = 1.0
    """T > 0; towards 0 the score becomes the maximum logit."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def score(self, batch: Outputs) -> Tensor:
        """Returns −E(x; T), `[N]`."""
        return -energy.free_energy(batch.logits.double(), self.temperature)
