"""Maximum softmax probability at a fitted temperature."""

from dataclasses import dataclass, field

from torch import Tensor

from oodbench import Detector, InputError, Known, Need, Outputs
from oodbench.detectors._bank import MOST, drawn, taken
from oodbench.metrics.temperature import fit_temperature
from oodbench.scoring.fitting.statistics import class_numbers, classes
from oodbench.scoring.probabilities import log_odds


@dataclass
class TempScaling(Detector):
    """Log odds of the most probable class under softmax(f(x) / T).

    It orders images exactly as the probability itself, the published score, which is
    1 / (1 + exp(−score)). T minimises the mean negative log-likelihood of the labels of
    at most 200,000 validation images, and is found to the rounding of float64; it needs
    no start and no number of steps. OpenOOD stops its search at 50 steps, before the
    minimum.

    Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML
    2017, arXiv 1706.04599.
    """

    needs = Need.LABELS
    fitted_on = "val"

    fitted_images: int = field(init=False, repr=False)
    _temperature: float = field(init=False, repr=False)

    def fit(self, known: Known) -> None:
        """Finds the temperature T."""
        if classes(known) < 2:
            raise ValueError("a temperature needs two classes, and the network has one")
        places = drawn(len(known), 1.0, 0, MOST)
        self.fitted_images = len(places)
        logits, labels = taken(known.logits, places), class_numbers(known)[places]
        try:
            self._temperature = fit_temperature(logits.numpy(), labels.numpy())
        except InputError as error:
            raise ValueError(str(error)) from error

    def score(self, batch: Outputs) -> Tensor:
        """Returns the log odds, `[N]`, at least −log(K − 1)."""
        return log_odds(batch.logits.double() / self._temperature)
